"""What the stages that need a denoiser ask of it."""

from __future__ import annotations

from gradaudit.instruments.bench import Bench


def unfit(bench: Bench) -> str | None:
    """Why the denoiser can't be used on these images, or None."""
    if bench.denoiser is None:
        return "it needs a denoiser of such images, and none was given (denoiser=, --denoiser)"
    shape = bench.denoiser.shape
    if shape is not None and tuple(shape) != tuple(bench.test.shape):
        return f"the denoiser's images are of shape {tuple(shape)}, these of {tuple(bench.test.shape)}"
    return None
