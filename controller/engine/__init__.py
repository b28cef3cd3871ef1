"""The loop: keys in, one pass per key, outcomes out. It reaches the world only through ports."""
