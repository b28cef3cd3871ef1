"""What others may ask over HTTP."""
