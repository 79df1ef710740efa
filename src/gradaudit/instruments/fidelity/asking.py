"""What a classifier answers to images of which a part was removed and filled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import check_logits, halving, placed
from gradaudit.devices import seeded
from gradaudit.errors import require
from gradaudit.fills import Fill
from gradaudit.images import ImageSet

CHUNK = 256  # images that are filled at once, whatever the batch size: what a fill draws must not depend on that
NUMBERS = 2**23  # of theirs at most, likewise


def silent(count: int) -> None:
    """Tell nobody."""


class Answers(NamedTuple):
    """What a classifier said of each image, arrays (N,).

    Args:
        given: the class that it gives, int64.
        logit: of the target, float64.
        log: log p(target), natural, float64.
        confidence: the probability of the class that it gives, float64.
    """

    given: np.ndarray
    logit: np.ndarray
    log: np.ndarray
    confidence: np.ndarray


def filled_at_once(images: ImageSet) -> int:
    """How many of the images are filled at once."""
    return max(1, min(CHUNK, NUMBERS // images.images[0].numel()))


@dataclass(frozen=True, eq=False)
class Subject:
    """A classifier that is asked about images.

    Args:
        classifier: images in [0, 1] to logits (N, K), on the device, in evaluation mode.
        images: all of them.
        targets: int64 (N,), the class that each image is asked for.
        seed: of the fills that draw from torch's random state.
        size: images that the classifier is given at once.
        device: where to compute.
        advance: told how many images were asked about after each part of the set.
    """

    classifier: nn.Module
    images: ImageSet
    targets: Tensor
    seed: int
    size: int
    device: torch.device
    advance: Callable[[int], None] = silent

    @property
    def chunks(self) -> list[slice]:
        """The parts of the set that are filled at once."""
        step = filled_at_once(self.images)
        return [slice(start, min(start + step, len(self.images))) for start in range(0, len(self.images), step)]

    def as_they_are(self) -> Answers:
        """The answers to whole images."""
        return self._joined(lambda which: self.images.floats(which, self.device))

    def filled(self, fill: Fill, kept: Callable[[slice], Tensor]) -> Answers:
        """The answers once all is filled but what is kept.

        Args:
            fill: what stands where features were removed.
            kept: from a part of the set to boolean (n, C, H, W) or (n, 1, H, W), True where a value is kept.

        Raises:
            InputError: logits that are NaN or infinite.
        """
        return self._joined(lambda which: self._fill(fill, which, kept(which)))

    def _fill(self, fill: Fill, which: slice, kept: Tensor) -> Tensor:
        drawn = np.random.SeedSequence([self.seed, which.start]).generate_state(1)[0]
        with seeded(int(drawn), self.device):
            return fill(self.images.floats(which, self.device), kept)

    @torch.no_grad()
    def _joined(self, shown: Callable[[slice], Tensor]) -> Answers:
        parts: list[Answers] = []
        for which in self.chunks:
            parts += self._answers(shown(which), self.targets[which].to(self.device))
            self.advance(which.stop - which.start)
        return Answers(*(np.concatenate(one) for one in zip(*parts, strict=True)))

    def _answers(self, images: Tensor, targets: Tensor) -> list[Answers]:
        def ask(which: slice) -> Tensor:
            batch = images[which]
            logits = check_logits(self.classifier(placed(self.classifier, batch)), batch).double()
            expected = "one with finite logits where features are removed too; it returned NaN or infinity"
            require(bool(logits.isfinite().all()), "classifier", type(self.classifier).__name__, expected)
            return logits

        return [_read(logits, targets[which]) for which, logits in halving(ask, len(images), self.size)]


def _read(logits: Tensor, targets: Tensor) -> Answers:
    logs = logits.log_softmax(dim=1)
    best = logs.max(dim=1)
    chosen = [one.gather(1, targets[:, None])[:, 0] for one in (logits, logs)]
    return Answers(*(one.cpu().numpy() for one in (best.indices, *chosen, best.values.exp())))
