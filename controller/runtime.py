"""The composition root: builds adapters, starts the named tasks, drains on SIGTERM."""
