"""Denoisers, and the score of the data that they know."""

from gradaudit.diffusion.denoiser import Denoiser, score

__all__ = ["Denoiser", "score"]
