"""Decisions, pure: no clock, no randomness, no I/O; the same inputs give the same plan."""
