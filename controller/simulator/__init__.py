"""A Swarm in memory that answers as the Engine API does, on virtual time.

`engine.Simulator` is the core; `inprocess.InProcessSwarm` serves it to the loop, `http` on a unix socket to docker's own clients.
"""
