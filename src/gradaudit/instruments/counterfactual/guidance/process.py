"""Any denoiser in the form that guided diffusion is written in: x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) n."""

from __future__ import annotations

from dataclasses import dataclass
from math import sqrt

import torch
from torch import Tensor

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.adapters import VariancePreserving, read_schedule
from gradaudit.diffusion.adapters._pixels import Pixels
from gradaudit.errors import is_whole, require


@dataclass(frozen=True)
class Level:
    """One noise level of the schedule.

    Args:
        step: t, from 0, the least noise, to T - 1.
        keep: abar_t, the share of the image's variance that is kept.
    """

    step: int
    keep: float

    @property
    def signal(self) -> float:
        """sqrt(abar_t)."""
        return sqrt(self.keep)

    @property
    def spread(self) -> float:
        """sqrt(1 - abar_t)."""
        return sqrt(1 - self.keep)


@dataclass(frozen=True)
class Estimate:
    """What a denoiser makes of noisy images, in the process's own pixel values.

    Args:
        clean: x0_hat, (N, C, H, W).
        noise: the noise that it sees, likewise.
        share: of a learned variance, log beta's share against log beta-tilde, likewise; None where none was learned.
    """

    clean: Tensor
    noise: Tensor
    share: Tensor | None


class Process:
    """The variance-preserving process of a denoiser.

    A denoiser that was trained on such a process keeps its schedule, pixel values and learned variance. Any other is asked for
    sigma = sqrt((1 - abar) / abar) at the linear schedule of 1,000 steps, with pixel values from -1 to 1.

    Source: Ho et al. (2020), Denoising Diffusion Probabilistic Models, equation 4 and section 4; Karras et al. (2022), table 1.
    """

    def __init__(self, denoiser: Denoiser) -> None:
        core = denoiser.denoise
        self.denoiser = denoiser
        self.core = core if isinstance(core, VariancePreserving) else None
        self.keeps = self.core.alphas_cumprod if self.core else read_schedule("linear")
        self.pixels = self.core.pixels if self.core else Pixels()

    def levels(self, steps: int, start: float) -> list[Level]:
        """The noise levels from the start down: the last `start` share of `steps` levels, evenly spaced over the schedule.

        Levels with less noise than the denoiser was trained on fall away.

        Args:
            steps: levels over the whole schedule, from 2 to T.
            start: the share of them to walk, above 0 to 1.

        Raises:
            InputError: an argument out of its range, or a start noisier than the denoiser was trained on.
        """
        total = len(self.keeps)
        whole = is_whole(steps) and 2 <= steps <= total
        require(whole, "steps", steps, f"a whole number from 2 to {total}, the steps of the denoiser's schedule")
        require(0 < start <= 1, "start", start, "a share of the steps, above 0 and at most 1")
        chosen = torch.linspace(0, total - 1, steps, dtype=torch.float64).round().long()[: max(1, round(steps * start))]
        levels = [Level(int(step), float(self.keeps[step])) for step in chosen.flip(0)]
        low, high = getattr(self.denoiser.denoise, "sigma_range", (0.0, float("inf")))
        first = self.sigma(levels[0])
        fits = low * (1 - 1e-3) <= first <= high * (1 + 1e-3)
        require(fits, "start", start, f"one whose noise (sigma {first:.4g}) the denoiser knows: from {low:.4g} to {high:.4g}")
        return [level for level in levels if self.sigma(level) >= low * (1 - 1e-3)]

    def sigma(self, level: Level) -> float:
        """The noise's deviation at a level, in pixel values of [0, 1]."""
        return level.spread / level.signal / self.pixels.width

    def noised(self, images: Tensor, level: Level, noise: Tensor) -> Tensor:
        """x_t of images in [0, 1]."""
        return level.signal * self.pixels.inner(images) + level.spread * noise

    def estimate(self, noisy: Tensor, level: Level, labels: Tensor | None) -> Estimate:
        """What the denoiser makes of x_t, floats (N, C, H, W); labels int64 (N,), or None for no class."""
        if self.core:
            noise, share = self.core.predict(noisy, torch.full((len(noisy),), level.step), labels)
            return Estimate((noisy - level.spread * noise) / level.signal, noise, share)
        clean = self.pixels.inner(self.denoiser(self.pixels.outer(noisy / level.signal), self.sigma(level), labels))
        return Estimate(clean, (noisy - level.signal * clean) / level.spread, None)
