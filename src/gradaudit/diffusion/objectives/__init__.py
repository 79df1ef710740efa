"""Objectives that need a denoiser; found by name beside those of `gradaudit.training.objectives`."""
