"""Networks by name: one function `(input_shape, classes, *, options) -> nn.Module` a file."""
