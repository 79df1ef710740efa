"""What became of every image: computed group by group, and kept in the store as soon as a group is done."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import halving, placed
from gradaudit.devices import seeded
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet
from gradaudit.instruments.robustness.methods import Method, call
from gradaudit.instruments.robustness.subject import Averaged, check_moved, is_label
from gradaudit.progress import progress
from gradaudit.training.store import Store, packed, unpacked

GROUP = 128  # images whose outcome is kept at once; fixed, since AutoAttack draws for a group and not for an image


@dataclass(frozen=True, eq=False)
class Outcomes:
    """What becomes of the images of a classifier under each method: computed, or taken from the store.

    Args:
        classifier: on `device`, frozen.
        owner: the classifier's fingerprint.
        images: all images.
        norm: `"l2"` or `"linf"`.
        eot: passes over which an attack's gradients are averaged.
        seed: of a randomised classifier's own draws, and of the user's attacks.
        batch_size: images that go through the classifier at once.
        device: where that is.
        store: of finished groups.
        show_progress: print the time left to standard error.
    """

    classifier: nn.Module
    owner: str
    images: ImageSet
    norm: str
    eot: int
    seed: int
    batch_size: int
    device: torch.device
    store: Store
    show_progress: bool

    @property
    def attacked(self) -> nn.Module:
        """What an attack takes gradients of."""
        return Averaged(self.classifier, self.eot) if self.eot > 1 else self.classifier

    @property
    def attack_batch(self) -> int:
        """Images that an attack can take at once."""
        return max(1, self.batch_size // self.eot)

    def batch(self, which: np.ndarray) -> tuple[Tensor, Tensor]:
        """Images on the classifier's device and in its dtype, and their labels."""
        pixels = self.images.floats(torch.from_numpy(which))
        return placed(self.classifier, pixels.to(self.device)), self.images.labels[torch.from_numpy(which)].to(self.device)

    def clean(self) -> np.ndarray:
        """Boolean (N,): which images the classifier gives their label."""
        return self._correct("clean accuracy", {"method": "clean"}, np.ones(len(self.images), bool), self._clean_group)

    def withstood(self, method: Method, eps: float, start: np.ndarray) -> np.ndarray:
        """Boolean (N,): which of the images in `start`, a boolean (N,), keep their label under the attack; False elsewhere."""
        description = {"method": method.fingerprint, "eps": eps, "eot": self.eot}

        def work(which: np.ndarray) -> Tensor:
            return self._attack_group(method, eps, which)

        return self._correct(f"{method.name}, {self.norm} {eps:g}", description, start, work)

    def measured(self, method: Method, eps: float | None) -> dict[str, list[Any]]:
        """A measure's numbers for each image; `eps` is None for one that finds the radius itself."""
        description = {"method": method.fingerprint, "eps": eps}
        found: dict[str, list[Any]] = {}

        def work(which: np.ndarray) -> dict[str, Any]:
            images, labels = self.batch(which)
            numbers = call(method, self.classifier, images, labels, eps, batch_size=self.batch_size)
            return {name: values.tolist() for name, values in numbers.items()}

        def keep(_: np.ndarray, outcome: Mapping[str, Any]) -> None:
            for name, values in outcome.items():
                found.setdefault(name, []).extend(values)

        title = method.name if eps is None else f"{method.name}, {eps:g}"
        self._each_group(title, description, np.ones(len(self.images), bool), work, keep)
        return found

    def remembered(self, description: Mapping[str, Any], which: np.ndarray, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
        """The outcome of what is described on these images, from the store or by doing it."""
        whole = self._describe(description, which)
        outcome = self.store.get(whole)
        if outcome is None:
            with seeded(self.seed, self.device):  # a randomised classifier draws the same however the run was cut
                outcome = work()
            self.store.put(whole, outcome)
        return outcome

    def _correct(
        self, title: str, description: Mapping[str, Any], start: np.ndarray, work: Callable[[np.ndarray], Tensor]
    ) -> np.ndarray:
        correct = np.zeros(len(self.images), bool)

        def keep(which: np.ndarray, outcome: Mapping[str, Any]) -> None:
            correct[which] = unpacked(outcome["correct"], len(which))

        self._each_group(title, description, start, lambda which: {"correct": packed(work(which).cpu().numpy())}, keep)
        return correct

    def _each_group(
        self,
        title: str,
        description: Mapping[str, Any],
        start: np.ndarray,
        work: Callable[[np.ndarray], dict[str, Any]],
        keep: Callable[[np.ndarray, Mapping[str, Any]], None],
    ) -> None:
        with progress(title, int(start.sum()), self.show_progress) as advance:
            for first in range(0, len(start), GROUP):
                which = first + np.flatnonzero(start[first : first + GROUP])
                if len(which):
                    keep(which, self.remembered(description, which, partial(work, which)))
                    advance(len(which))

    def _clean_group(self, which: np.ndarray) -> Tensor:
        images, labels = self.batch(which)

        def work(part: slice) -> Tensor:
            return is_label(self.classifier, images[part], labels[part])

        return torch.cat([found for _, found in halving(work, len(which), self.batch_size)])

    def _attack_group(self, method: Method, eps: float, which: np.ndarray) -> Tensor:
        images, labels = self.batch(which)

        def work(part: slice) -> Tensor:
            chosen = images[part], labels[part]
            moved = call(method, self.attacked, *chosen, eps, batch_size=self.attack_batch)
            return is_label(self.classifier, check_moved(method.name, moved, chosen[0], self.norm, eps), chosen[1])

        size = len(which) if method.has("batch_size") else self.attack_batch
        return torch.cat([found for _, found in halving(work, len(which), size)])

    def _describe(self, description: Mapping[str, Any], which: np.ndarray) -> dict[str, Any]:
        chosen = torch.from_numpy(which)
        return {
            "what": "robustness",
            "classifier": self.owner,
            "images": fingerprint(self.images.images[chosen], self.images.labels[chosen]),
            "seed": self.seed,
            "device": self.device.type,
            **_versions(),
            **description,
        }


def _versions() -> dict[str, str]:
    """Another version's outcomes are not used."""
    found = {"torch": torch.__version__, "gradaudit": version("gradaudit")}
    try:
        return found | {"pyautoattack": version("pyautoattack")}
    except PackageNotFoundError:
        return found
