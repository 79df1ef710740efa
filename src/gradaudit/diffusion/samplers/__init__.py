"""Samplers, each a function in the file of its name: `(denoise, noisy, sigmas, fresh, *, options) -> images`."""
