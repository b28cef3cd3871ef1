"""What was done and why, in a SQLite file that survives the process."""

from controller.adapters.journal.journal import SqliteJournal

__all__ = ["SqliteJournal"]
