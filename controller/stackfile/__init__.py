"""Text to desired state, pure: whoever calls brings the bytes of files and the environment."""
