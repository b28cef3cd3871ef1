"""The Engine API: the only way to ask an engine anything, and the only package that imports docker's SDK.

The SDK is imported only for TCP, TLS and the event stream: a command that asks a socket a few things must not wait for it.
"""

from controller.adapters.swarm.adapter import DockerSwarm
from controller.adapters.swarm.connection import Endpoint, resolve_endpoint

__all__ = ["DockerSwarm", "Endpoint", "resolve_endpoint"]
