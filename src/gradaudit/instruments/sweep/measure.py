"""One classifier of a sweep: trained once, measured by three instruments, its outcome kept in the store."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import nn

from gradaudit.batching import batch_size_for, evaluating, halving, probabilities
from gradaudit.devices import one_thread
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.instruments.alignment import AlignmentResult, alignment
from gradaudit.instruments.alignment.result import values_of
from gradaudit.instruments.manifold_robustness import manifold_robustness
from gradaudit.instruments.robustness import RobustnessResult, robustness
from gradaudit.packing import pack
from gradaudit.results import Result
from gradaudit.training import Recipe, Store, train_once

Arrays = tuple[Any, ...]


@dataclass(frozen=True, eq=False)
class SweepInputs:
    """What all classifiers of a sweep are trained on and measured with; its arrays may be memory-mapped.

    Args:
        train: an image set's pixels, labels, classes and signal mask.
        test: likewise.
        bases: tangent spaces at the test images, floats (N, T, F).
        denoiser: of such images.
        robust: options of `robustness`; likewise for the other two instruments.
        aligned: see `robust`.
        moved: see `robust`.
        seed: of all draws.
        store: where classifiers and outcomes are kept.
        device: where all is computed.
    """

    train: Arrays
    test: Arrays
    bases: np.ndarray
    denoiser: Denoiser
    robust: Mapping[str, Any]
    aligned: Mapping[str, Any]
    moved: Mapping[str, Any]
    seed: int
    store: Store
    device: str


def arrays(images: ImageSet) -> Arrays:
    """What `ImageSet(*arrays)` makes the same set of; workers share the memory of arrays, not of tensors."""
    mask = None if images.signal_mask is None else images.signal_mask.numpy()
    return images.images.numpy(), images.labels.numpy(), images.classes, mask


def outcome_of(recipe: Recipe, description: dict[str, Any], inputs: SweepInputs) -> dict[str, Any]:
    """The outcome of a classifier, from the store or by training and measuring it."""
    found = inputs.store.get(description)
    if found is None:
        with one_thread():
            classifier = train_once(recipe, ImageSet(*inputs.train), store=inputs.store, device=inputs.device)
            found = measured(classifier, ImageSet(*inputs.test), inputs)
        inputs.store.put(description, found)
    return found


def measured(classifier: nn.Module, test: ImageSet, inputs: SweepInputs) -> dict[str, Any]:
    """What was measured at every test image, packed, and what the instruments said.

    Returns:
        `correct`, booleans (1 + E, N), unperturbed and under PGD at each radius; `confidence` (N,), the largest probability;
        `alignment` and `control` (S, N) at each sigma; `changes` (2, R, N), on and off the manifold at each radius; `said`.
    """
    shared: dict[str, Any] = {"seed": inputs.seed, "device": inputs.device}
    robust = robustness(classifier, test, attack="pgd", store=inputs.store, **inputs.robust, **shared)
    aligned = alignment(classifier, test, inputs.denoiser, **inputs.aligned, **shared)
    moved = manifold_robustness(classifier, test, torch.from_numpy(inputs.bases), **inputs.moved, **shared)
    audited, control = _aligned(aligned)
    return {
        "correct": pack(_correct(robust)),
        "confidence": pack(_confidence(classifier, test)),
        "alignment": pack(audited),
        "control": pack(control),
        "changes": pack(moved.per_image().astype(np.float32)),
        "said": {result.kind: _said(result) for result in (robust, aligned, moved)},
    }


def _correct(result: RobustnessResult) -> np.ndarray:
    return np.stack([result.withstood(result.attacks[0], eps) for eps in result.settings["eps"]])


def _aligned(result: AlignmentResult) -> tuple[np.ndarray, np.ndarray]:
    """The values at each sigma, and those of the control: the same gradient taken at another image."""
    values = values_of(result.details, result.settings)
    names = (result.gradients[0], result.controls[0])
    audited, control = (np.stack([found for row, found in values.items() if row.gradient == name]) for name in names)
    return audited.astype(np.float32), control.astype(np.float32)


@torch.no_grad()
def _confidence(classifier: nn.Module, test: ImageSet) -> np.ndarray:
    device = next((weight.device for weight in classifier.parameters()), torch.device("cpu"))
    size = batch_size_for(classifier, test.floats([0]), device=device)
    with evaluating(classifier):
        parts = halving(lambda part: probabilities(classifier, test.floats(part)).amax(1).cpu(), len(test), size)
        found: np.ndarray = torch.cat([one for _, one in parts]).float().numpy()
    return found


def _said(result: Result) -> dict[str, Any]:
    return {"label": result.verdict.label, "caveats": list(result.verdict.caveats)}
