"""Logits out of what other libraries' classifiers return: an output with `logits`, a dictionary, a tuple."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from typing import Any
from weakref import WeakSet

import torch
from torch import Tensor, nn

from gradaudit.batching import evaluating, placed
from gradaudit.images import ImageSet

_told: WeakSet[nn.Module] = WeakSet()


class Logits(nn.Module):
    """The logits alone of a module that returns them among other things; it shares the module, its modes and its weights."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier
        self.training = classifier.training

    def forward(self, images: Tensor) -> Any:
        """Logits (N, K) of images (N, C, H, W)."""
        return find_logits(self.classifier(images))[0]


def find_logits(output: Any) -> tuple[Any, str]:
    """The logits in what a module returned, and words for where they were; the output itself and no words where it has none."""
    kind = type(output).__name__
    if isinstance(output, Tensor):
        return output, ""
    if isinstance(found := getattr(output, "logits", None), Tensor):
        return found, f"`logits` of its {kind}"
    if isinstance(output, Mapping) and isinstance(found := output.get("logits"), Tensor):
        return found, f"`logits` of its {kind}"
    if isinstance(output, tuple | list) and output and _may_be_logits(output[0]):
        return output[0], f"the first of its {kind}"
    return output, ""


def with_logits(classifier: nn.Module, images: ImageSet, argument: str = "classifier") -> nn.Module:
    """The classifier itself, or one that returns the logits which it was found to return among other things.

    Args:
        classifier: images (N, C, H, W) to whatever; it is left as it was, and asked about two of the images.
        images: that it takes.
        argument: the word for the classifier in the warning.

    Warns:
        UserWarning: the first time that something else than logits was returned; says what is taken for them.
    """
    try:
        with evaluating(classifier), torch.no_grad():
            where = find_logits(classifier(placed(classifier, images.floats([0, len(images) - 1]))))[1]
    except Exception:  # a user's module may raise anything; `check_classifier` says what
        return classifier
    if not where:
        return classifier
    if classifier not in _told:
        _told.add(classifier)
        warnings.warn(f"`{argument}` (={type(classifier).__name__}): {where} is taken as logits", UserWarning, stacklevel=3)
    return Logits(classifier)


def _may_be_logits(value: Any) -> bool:
    return isinstance(value, Tensor) and value.ndim == 2 and value.is_floating_point()
