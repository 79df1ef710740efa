"""Regions by name, each a function in the file of its name: `(asked, *, options) -> mask`, where images may change."""
