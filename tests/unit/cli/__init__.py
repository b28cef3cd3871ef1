"""Commands as they are called."""
