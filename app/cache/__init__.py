"""Redis: URLs by their codes, and the stream of clicks. Everything here may be missing; the service then goes on without it."""
