"""Networks of denoisers, each a function in the file of its name: `(input_shape, classes, *, options) -> nn.Module`."""
