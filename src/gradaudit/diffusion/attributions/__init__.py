"""Attributions that need a model of the images; found by name beside those of `gradaudit.attributions`."""
