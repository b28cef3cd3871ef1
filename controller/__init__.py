"""ProdBreaker: a controller for Docker Swarm. The folders, read in the order of docs/architecture.md, are the way data takes."""

__version__ = "0.1.0"
