"""A Swarm in memory that behaves like the real one where the loop depends on it, on a clock of its own."""
