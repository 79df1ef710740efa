"""What was measured of each classifier, image by image."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np

from gradaudit.packing import unpack

NONE = "none"  # the family of the unregularised classifier


class MeasuredClassifier(NamedTuple):
    """A classifier of the sweep and its N test images.

    Args:
        family: its family; `NONE` for the unregularised classifier.
        strength: the objective's; 0 for the unregularised classifier.
        correct: booleans (1 + E, N): right unperturbed, and under PGD at each radius.
        confidence: the largest probability (N,).
        alignment: (S, N), at each sigma.
        control: (S, N), the same with gradients taken at other images.
        changes: (2, R, N), of the softmax under noise on and off the manifold at each radius.
        said: the label and the caveats of each instrument's verdict.
    """

    family: str
    strength: float
    correct: np.ndarray
    confidence: np.ndarray
    alignment: np.ndarray
    control: np.ndarray
    changes: np.ndarray
    said: dict[str, dict[str, Any]]


def read(details: Mapping[str, Any]) -> list[MeasuredClassifier]:
    """The classifiers of a result's details; the unregularised one comes first."""
    return [_read(one) for one in details["classifiers"]]


def family_of(measured: list[MeasuredClassifier], family: str) -> list[MeasuredClassifier]:
    """A family's classifiers by ascending strength, the unregularised one, whose strength is 0, before them."""
    return [measured[0], *(one for one in measured if one.family == family)]


def _read(one: Mapping[str, Any]) -> MeasuredClassifier:
    names = ("confidence", "alignment", "control", "changes")
    confidence, alignment, control, changes = (unpack(one[name]).astype(float) for name in names)
    return MeasuredClassifier(
        one["family"], one["strength"], unpack(one["correct"]), confidence, alignment, control, changes, one["said"]
    )
