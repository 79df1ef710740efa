"""Networks by name: one function a file."""
