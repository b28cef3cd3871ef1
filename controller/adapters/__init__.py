"""The only I/O. An adapter translates one library into the engine's ports and the errors of controller.errors."""
