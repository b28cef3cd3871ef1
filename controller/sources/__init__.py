"""What wakes the loop. A source enqueues keys and nothing else: facts are read by the pass itself."""
