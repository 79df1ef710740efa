"""Images drawn from what a denoiser knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.batching import evaluating
from gradaudit.devices import resolve_device
from gradaudit.diffusion import samplers
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError, require, require_whole
from gradaudit.noise import normal
from gradaudit.registry import Registry, Spec

SAMPLERS = Registry(samplers.__name__, "sampler")
RHO = 7


def sample(
    denoiser: Denoiser,
    count: int,
    *,
    labels: Tensor | Sequence[int] | int | None = None,
    steps: int = 18,
    sampler: str | Mapping[str, Any] | Spec = "heun",
    guidance: float = 1.0,
    sigma_min: float = 0.001,
    sigma_max: float = 40.0,
    seed: int = 0,
    device: str | torch.device = "auto",
    batch_size: int = 256,
) -> Tensor:
    """Images drawn by the denoiser, float32 (count, C, H, W) in [0, 1], on the CPU.

    Source: Karras et al. (2022), equation 5 with rho 7 (noise levels); Ho and Salimans (2022), equation 6 (guidance).

    Args:
        denoiser: of a known `shape`; moved to `device`.
        count: how many images.
        labels: the class of all images, or of each, (count,); None for no class.
        steps: noise levels above zero, at least 2.
        sampler: a spec: `"heun"`, `"heun(churn=40)"`, `"ddim"` or `"dpm2"`.
        guidance: weight w of classifier-free guidance, D(no class) + w (D(class) - D(no class)); 1 for none.
        sigma_min: the last noise level above zero, in pixel values of [0, 1]; the denoiser's own least, if that is more.
        sigma_max: the first, with which the sampling starts from grey; the denoiser's own greatest, if that is less.
        seed: image i is drawn from (seed, i), whatever the batch.
        device: `"auto"`, or a torch device.
        batch_size: images at once.

    Raises:
        InputError: an argument out of its range, classes that the denoiser doesn't know, or a denoiser without a shape.
    """
    require_whole("count", count, 1)
    require_whole("batch_size", batch_size, 1)
    require_whole("seed", seed)
    shape = denoiser.shape
    if shape is None:
        raise InputError("denoiser", denoiser.shape, "of a known shape: Denoiser(..., shape=(C, H, W))")
    classes = _classes(labels, count, denoiser)
    require(guidance == 1 or classes is not None, "guidance", guidance, "1 where there are no labels")
    noise_levels(steps, sigma_min, sigma_max)  # refuses what was given, not what becomes of it
    sigmas = noise_levels(steps, *within(denoiser, sigma_min, sigma_max))
    draw = SAMPLERS.bind("sampler", sampler)
    place = resolve_device(device)
    denoiser.to(place)
    drawn = []
    with torch.no_grad(), evaluating(denoiser):
        for which in torch.split(torch.arange(count), batch_size):
            chosen = None if classes is None else classes[which].to(place)
            denoise = partial(_guided, denoiser, chosen, guidance)
            drawn.append(_drawn(draw, denoise, shape, sigmas, [(seed, int(i)) for i in which], place))
    return torch.cat(drawn)


def noise_levels(steps: int, sigma_min: float = 0.001, sigma_max: float = 40.0) -> list[float]:
    """`steps` falling standard deviations, and zero: equation 5 of Karras et al. (2022) with rho 7.

    Raises:
        InputError: fewer than 2 steps, or not 0 < sigma_min < sigma_max.
    """
    require_whole("steps", steps, 2)
    require(0 < sigma_min < sigma_max < float("inf"), "sigma_min", sigma_min, f"above 0 and below sigma_max (={sigma_max})")
    roots = np.linspace(sigma_max ** (1 / RHO), sigma_min ** (1 / RHO), steps)
    return [*(float(root**RHO) for root in roots), 0.0]


def within(denoiser: Denoiser, sigma_min: float, sigma_max: float) -> tuple[float, float]:
    """The ends of the noise levels, no further apart than what the denoiser was trained on, where it says."""
    low, high = getattr(denoiser.denoise, "sigma_range", (0.0, float("inf")))
    return max(sigma_min, low), min(sigma_max, high)


def _drawn(
    draw: Callable[..., Tensor],
    denoise: Callable[[Tensor, float], Tensor],
    shape: tuple[int, int, int],
    sigmas: list[float],
    keys: list[tuple[int, int]],
    device: torch.device,
) -> Tensor:
    sources = [np.random.default_rng(key) for key in keys]
    grey = torch.full((len(keys), *shape), 0.5, device=device)
    images = draw(denoise, grey + sigmas[0] * normal(sources, grey), sigmas, partial(normal, sources, grey))
    return images.clamp(0, 1).cpu()


def _guided(denoiser: Denoiser, labels: Tensor | None, guidance: float, noisy: Tensor, sigma: float) -> Tensor:
    given: Tensor = denoiser(noisy, sigma, labels)
    if guidance == 1:
        return given
    free: Tensor = denoiser(noisy, sigma)
    return free + guidance * (given - free)


def _classes(labels: Tensor | Sequence[int] | int | None, count: int, denoiser: Denoiser) -> Tensor | None:
    if labels is None:
        return None
    require(denoiser.classes > 0, "labels", labels, "None: this denoiser knows no classes")
    found = torch.as_tensor(labels)
    good = found.dtype == torch.int64 and found.shape in ((), (count,))
    require(good, "labels", labels, f"a whole number, or {count} of them, one for each image")
    known = bool(((found >= 0) & (found < denoiser.classes)).all())
    require(known, "labels", labels, f"from 0 to {denoiser.classes - 1}, the denoiser's classes")
    return found.expand(count)
