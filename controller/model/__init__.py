"""Nouns. Frozen dataclasses and enums without I/O, clock or decisions; every other package speaks in these."""
