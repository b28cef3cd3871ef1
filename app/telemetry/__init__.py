"""What the service tells of itself: numbers for Prometheus and log lines, both over all processes of a replica."""
