"""Named recipes for denoisers: one TOML file each."""
