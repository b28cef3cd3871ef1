"""What `make up`, `make down` and `make test` do on a host. Standard library only: it runs before anything is installed."""
