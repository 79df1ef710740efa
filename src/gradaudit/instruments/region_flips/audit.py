"""`region_flips`: rank, change the top alone and the bottom alone, ask the classifier and others."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import controls_beside, kept, kept_count, named_attributions, opened, rank
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import resolve_device
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual import counterfactual_differences
from gradaudit.instruments.counterfactual.arguments import (
    Method,
    check_classifiers,
    check_denoiser,
    check_subjects,
    probabilities_of,
    resolve_methods,
    resolve_targets,
)
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.instruments.region_flips.options import RegionFlipsOptions
from gradaudit.instruments.region_flips.result import SIDES, RegionFlipsResult, tabulate
from gradaudit.instruments.region_flips.verdict import judge
from gradaudit.options import takes
from gradaudit.packing import pack
from gradaudit.progress import Advance, progress

Stream = Iterator[tuple[slice, Tensor]]
Answers = dict[str, np.ndarray]
"""Whether images were flipped, under `FLIPPED`, and whether each oracle confirms it, under its name: booleans."""
FLIPPED = ""  # no oracle's name


@takes(RegionFlipsOptions)
def region_flips(
    classifier: nn.Module,
    images: ImageSet,
    oracles: Mapping[str, nn.Module] | None = None,
    *,
    denoiser: Denoiser | None = None,
    robust: nn.Module | None = None,
    options: RegionFlipsOptions,
) -> RegionFlipsResult:
    """Whether images become another class, to others too, when only what their map ranks first may change; nothing is trained.

    Each image is changed towards its second most likely class, once in the top-ranked share of its pixels alone and once in the
    bottom-ranked share alone, by the same method within the same radius. A flip is confirmed where an oracle, which did not see the
    class before, sees it after. The share of confirmed flips on top less that at the bottom is what counts: by its own flips every
    classifier's gradient looks good, for where it is large the classifier's outputs change most, whatever that means.

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it. It is moved to `device`, as are
            all others.
        images: images with their labels.
        oracles: other classifiers of the same classes, by name; without one flips are counted and none is confirmed.
        denoiser: of such images, for methods that walk through one.
        robust: a classifier whose gradients guide the methods that ask for one; it is then no oracle that counts.
        {options}

    Returns:
        A result with `table`, `whole`, `verdict` (`decisive`, `indifferent`, `upside down` or `inconclusive`),
        `per_image(attribution)`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins; images of a single pixel.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    check_subjects(images, denoiser)
    require(images.shape[1] * images.shape[2] > 1, "images", images, "images of at least two pixels")
    method = the_method(options.method)
    check_denoiser({method.name: method}, denoiser)
    audited = named_attributions(options.attribution, options.seed)
    beside, left_out = controls_beside(options.controls, audited, options.seed)
    place = torch.empty(0, device=resolve_device(options.device)).device
    classifier, robust, others, caveats = check_classifiers(classifier, robust, oracles or {}, images)
    classifier, others = classifier.to(place), {name: one.to(place) for name, one in others.items()}
    before = probabilities_of(classifier, images, place)
    _, targets = resolve_targets("second", before, images, denoiser if asks_helpers(method) else None)
    attributed = images.labels if options.target == "label" else before.argmax(dim=1)
    how: dict[str, Any] = {"target": attributed, "seed": options.seed, "batch_size": options.batch_size, "device": place}
    streams, impossible, doubts = opened(classifier, images, audited, beside, **how)
    changing = _Changing(classifier, images, targets, {"denoiser": denoiser, "robust": robust}, options, place)
    seen = {name: probabilities_of(one, images, place).argmax(dim=1) for name, one in others.items()}
    asked = _Asked(classifier, others, seen, targets, place)
    helper = classifier_fingerprint(robust) if robust is not None and asks_helpers(method) else None
    settings = {
        "attributions": list(audited),
        "controls": [name for name in beside if name in streams],
        "left_out": left_out | impossible,
        "oracles": list(others),
        "device": place.type,
        "classifier": classifier_fingerprint(classifier),
        **_settings(options, method),
        **images.settings,
    }
    with progress("changing images", len(images) * cell_count(len(streams), options), options.show_progress) as advance:
        whole = asked.about(changing.within(None))
        advance(len(images))
        read = {}
        for name, stream in streams.items():
            ranks = _ranked(stream, images, options.seed)
            read[name] = _stacked(_cells(ranks, changing, asked, advance))
    details = {
        "targets": pack(targets.numpy()),
        "whole": _packed(whole),
        "read": {name: _packed(one) for name, one in read.items()},
        "oracles": {name: asked.oracle(name, before, helper) for name in others},
    }
    table = tabulate(details, settings)
    return RegionFlipsResult(table, judge(table, details, settings).with_caveats((*caveats, *doubts)), settings, details)


