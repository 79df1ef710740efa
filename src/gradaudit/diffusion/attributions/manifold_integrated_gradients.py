"""Manifold integrated gradients: the gradient integrated along a path that an autoencoder's decoder can make."""

from __future__ import annotations

import copy
import os
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions._completeness import complete
from gradaudit.attributions._gradients import check_images, input_gradient
from gradaudit.attributions._path import along_line, from_the_baseline
from gradaudit.batching import frozen, placed
from gradaudit.diffusion.autoencoder import load_autoencoder
from gradaudit.diffusion.geodesics import latent_path
from gradaudit.errors import require, require_whole

AT_ONCE = 16  # images whose paths are decoded together, each in two images a step


@complete(from_the_baseline)
def manifold_integrated_gradients(
    classifier: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    autoencoder: str | os.PathLike[str] | nn.Module,
    steps: int = 20,
    sweeps: int = 0,
    baseline: float = 0.0,
    of: str = "logit",
) -> Tensor:
    """The gradient's line integral from a baseline to the image along decoded images: float32 (N, C, H, W).

    The path has three pieces: straight from the baseline to its reconstruction, in the autoencoder's latents from there to the
    image's reconstruction, and straight from that to the image. So it is complete, unlike the published code, which multiplies the
    mean gradient by the way from end to end and explains the reconstruction: the scores of an image add up to the quantity at the
    image itself less the quantity at the baseline. With no sweeps the middle piece is the straight line of latents (Jha et al.).

    Source: Zaher, Trzaskowski, Nguyen, Roosta (2024), Manifold Integrated Gradients: Riemannian Geometry for Feature Attribution;
    Jha, Aicher, Gazzara, Singh, Barash (2020), Enhanced Integrated Gradients.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        autoencoder: the file that `save_autoencoder` wrote, or a module with `encode(images)` and `decoder(latents)`.
        steps: points on each piece; parts of equal length in latents of the middle one, with the gradient half-way in each.
        sweeps: steps of descent of the decoded path's energy, towards the geodesic of the decoder's images; the ends stay.
        baseline: the grey level of the baseline image, 0 for black.
        of: the quantity, `"logit"`, `"loss"` or `"softmax"`.

    Raises:
        InputError: an option, a shape, a dtype or a target is not as above; the file can't be read or is of other images; the
            classifier blocks gradients.
    """
    for name, value, least in (("steps", steps, 1), ("sweeps", sweeps, 0)):
        require_whole(name, value, least)
    require(bool(np.isfinite(baseline)), "baseline", baseline, "a finite number")
    check_images(images)
    coder = _coder(autoencoder, images)
    parts = zip(torch.split(images, AT_ONCE), torch.split(targets, AT_ONCE), strict=True)
    return torch.cat([_scores(classifier, *part, coder, steps, sweeps, baseline, of) for part in parts])


def _coder(autoencoder: str | os.PathLike[str] | nn.Module, images: Tensor) -> Any:
    if not isinstance(autoencoder, nn.Module):
        return load_autoencoder(autoencoder, device=images.device)
    good = callable(getattr(autoencoder, "encode", None)) and callable(getattr(autoencoder, "decoder", None))
    expected = "an autoencoder's file, or a module with `encode` and `decoder`, as `train_autoencoder` gives one"
    require(good, "autoencoder", type(autoencoder).__name__, expected)
    elsewhere = any(weight.device != images.device for weight in autoencoder.parameters())
    return copy.deepcopy(autoencoder).to(images.device) if elsewhere else autoencoder


def _scores(
    classifier: nn.Module, images: Tensor, targets: Tensor, coder: Any, steps: int, sweeps: int, baseline: float, of: str
) -> Tensor:
    nodes, middles = _decoded(coder, images, steps, sweeps, baseline)
    total = along_line(classifier, baseline, nodes[0], targets, steps=steps, of=of)
    for (start, end), middle in zip(pairwise(nodes), middles, strict=True):
        total += input_gradient(classifier, middle, targets, of) * (end - start).float()
    return total + along_line(classifier, nodes[-1], images, targets, steps=steps, of=of)


def _decoded(coder: Any, images: Tensor, steps: int, sweeps: int, baseline: float) -> tuple[Tensor, Tensor]:
    """The images (steps + 1, n, C, H, W) on the path from the baseline's reconstruction to the images', and half-way between."""
    with frozen(coder):
        with torch.no_grad():
            grey, own = (coder.encode(placed(coder, one)) for one in (torch.full_like(images, baseline), images))
        path = latent_path(coder.decoder, grey, own, steps=steps, sweeps=sweeps)
        with torch.no_grad():
            both = [coder.decoder(one.flatten(0, 1)) for one in (path, (path[:, 1:] + path[:, :-1]) / 2)]
    nodes, middles = (one.reshape(len(images), -1, *images.shape[1:]).to(images).movedim(1, 0) for one in both)
    return nodes, middles
