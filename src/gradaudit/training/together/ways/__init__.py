"""Ways to train a group of fits: one function `(members, count, recipe, device, after_step) -> Iterator[dict]` a file.

Each yields what was measured of those members that ended together, by their positions, and has a `why_not`; see `marked`.
"""
