"""The Engine API through docker's SDK: the only package that imports docker, and the only way to ask an engine anything.

Importing it costs a fifth of a second; commands that need no engine do not.
"""

from controller.adapters.swarm.adapter import DockerSwarm
from controller.adapters.swarm.connection import Endpoint, resolve_endpoint

__all__ = ["DockerSwarm", "Endpoint", "resolve_endpoint"]
