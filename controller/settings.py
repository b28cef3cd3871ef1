"""The only reader of the environment: PRODBREAKER_* variables and files below /run/secrets."""
