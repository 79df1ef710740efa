"""Other libraries' data sets, as `library:name`: one function `(name, *, folder, seed, **options) -> (train, test)` a file."""
