"""The setup of an instrument: what is audited, and with what."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import torch
from torch import nn

from gradaudit.classifiers import class_count, classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.images import ImageSet
from gradaudit.options import Options, declared
from gradaudit.training import Recipe, Store
from gradaudit.training.backends import BackendLike


@dataclass(frozen=True, eq=False)
class Run:
    """How a run is done.

    Args:
        seed: every random draw comes from it.
        store: where finished work is kept.
        workers: trainings at once.
        backend: where they run.
        device: where to compute.
        show_progress: print progress to standard error.
        memory: bytes that a batch may take; None where nobody says.
    """

    seed: int
    store: Store
    workers: int | Literal["auto"]
    backend: BackendLike
    device: torch.device
    show_progress: bool
    memory: int | str | None = None


@dataclass(frozen=True, eq=False)
class Setup:
    """What is audited, and what it is audited with.

    Args:
        classifiers: by name.
        recipes: how those classifiers were trained of which that is known.
        train: training images.
        test: images on which all is measured.
        denoiser: of such images, or None.
        robust: a helper whose gradients lie along the data, for counterfactuals, or None.
        oracles: classifiers that are asked whether counterfactuals show what they should; the other audited ones where empty.
        run: how the run is done: seed, store, workers, backend, device, progress.
        on_blocks: classifiers trained alike on blocks of such images, by the audited ones' names.
        against: what is to keep its class while a counterfactual changes the audited one's mind, in a command, or None.
    """

    classifiers: Mapping[str, nn.Module]
    recipes: Mapping[str, Recipe]
    train: ImageSet
    test: ImageSet
    denoiser: Denoiser | None
    robust: nn.Module | None
    oracles: Mapping[str, nn.Module]
    run: Run
    on_blocks: Mapping[str, nn.Module] = field(default_factory=dict)
    against: nn.Module | None = None

    def keywords(self, options: Options, model: type[Options]) -> dict[str, Any]:
        """The keyword arguments of a function that takes a model: how the run is done, and the rest from the options."""
        every = {name: getattr(options, name) for name in declared(type(options))} | vars(self.run)
        return {name: every[name] for name in declared(model) if name in every}

    def test_images(self, count: int | None) -> ImageSet:
        """At most so many test images, drawn stratified; all for None."""
        return at_most(self.test, count, self.run.seed)

    def images_for(self, options: Options) -> ImageSet:
        """As many of the test images as the options of an audit say; all where they don't, as those of a command."""
        return self.test_images(getattr(options, "images", None))

    @property
    def unfit_denoiser(self) -> str | None:
        """Why the denoiser can't be used on these images, or None."""
        if self.denoiser is None:
            return "it needs a denoiser of such images, and none was given (denoiser=, --denoiser)"
        shape = self.denoiser.shape
        if shape is not None and tuple(shape) != tuple(self.test.shape):
            return f"the denoiser's images are of shape {tuple(shape)}, these of {tuple(self.test.shape)}"
        return None

    @cached_property
    def denoiser_mark(self) -> list[Any] | None:
        """What tells the denoiser from another, in JSON values; None where there is none."""
        return None if self.denoiser is None else [classifier_fingerprint(self.denoiser), self.denoiser.classes]

    @cached_property
    def robust_mark(self) -> str | None:
        """What tells the robust helper from another; None where there is none."""
        return None if self.robust is None else classifier_fingerprint(self.robust)

    def oracles_for(self, name: str) -> dict[str, nn.Module]:
        """The oracles for the classifier of that name: those given, or the other audited ones that know as many classes.

        No classifier is its own oracle: one of the same fingerprint is left out, under whatever name.
        """
        owner = self._fingerprints[id(self.classifiers[name])]
        found = {other: one for other, one in self._pool.items() if self._fingerprints[id(one)] != owner}
        if self.oracles:
            return found
        return {other: one for other, one in found.items() if self._logits[other] == self._logits[name]}

    @property
    def _pool(self) -> Mapping[str, nn.Module]:
        return self.oracles or self.classifiers

    @cached_property
    def _fingerprints(self) -> dict[int, str]:
        return {id(one): classifier_fingerprint(one) for one in (*self.classifiers.values(), *self.oracles.values())}

    @cached_property
    def _logits(self) -> dict[str, int]:
        return {name: class_count(one, self.test) for name, one in self.classifiers.items()}

    @cached_property
    def smallest_class(self) -> int:
        """The number of training images of the class that has the fewest."""
        return int(self.train.labels.bincount(minlength=len(self.train.classes)).min())


def at_most(images: ImageSet, count: int | None, seed: int) -> ImageSet:
    """At most so many of the images, drawn stratified; all for None."""
    return images if count is None or count >= len(images) else images.sample(count, seed)
