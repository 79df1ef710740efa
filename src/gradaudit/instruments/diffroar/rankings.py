"""Rankings of the training and test images, made once and kept in the store."""

from __future__ import annotations

import json
import warnings
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.lib.stride_tricks import as_strided
from torch import Tensor, nn

from gradaudit.attributions import Attribution, Features, attribute, check_complete, rank, rank_dtype
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.evaluator.training import VERSIONS
from gradaudit.files import fingerprint, map_array, whole_array, write_text
from gradaudit.images import ImageSet
from gradaudit.progress import Advance, progress
from gradaudit.training.store import Store


@dataclass(frozen=True)
class Ranking:
    """Centred ranks (N, F), memory-mapped, and the fingerprint of their values; None and "" for whole images."""

    ranks: np.ndarray | None
    fingerprint: str


@dataclass(frozen=True, eq=False)
class Ranker:
    """What decides a ranking, beside its attribution.

    Args:
        classifier: what is audited.
        sets: the training and the test images.
        features: what is ranked.
        target: the class that is attributed.
        seed: of ties, attributions and targets that are drawn.
        store: where rankings are kept.
        device: where attributions are computed.
    """

    classifier: nn.Module
    sets: Mapping[str, ImageSet]
    features: Features
    target: str
    seed: int
    store: Store
    device: torch.device

    @cached_property
    def owner(self) -> str:
        """The classifier's fingerprint."""
        return classifier_fingerprint(self.classifier)

    @property
    def feature_count(self) -> int:
        """Number of features of an image."""
        channels, height, width = self.sets["train"].shape
        return height * width * (channels if self.features == "coordinates" else 1)

    def rankings(
        self, attributions: Mapping[str, Mapping[str, Attribution]], *, make: bool, show_progress: bool = False
    ) -> dict[str, dict[str, Ranking]]:
        """The rankings by each attribution of the sets that it is given for; what the store lacks is made, or stood in for."""
        paths = {
            (name, part): self.store.path(self._describe(attributions[name][part], self.sets[part]), ".npy")
            for name in attributions
            for part in attributions[name]
        }
        found = {at: _read(self.store, path) for at, path in paths.items()}
        # Opening a stream checks its attribution: all are opened before the first, perhaps long, one is drawn from.
        streams = {at: self._scores(attributions[at[0]][at[1]], self.sets[at[1]]) for at in paths if found[at] is None}
        if make:
            total = sum(len(self.sets[part]) for _, part in streams)
            with progress("ranking features", total, show_progress and bool(streams)) as advance:
                for at, scores in streams.items():
                    self._rank(scores, len(self.sets[at[1]]), paths[at], advance)
                    found[at] = _read(self.store, paths[at])
        # For a plan, a ranking that is not made yet stands in for itself: no fit on it can be in the store.
        known = {at: ranking or self._stand_in(at[1], paths[at]) for at, ranking in found.items()}
        return {name: {part: known[name, part] for part in attributions[name]} for name in attributions}

    def _scores(self, attribution: Attribution, images: ImageSet) -> Iterator[tuple[slice, Tensor]]:
        return attribute(self.classifier, images, attribution, warn=False, **self._how)

    def incomplete(self, attributions: Mapping[str, Mapping[str, Attribution]]) -> tuple[str, ...]:
        """What must be known of attributions whose maps of test images do not add up to what they promise; warns of each."""
        of_test = {name: parts["test"] for name, parts in attributions.items()}
        return check_complete(self.classifier, self.sets["test"], of_test, **self._how)

    @property
    def _how(self) -> dict[str, Any]:
        return {"target": self.target, "seed": self.seed, "device": self.device}

    def _rank(self, stream: Iterator[tuple[slice, Tensor]], total: int, path: Path, advance: Advance) -> None:
        count = self.feature_count
        with whole_array(path, (total, count), rank_dtype(count)) as ranks:
            for where, scores in stream:
                ranks[where] = rank(scores.cpu(), where.start, self.seed, self.features)
                advance(len(scores))
        write_text(_beside(path), json.dumps({"fingerprint": fingerprint(map_array(path))}) + "\n")
        for written in (path, _beside(path)):
            self.store.publish(written)

    def _describe(self, attribution: Attribution, images: ImageSet) -> dict[str, Any]:
        described = {
            "what": "rankings",
            "attribution": attribution.fingerprint,
            "images": images.fingerprint,
            "features": self.features,
            "seed": self.seed,
            "device": self.device.type,
            **VERSIONS,
        }
        return described | ({"classifier": self.owner, "target": self.target} if attribution.needs_classifier else {})

    def _stand_in(self, part: str, path: Path) -> Ranking:
        count = self.feature_count
        ranks = (np.random.default_rng(0).permutation(count) - count // 2).astype(rank_dtype(count))
        every = as_strided(ranks, (len(self.sets[part]), count), (0, ranks.itemsize))  # takes the memory of one image
        return Ranking(every, f"not made: {path.name}")


def _read(store: Store, path: Path) -> Ranking | None:
    """The ranking at `path`, or None where there is none; a damaged one counts as none, with a warning."""
    try:
        text = store.fetch(_beside(path)).read_text(encoding="utf-8")
        return Ranking(map_array(store.fetch(path)), json.loads(text)["fingerprint"])
    except FileNotFoundError:
        return None
    except (OSError, EOFError, ValueError, KeyError, TypeError) as error:
        warnings.warn(f"ignoring a damaged ranking in the store, {path}: {error}", stacklevel=2)
        return None


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")
