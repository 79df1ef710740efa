"""A classifier of two classes from a module that returns a single logit."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.classifiers.logits import find_logits


class TwoLogits(nn.Module):
    """(0, z) for a module that returns one logit z: the same probabilities under the softmax as under the sigmoid."""

    def __init__(self, classifier: nn.Module) -> None:
        super().__init__()
        self.classifier = classifier

    def forward(self, images: Tensor) -> Tensor:
        """Logits (N, 2) of images (N, C, H, W)."""
        logit: Tensor = find_logits(self.classifier(images))[0].reshape(len(images), 1)
        return torch.cat([torch.zeros_like(logit), logit], dim=1)


def two_logits(classifier: nn.Module) -> nn.Module:
    """A classifier with logits (N, 2) from one that returns a single logit, (N,) or (N, 1), of its class 1."""
    return TwoLogits(classifier)
