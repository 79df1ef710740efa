"""The exponential moving average of a classifier's weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn


class Average:
    """An average over the steps of a training; the classifier itself trains on unchanged.

    Early on the average is short, (1 + n) / (10 + n) after n steps at most, lest it remember the initial weights.

    Args:
        classifier: its floating-point weights and buffers (the statistics of batch norm) are averaged.
        decay: share of the average that is kept at a step, in (0, 1).
    """

    def __init__(self, classifier: nn.Module, decay: float) -> None:
        self.decay = decay
        self.steps = 0
        self.live = [value for value in classifier.state_dict().values() if value.is_floating_point()]
        self.mean = [value.clone() for value in self.live]

    @torch.no_grad()
    def update(self) -> None:
        """Take in the classifier as it is now."""
        keep = min(self.decay, (1 + self.steps) / (10 + self.steps))
        self.steps += 1
        for mean, live in zip(self.mean, self.live, strict=True):
            mean.lerp_(live, 1 - keep)

    @contextmanager
    def shown(self) -> Iterator[None]:
        """The classifier has the averaged weights inside, and its own again afterwards."""
        self._swap()
        try:
            yield
        finally:
            self._swap()

    def settle(self) -> None:
        """Give the classifier the averaged weights for good."""
        self._swap()

    def state(self) -> dict[str, int | list[Tensor]]:
        """What `load` takes."""
        return {"steps": self.steps, "mean": self.mean}

    @torch.no_grad()
    def load(self, steps: int, mean: list[Tensor]) -> None:
        """Go on from a `state`."""
        self.steps = steps
        for own, saved in zip(self.mean, mean, strict=True):
            own.copy_(saved)

    @torch.no_grad()
    def _swap(self) -> None:
        for mean, live in zip(self.mean, self.live, strict=True):
            own = live.clone()
            live.copy_(mean)
            mean.copy_(own)
