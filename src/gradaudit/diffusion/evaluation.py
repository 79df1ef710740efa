"""How well a denoiser denoises held-out images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

from gradaudit.batching import evaluating
from gradaudit.devices import resolve_device
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import require, require_whole
from gradaudit.images import ImageSet
from gradaudit.noise import generators, normal

SIGMAS = (0.05, 0.1, 0.2, 0.5, 1.0)


def denoising_error(
    denoiser: Denoiser,
    images: ImageSet,
    *,
    sigma: Sequence[float] = SIGMAS,
    seed: int = 0,
    device: str | torch.device = "auto",
    batch_size: int = 256,
) -> pd.DataFrame:
    """The mean squared error a pixel of denoised images, a row for each sigma, without a class and, where it can, with it.

    Columns: `sigma`; `given` (`"nothing"` or `"class"`); `error`, of pixel values in [0, 1]; `standard_error` over images;
    `relative`, the error as a share of the noise's variance, which is what no denoising would leave.

    Args:
        denoiser: moved to `device`.
        images: held out from its training, two or more.
        sigma: standard deviations of the noise in pixel values of [0, 1].
        seed: an image's noise comes from the seed and its pixels, the same at all sigma but for scale.
        device: `"auto"`, or a torch device.
        batch_size: images at once.

    Raises:
        InputError: no sigma, or one that is not positive; a single image, or images that are not the denoiser's; another argument
            out of its range.
    """
    require(len(images) >= 2, "images", images, "two images or more, for the standard error")
    require(len(sigma) > 0, "sigma", sigma, "at least one standard deviation")
    require_whole("batch_size", batch_size, 1)
    fits = denoiser.classes in (0, len(images.classes))
    require(fits, "images", images, f"of the denoiser's {denoiser.classes} classes")
    place = resolve_device(device)
    denoiser.to(place)
    rows = []
    with torch.no_grad(), evaluating(denoiser):
        for level in sigma:
            for given in ("nothing", "class") if denoiser.classes else ("nothing",):
                errors = _errors(denoiser, images, float(level), given == "class", seed, place, batch_size)
                rows.append(
                    (float(level), given, errors.mean(), errors.std(ddof=1) / np.sqrt(len(errors)), errors.mean() / level**2)
                )
    return pd.DataFrame(rows, columns=["sigma", "given", "error", "standard_error", "relative"])


def _errors(
    denoiser: Denoiser, images: ImageSet, sigma: float, labelled: bool, seed: int, device: torch.device, batch_size: int
) -> np.ndarray:
    found: list[Tensor] = []
    for which in torch.split(torch.arange(len(images)), batch_size):
        clean = images.floats(which)
        noisy = (clean + sigma * normal(generators(clean, seed), clean)).to(device)
        denoised = denoiser(noisy, sigma, images.labels[which].to(device) if labelled else None)
        found.append((denoised.cpu() - clean).square().mean(dim=(1, 2, 3)))
    return torch.cat(found).double().numpy()
