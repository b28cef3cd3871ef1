"""Tests against a real Docker Engine in Swarm mode, started by the tests themselves."""
