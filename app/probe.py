"""The container's healthcheck: exit code 0 if /livez answers 200. Imports next to nothing, for it runs every two seconds."""

import socket
import sys


def is_alive(port: int) -> bool:
    """Whether the service on this port of the container answers 200. Raises OSError when nothing answers within five seconds."""
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(b"GET /livez HTTP/1.0\r\n\r\n")
        return b" 200 " in connection.recv(64)


if __name__ == "__main__":
    sys.exit(not is_alive(8000))
