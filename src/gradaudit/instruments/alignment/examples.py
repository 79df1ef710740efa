"""Some images beside their gradients and scores, small enough to be kept with the result."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.images import stratified
from gradaudit.instruments.alignment.measure import AlignmentInputs

COUNT = 8
BUDGET = 2 * 2**20  # bytes of all maps


@dataclass(frozen=True, eq=False)
class Examples:
    """Images and what was found at them.

    Args:
        images: floats (n, C, H, W) in [0, 1].
        labels: the n class names.
        sigma: of the scores.
        gradients: by name, floats (n, C, H, W), each map divided by its largest magnitude.
        scores: likewise.
    """

    images: Tensor
    labels: tuple[str, ...]
    sigma: float
    gradients: dict[str, Tensor]
    scores: dict[str, Tensor]


def examples(inputs: AlignmentInputs, sigma: float) -> dict[str, Any]:
    """Up to eight images, of different classes as far as there are, with their gradients and scores, as JSON values."""
    maps = len(inputs.gradients) + len(inputs.scores)
    fitting = max(1, BUDGET // (maps * inputs.images.images[0].numel()))
    which = stratified(inputs.images.labels, min(COUNT, fitting, len(inputs.images)), inputs.seed).sort().values
    batch = inputs.batch(which)
    points = inputs.points(batch, sigma)
    gradients = inputs.gradients_at(points, batch.targets)
    scores = inputs.scores_at(points, sigma, batch.targets)
    return {
        "which": which.tolist(),
        "sigma": sigma,
        "images": _written(inputs.images.images[which]),
        "gradients": {name: _written(_coarse(found)) for name, found in gradients.items()},
        "scores": {name: _written(_coarse(found)) for name, found in scores.items()},
    }


def read_examples(details: Mapping[str, Any], settings: Mapping[str, Any]) -> Examples:
    """The examples of a result."""
    kept = details["examples"]
    shape = (len(kept["which"]), *settings["shape"])

    def maps(group: str) -> dict[str, Tensor]:
        return {name: _read(text, np.int8, shape).float() / 127 for name, text in kept[group].items()}

    labels = tuple(settings["classes"][details["labels"][place]] for place in kept["which"])
    return Examples(_read(kept["images"], np.uint8, shape).float() / 255, labels, kept["sigma"], maps("gradients"), maps("scores"))


def _coarse(maps: Tensor) -> Tensor:
    """The maps in 255 steps from -127 to 127, their own largest magnitude: all that a picture shows."""
    largest = maps.abs().amax(dim=(1, 2, 3), keepdim=True)
    return (maps / largest.where(largest > 0, 1) * 127).round().to(torch.int8)


def _written(values: Tensor) -> str:
    return base64.b64encode(values.cpu().contiguous().numpy().tobytes()).decode()


def _read(text: str, dtype: type[np.generic], shape: tuple[int, ...]) -> Tensor:
    return torch.from_numpy(np.frombuffer(base64.b64decode(text), dtype).reshape(shape).copy())
