"""Transfer: what other classifiers see in images that were changed by this classifier's own gradient."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from gradaudit.batching import halving, placed
from gradaudit.classifiers import log_odds
from gradaudit.images import ImageSet, stratified
from gradaudit.instruments.alignment.measure import AlignmentInputs
from gradaudit.intervals import share_interval
from gradaudit.noise import generators
from gradaudit.training.perturbations import climb

ITSELF = "itself"
COLUMNS = ("oracle", "radius", "value", "low", "high", "before")
MOST = 200  # images: enough for intervals of at most .14
STEPS = 40
MEAN_CHANGE = 0.1  # of a pixel value, root mean square, where no radius is given


def resolve_transfer_radius(radius: float | None, images: ImageSet) -> float:
    """The L2 radius given, or that of a root mean square change of 0.1 a pixel value: 2.8 for MNIST, 5.5 for CIFAR-10."""
    return MEAN_CHANGE * math.sqrt(math.prod(images.shape)) if radius is None else radius


def transfer(inputs: AlignmentInputs, oracles: Mapping[str, nn.Module], radius: float, batch_size: int) -> dict[str, Any]:
    """The class towards which each image was changed, and which were seen before and after, as JSON values.

    Up to 200 images, drawn stratified, climb the classifier's log odds of another class, drawn for each image, by 40 normalised
    steps within an L2 ball and [0, 1]. Perceptually aligned gradients paint the class (Santurkar et al., 2019, Image Synthesis with
    a Single (Robust) Classifier; Ganz and Elad, 2024, CLIPAG, arXiv 2306.16805), so that others see it; others' gradients fool one
    classifier.

    Args:
        inputs: the classifier on its device, frozen, and the images.
        oracles: other classifiers of the same classes, by name, on the device and in evaluation mode.
        radius: of the ball, above 0.
        batch_size: images at once.
    """
    which, _ = stratified(inputs.images.labels, min(MOST, len(inputs.images)), inputs.seed).sort()
    judges = {ITSELF: inputs.classifier, **oracles}
    parts = [found for _, found in halving(lambda part: _changed(inputs, judges, radius, which[part]), len(which), batch_size)]
    seen = {when: {name: [hit for one in parts for hit in one[when][name]] for name in judges} for when in ("before", "after")}
    return {"radius": radius, "which": which.tolist(), "targets": [one for part in parts for one in part["targets"]], **seen}


def transfer_table(found: Mapping[str, Any] | None) -> pd.DataFrame:
    """A row for the classifier itself and for each oracle; none where nothing was measured."""
    rows = []
    for name, hits in (found["after"] if found else {}).items():
        before = float(np.mean(found["before"][name]))  # type: ignore[index]
        rows.append((name, found["radius"], *share_interval(np.array(hits)), before))  # type: ignore[index]
    return pd.DataFrame(rows, columns=list(COLUMNS))


def _changed(inputs: AlignmentInputs, judges: Mapping[str, nn.Module], radius: float, which: Tensor) -> dict[str, Any]:
    images = inputs.images.floats(which)
    targets = _other_classes(images, inputs.images.labels[which], len(inputs.images.classes), inputs.seed).to(inputs.device)
    start = placed(inputs.classifier, images.to(inputs.device))
    changed = climb(
        lambda moved: log_odds(inputs.classifier(moved), targets).sum(),
        start,
        start.clone(),
        norm="l2",
        eps=radius,
        steps=STEPS,
        step=2.5 * radius / STEPS,
    )
    return {
        "targets": targets.tolist(),
        "before": {name: _sees(judge, start, targets) for name, judge in judges.items()},
        "after": {name: _sees(judge, changed, targets) for name, judge in judges.items()},
    }


def _other_classes(images: Tensor, labels: Tensor, classes: int, seed: int) -> Tensor:
    """A class other than its label for each image, drawn by the image and the seed."""
    steps = [int(source.integers(1, classes)) for source in generators(images, seed, "transfer")]
    return (labels + torch.tensor(steps)) % classes


@torch.no_grad()
def _sees(judge: nn.Module, images: Tensor, targets: Tensor) -> list[bool]:
    found: list[bool] = (judge(placed(judge, images)).argmax(dim=1) == targets).tolist()
    return found
