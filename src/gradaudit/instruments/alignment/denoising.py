"""Whether the denoiser denoises: on some of the images, at each sigma."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradaudit.images import stratified
from gradaudit.instruments.alignment.measure import AlignmentInputs

CHECKED = 64  # images


@torch.no_grad()
def denoising(inputs: AlignmentInputs, sigmas: Sequence[float], batch_size: int, conditional: bool) -> list[dict[str, float]]:
    """For each sigma the mean squared errors, per coordinate, of the denoised, of the noisy, and of the mean image.

    Args:
        inputs: of which some images are denoised.
        sigmas: standard deviations of the noise.
        batch_size: images at once.
        conditional: whether the denoiser is told the labels.
    """
    chosen = stratified(inputs.images.labels, min(CHECKED, len(inputs.images)), inputs.seed)
    batches = [inputs.batch(which) for which in torch.split(chosen, batch_size)]
    images = torch.cat([batch.images for batch in batches])
    spread = float(images.double().var(dim=0).mean())
    found = []
    for sigma in sigmas:
        errors = []
        for batch in batches:
            noisy = batch.images + sigma * batch.noise
            denoised = inputs.denoiser(noisy, sigma, batch.targets if conditional else None)
            errors.append((denoised - batch.images).double().square().mean(dim=(1, 2, 3)))
        noise = sigma**2 * float(torch.cat([batch.noise for batch in batches]).double().square().mean())
        found.append({"sigma": sigma, "error": float(torch.cat(errors).mean()), "noisy": noise, "mean": spread})
    return found
