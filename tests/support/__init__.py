"""What several tests stand on: a Docker Engine of their own, a proxy before it, a controller under it, a clock."""
