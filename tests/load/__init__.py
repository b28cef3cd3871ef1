"""Load for the application: one scenario, for k6 (`shop.js`) and for locust (`locustfile.py`, `python -m tests.load`)."""
