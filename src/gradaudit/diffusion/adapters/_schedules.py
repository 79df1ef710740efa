"""Noise schedules of variance-preserving diffusion, as alpha-bar: the share of the image's variance that step t keeps."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gradaudit.errors import InputError, require

STEPS = 1000


def read_schedule(schedule: str | Tensor) -> Tensor:
    """Alpha-bar of each step, float64 (T,), on the CPU.

    Args:
        schedule: "linear" (Ho et al. 2020, section 4) or "cosine" (Nichol and Dhariwal 2021, equation 17), of 1,000 steps,
            or the values themselves, floats (T,), T at least 2. Last values of 0, which keep nothing of an image, fall away.

    Raises:
        InputError: an unknown name, or values that do not fall strictly, from below 1, to 0 or above.
    """
    if isinstance(schedule, str):
        require(schedule in BETAS, "schedule", schedule, f"alpha-bar as a tensor, or one of {', '.join(BETAS)}")
        return (1 - BETAS[schedule]()).cumprod(0)
    if not isinstance(schedule, Tensor) or schedule.ndim != 1 or not schedule.is_floating_point():
        raise InputError("schedule", schedule, f"alpha-bar as floats (T,), or one of {', '.join(BETAS)}")
    found = schedule.detach().double().cpu()
    falling = bool((found[1:] < found[:-1]).all()) and bool((found >= 0).all()) and bool((found < 1).all())
    kept = found[found > 0]
    require(falling and len(kept) >= 2, "schedule", schedule, "at least 2 values that fall strictly, from below 1, to 0 or above")
    return kept


def _linear() -> Tensor:
    return torch.linspace(1e-4, 0.02, STEPS, dtype=torch.float64)


def _cosine() -> Tensor:
    kept = ((torch.arange(STEPS + 1, dtype=torch.float64) / STEPS + 0.008) / 1.008 * math.pi / 2).cos().square()
    return (1 - kept[1:] / kept[:-1]).clamp(max=0.999)


BETAS: dict[str, Callable[[], Tensor]] = {"linear": _linear, "cosine": _cosine}
