"""What the stages that need a denoiser ask of it."""

from __future__ import annotations

from gradaudit.instruments.bench import Bench


def unfit(bench: Bench) -> str | None:
    """Why the denoiser can't be used on these images, or None."""
    return bench.unfit_denoiser
