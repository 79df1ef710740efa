"""Data sets by name: one function `(*, folder, seed, ...options) -> (train, test)` a file."""
