"""Text to desired state, pure: what stack files declare, as `docker stack deploy` would send it, or every fault in them."""

from controller.stackfile.load import load_stack
from controller.stackfile.policy import IGNORABLE_FIELDS

__all__ = ["IGNORABLE_FIELDS", "load_stack"]