def _settings(options: RegionFlipsOptions, method: Method) -> dict[str, Any]:
    """What was asked for, for the result."""
    return {
        "levels": list(options.levels),
        "method": method.name,
        "method_options": {name: value for name, value in method.options.items() if isinstance(value, (str, int, float, bool))},
        "target": options.target,
        "seed": options.seed,
    }


def the_method(method: Any) -> Method:
    """The single method that is meant.

    Raises:
        InputError: it is none, or several.
    """
    found = resolve_methods(method)
    require(len(found) == 1, "method", method, "a single method: sides are compared under the same")
    return next(iter(found.values()))


def cell_count(maps: int, options: RegionFlipsOptions) -> int:
    """How many times each image is changed: as a whole, and on each side at each level for so many maps."""
    return 1 + maps * len(options.levels) * len(SIDES)


@dataclass(frozen=True, eq=False)
class _Asked:
    """Who is asked about changed images, and the classes that the oracles saw in the originals, (N,) each."""

    classifier: nn.Module
    oracles: Mapping[str, nn.Module]
    seen: Mapping[str, Tensor]
    targets: Tensor
    device: torch.device

    def about(self, changed: ImageSet) -> Answers:
        """What is said of each image, (N,); an oracle that saw the target before does not confirm that it is there after."""
        flipped = self._sees(self.classifier, changed)
        return {FLIPPED: flipped} | {
            name: flipped & self._sees(one, changed) & (self.seen[name] != self.targets).numpy()
            for name, one in self.oracles.items()
        }

    def oracle(self, name: str, before: Tensor, helper: str | None) -> dict[str, Any]:
        """How far an oracle can be relied on."""
        mark, seen = classifier_fingerprint(self.oracles[name]), self.seen[name]
        return {
            "agrees": float((seen == before.argmax(dim=1)).double().mean()),
            "already": float((seen == self.targets).double().mean()),
            "helper": mark == helper,
            "fingerprint": mark,
        }

    def _sees(self, one: nn.Module, images: ImageSet) -> np.ndarray:
        return (probabilities_of(one, images, self.device).argmax(dim=1) == self.targets).numpy()


@dataclass(frozen=True, eq=False)
class _Changing:
    """What changes the images towards their targets, and with what help."""

    classifier: nn.Module
    images: ImageSet
    targets: Tensor
    helpers: Mapping[str, Any]
    options: RegionFlipsOptions
    device: torch.device

    def within(self, region: Tensor | None) -> ImageSet:
        """The images changed where they may, in 256 levels as the originals are; one that could not be changed as it was.

        Args:
            region: booleans (N, H, W), True where an image may change; None where all of it may.
        """
        how = {name: getattr(self.options, name) for name in ("method", "seed", "batch_size", "store")}
        targets = self.targets.tolist()
        differences = counterfactual_differences(
            self.classifier, self.images, targets, **self.helpers, **how, region=region, device=self.device
        )
        pixels = ((self.images.floats() + differences) * 255).round().clamp(0, 255).to(self.images.images.dtype)
        return ImageSet(pixels, self.images.labels, self.images.classes)


def _ranked(stream: Stream, images: ImageSet, seed: int) -> Tensor:
    """The centred ranks of the pixels of all images, (N, H * W)."""
    return torch.from_numpy(np.concatenate([rank(scores.cpu(), which.start, seed, "pixels") for which, scores in stream]))


def _cells(ranks: Tensor, changing: _Changing, asked: _Asked, advance: Advance) -> Iterator[list[Answers]]:
    """For each level what is said of the images changed on each side."""
    for level in changing.options.levels:
        cells = []
        for side in SIDES:
            region = kept(ranks, kept_count(level, ranks.shape[1]), side).view(len(ranks), *changing.images.shape[1:])
            cells.append(asked.about(changing.within(region)))
            advance(len(ranks))
        yield cells


def _stacked(cells: Iterator[list[Answers]]) -> Answers:
    """Each answer of all cells, (levels, sides, N)."""
    found = [*cells]
    return {name: np.array([[one[name] for one in sides] for sides in found]) for name in found[0][0]}


def _packed(answers: Answers) -> dict[str, Any]:
    confirmed = {name: pack(one) for name, one in answers.items() if name != FLIPPED}
    return {"flipped": pack(answers[FLIPPED]), "confirmed": confirmed}
