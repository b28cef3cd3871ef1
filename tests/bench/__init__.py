"""What ProdBreaker promises about time, calls and memory, measured beside docker's own client: `python -m tests.bench`."""
