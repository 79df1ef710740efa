"""Denoisers from elsewhere, each translated to images in [0, 1]; a new source is one function in one file here."""

from gradaudit.diffusion.adapters._edm import edm_preconditioned
from gradaudit.diffusion.adapters._schedules import read_schedule
from gradaudit.diffusion.adapters._variance_preserving import VariancePreserving, variance_preserving
from gradaudit.registry import Registry

ADAPTERS = Registry("gradaudit.diffusion.adapters", "denoiser adapter")

__all__ = ["ADAPTERS", "VariancePreserving", "edm_preconditioned", "read_schedule", "variance_preserving"]
