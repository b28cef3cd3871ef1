"""The HTTP interface: asks the controller, decides nothing, and shows nothing to whoever has no token."""

from controller.web.app import make_app, make_runner

__all__ = ["make_app", "make_runner"]
