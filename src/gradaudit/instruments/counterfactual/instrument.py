"""Counterfactuals as command, audit and page ask for them."""

from __future__ import annotations

import math
from collections.abc import Hashable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor, nn

from gradaudit.batching import bytes_per_image
from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import FORWARD, GRADIENT, Cost, denoiser_bytes, second_call, seconds_more
from gradaudit.instruments.counterfactual.arguments import (
    Method,
    check_against,
    check_classifiers,
    check_denoiser,
    check_subjects,
    resolve_methods,
)
from gradaudit.instruments.counterfactual.ascent import FRAMES
from gradaudit.instruments.counterfactual.audit import batch_size_of, counterfactual
from gradaudit.instruments.counterfactual.choosing import choose, half
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.instruments.counterfactual.guidance.tangent import function_of
from gradaudit.instruments.counterfactual.guidance.unets import prepared
from gradaudit.instruments.counterfactual.measures._evidence import measured_at_once
from gradaudit.instruments.counterfactual.methods.dvce import VIEWS
from gradaudit.instruments.counterfactual.options import (
    ABOUT,
    CounterfactualCommand,
    CounterfactualInAudit,
    CounterfactualOptions,
)
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.instruments.counterfactual.result import CounterfactualResult
from gradaudit.instruments.counterfactual.search import FRAMES as FRAME_BYTES
from gradaudit.instruments.counterfactual.section import counterfactual_section
from gradaudit.instruments.counterfactual.summary import AGREED
from gradaudit.instruments.counterfactual.verdict import is_judge
from gradaudit.instruments.setup import Setup, at_most
from gradaudit.instruments.tangents import read_tangents
from gradaudit.markup.pictures import Change
from gradaudit.markup.section import Section
from gradaudit.packing import pack, unpack

PLANTED = "svce"  # the method with which planted classifiers were asked
ASKED = 54  # ways forward of a counterfactual's measures: 51 for the way of COUT, and each end
ARRAYS = 8  # of all images that are held while they are measured
KEPT = 2  # bytes of a frame in a result: as it is, and packed
WALKED = 12  # arrays of images that a step of guided diffusion holds
FEW = 4  # steps that are timed
STEPS = 75  # of a method that does not say
BACK = {"none": 0, "tangent": 0, "combined": 1, "exact": 3}  # ways back through the denoiser in a guided step
OTHER = "other"  # the classifier that is audited beside
REAL = 1000  # training images beside which realism is measured


class Commanded(CounterfactualInAudit):
    """The options of the command once the images are chosen: it uses the denoiser that it was given, whoever asks for it."""


class Counterfactuals(Instrument):
    """Counterfactuals."""

    about = ABOUT
    results = (CounterfactualResult,)

    def commanded(self, setup: Setup, options: CounterfactualCommand, words: Mapping[str, Any]) -> tuple[Setup, Commanded]:
        """The images that the target fits; a helper that doesn't go with them is refused, where an audit does without."""
        every = half(setup.train, setup.test, options.split)
        check_subjects(every, setup.denoiser)
        methods = resolve_methods(options.method)
        check_denoiser(methods, setup.denoiser)
        (audited,) = setup.classifiers.values()
        classifier, robust, *_ = check_classifiers(audited, setup.robust, setup.oracles, every)
        check_against(setup.against, classifier, robust, every, methods)
        chosen, targets = choose(classifier, every, options, setup.run.seed, setup.run.device)
        return replace(setup, test=chosen), Commanded(**options.given_to(Commanded), targets=targets)

    def lacks(self, setup: Setup, name: str, options: CounterfactualInAudit) -> str | None:
        """Methods that need a denoiser are left out where there is none; only where none is left is there a reason. None is held
        against itself.
        """
        if options.against == name:
            return "it is the one that the others are held against (against)"
        return setup.unfit_denoiser if not _methods(setup, options) else None

    def measure(self, setup: Setup, name: str, options: CounterfactualInAudit) -> CounterfactualResult:
        """Counterfactuals by the methods that can be had."""
        return counterfactual(
            setup.classifiers[name],
            setup.test_images(options.images),
            options.targets,
            setup.denoiser if isinstance(options, Commanded) or _asked(setup, options) else None,
            robust=setup.robust,
            oracles=setup.oracles_for(name),
            against=against_of(setup, name, options),
            reference=at_most(setup.train, REAL, setup.run.seed),
            **setup.keywords(options, CounterfactualOptions) | {"method": _methods(setup, options)},
        )

    def uses(self, setup: Setup, name: str, options: CounterfactualInAudit) -> dict[str, Any]:
        """The helpers, the oracles, and the real images beside which realism is measured."""
        return {
            "denoiser": setup.denoiser_mark if _asked(setup, options) else None,
            "robust": setup.robust_mark,
            "oracles": {title: classifier_fingerprint(one) for title, one in setup.oracles_for(name).items()},
            "train": setup.train.fingerprint,
            **({} if (against := against_of(setup, name, options)) is None else {"against": classifier_fingerprint(against)}),
        }

    def cost(self, setup: Setup, name: str, options: CounterfactualInAudit) -> Cost:
        """What each method takes for each image, target and seed."""
        classes = setup.test.classes
        targets = len(classes) - 1 if options.targets == "all" and "all" not in classes else 1
        images = setup.test_images(options.images)
        count, methods = len(images) * targets * options.seeds, resolve_methods(_methods(setup, options))
        classifier, helper, device = setup.classifiers[name], setup.denoiser if _asked(setup, options) else None, setup.run.device
        size = batch_size_of("auto", classifier, helper, images, device)
        together = min(count, measured_at_once(4 * images.images[0].numel()))
        measured = FORWARD * together * bytes_per_image(classifier, images.floats([0]))
        robust = setup.robust if helper is not None else None
        walks = max(walking_bytes(one, min(size, count), images, classifier, helper, robust, device) for one in methods.values())
        if helper is not None:
            measured = max(measured, FORWARD * together * denoiser_bytes(helper, images, device))
        memory = max(walks, measured) + held_bytes(methods, count, images)
        besides = second_call(lambda: check_classifier(classifier, images)) + _seconds_to_keep(methods, count, images)
        asked = Cost(forwards=len(images) + ASKED * count * len(methods), besides=besides, memory=memory)
        repelled = count - count // options.seeds if options.repulsion else 0
        found = sum((cost_of(method, count, images, repelled) for method in methods.values()), asked)
        if against_of(setup, name, options) is not None:  # the other one's
            found += Cost(gradients=found.gradients, forwards=count * len(methods) + len(images))
        more = seconds_more(classifier, images, device, size, together)  # the batches are smaller than those that are timed
        return replace(found, besides=found.besides + more.seconds(Cost(gradients=found.gradients, forwards=found.forwards)))

    def scores(self, result: CounterfactualResult) -> dict[str, Score]:
        """How often other classifiers, those that had a part in the change not among them, agree that a flipped image shows its
        target: first method.
        """
        summary = result.summary[result.summary["method"] == result.methods[0]].set_index("measure")
        found = {}
        oracles = [oracle for oracle in result.oracles if is_judge(result.details["oracles"][oracle])]
        for oracle in oracles:
            if AGREED + oracle not in summary.index:  # the method made nothing that could be judged
                continue
            row: Any = summary.loc[AGREED + oracle]
            flips = "disagreements" if result.against else "flips"
            words = f"{result.methods[0]}: {flips} that {oracle if len(oracles) > 1 else 'another classifier'} agrees with"
            found[words] = Score.of(row, 1)
        return found

    def evidence(self, result: CounterfactualResult) -> list[Evidence]:
        """The same, of the method with which planted classifiers were asked, by a single oracle, and against nobody."""
        found = [*self.scores(result).values()] if result.methods[0] == PLANTED and not result.against else []
        flipped = int(result.table.loc[result.table["method"] == result.methods[0], "flipped"].sum())
        return [Evidence("counterfactual", "", one, flipped) for one in found if len(found) == 1 and not math.isnan(one.value)]

    def section(self, results: Mapping[str, CounterfactualResult]) -> Section:
        """Its section."""
        return counterfactual_section(results)

    def tables(self, result: CounterfactualResult, name: str) -> list[tuple[str, pd.DataFrame]]:
        """The summary, a column a method."""
        found: dict[str, dict[str, str]] = {measure: {} for measure in result.summary["measure"]}
        for row in result.summary.to_dict("records"):
            found[row["measure"]][row["method"]] = _interval(row)
        rows = [{"mean over images, 95 % interval": measure} | by_method for measure, by_method in found.items()]
        return [(f"Counterfactuals, {name}", pd.DataFrame(rows).fillna(""))]

    def changes(self, result: CounterfactualResult) -> list[Change]:
        """The first method's, those of the gallery first."""
        rows = result.rows(result.methods[0])
        first = [example[result.methods[0]] for example in result.examples()]
        order = dict.fromkeys([*first, *rows.index])
        return [_change(result, row, rows.loc[row]) for row in order]

    def write(self, result: CounterfactualResult, out: Path) -> None:
        """The images and the animation as well."""
        result.write_images(out / "images")
        if result.frames:
            result.animation(out / "animation.webp")
        result.save(out)


def cost_of(method: Method, count: int, images: ImageSet, repelled: int = 0) -> Cost:
    """What so many counterfactuals of such images take: a gradient a step and one where it begins, and the time of the step itself;
    a guided step is a pass through the denoiser, and back through it, once more where one is repelled from those before it.
    """
    steps = count * _steps(method)
    if not method.needs_denoiser:
        besides = steps * _seconds_of_a_step(method, images) if method.options.get("steps") else 0.0
        return Cost(gradients=steps + count, besides=besides)
    inner, back = int(method.options.get("inner_steps", 1)), _ways_back(method)
    passes = 1 + inner * back
    more = inner * repelled if back == BACK["exact"] else 0
    walk = Cost(gradients=inner * steps, denoised=(steps * passes + more * _steps(method)) // 2)  # it begins half-way
    return walk + _tangents(method, steps // 2, images) if method.options.get("guidance") == "tangent" else walk


def _tangents(method: Method, points: int, images: ImageSet) -> Cost:
    """What tangent spaces at so many points take: passes through a denoiser, else the time of one."""
    given, first = method.options["tangents"], images.floats([0])
    passes = 0 if callable(given) else read_tangents("tangents", given).passes
    if passes:
        return Cost(denoised=points * passes)
    spaces = function_of(given, None, first.device)
    return Cost(besides=points * second_call(lambda: spaces(first)))


def held_bytes(methods: Mapping[str, Method], count: int, images: ImageSet) -> float:
    """Bytes of so many counterfactuals of each method while they are measured, and of the frames that a result keeps."""
    frames = sum(_frames(method, count, images, len(methods)) for method in methods.values())
    return float(images.images[0].numel() * (ARRAYS * 4 * count * len(methods) + KEPT * frames))


def walking_bytes(
    method: Method,
    size: int,
    images: ImageSet,
    classifier: nn.Module,
    denoiser: Denoiser | None,
    robust: nn.Module | None,
    device: torch.device,
) -> float:
    """Bytes at the peak while so many images are changed at once: a graph of the denoiser, and one of the views that a classifier
    is shown, the larger of the two classifiers'. LPIPS as a loss is not counted.
    """
    asked = [classifier] if robust is None else [classifier, robust]
    each = max(bytes_per_image(one.to(device), images.floats([0])) for one in asked)
    if not method.needs_denoiser or denoiser is None:
        return GRADIENT * size * each
    views = method.options.get("views", 1)
    shown = GRADIENT * each * (views if isinstance(views, int) else VIEWS if robust is not None else 1)
    once = _walked_bytes(method, images, denoiser, device)
    passed = max(once + shown, GRADIENT * once) if _ways_back(method) else max(FORWARD * once, shown)
    arrays = 4 * images.images[0].numel() * (WALKED + min(FRAMES, _steps(method)) / 4)
    return size * (passed + arrays)


def _walked_bytes(method: Method, images: ImageSet, denoiser: Denoiser, device: torch.device) -> float:
    """Bytes of the denoiser's graph of one image, by which a walk goes back through it."""
    with prepared(denoiser.to(device), images.floats([0], device), method.options.get("checkpointing", "auto")):
        return denoiser_bytes(denoiser, images, device)


def _ways_back(method: Method) -> int:
    """Ways back through the denoiser in a guided step; of a method that does not say, as many as there may be."""
    return BACK.get(str(method.options.get("guidance")), BACK["exact"])


def _steps(method: Method) -> int:
    return int(method.options.get("steps", STEPS))


def _frames(method: Method, count: int, images: ImageSet, methods: int) -> int:
    """How many frames of so many counterfactuals a result keeps."""
    return min(count * min(FRAMES, _steps(method) + 1), FRAME_BYTES // methods // images.images[0].numel())


def _seconds_of_a_step(method: Method, images: ImageSet) -> float:
    """Of a method that asks nobody but the classifier, beside its gradient: on one image, of a classifier that takes no time."""
    if method.own or method.asks_helpers:
        return 0.0
    problem = Problem(_Brightness(), images.floats([0]), torch.zeros(1, dtype=torch.int64), (0,))
    function: Any = method.function  # with options of its own
    return second_call(lambda: function(problem, steps=FEW)) / FEW


def _seconds_to_keep(methods: Mapping[str, Method], count: int, images: ImageSet) -> float:
    """For packing counterfactuals and their frames: all for the store, and as many frames as a result keeps once more for it."""
    pixels = images.images[0].numpy()
    frames = sum(count * min(FRAMES, _steps(method) + 1) for method in methods.values())
    again = sum(_frames(method, count, images, len(methods)) for method in methods.values())
    packed = 2 * count * len(methods) + len(images) + frames + again
    return packed * second_call(lambda: unpack(pack(pixels)))


class _Brightness(nn.Module):
    """Two logits that cost next to nothing."""

    def forward(self, images: Tensor) -> Tensor:
        mean = images.mean(dim=(1, 2, 3))
        return torch.stack([mean, -mean], dim=1)


def against_of(setup: Setup, name: str, options: CounterfactualInAudit) -> nn.Module | None:
    """The classifier that the one of that name is held against, or None.

    Raises:
        InputError: the option names none that is audited.
    """
    if options.against is None:
        return setup.against
    others = [other for other in setup.classifiers if other != name]
    if options.against == OTHER and OTHER not in setup.classifiers and len(others) == 1:
        return setup.classifiers[others[0]]
    expected = f"an audited classifier ({', '.join(setup.classifiers)}), or `{OTHER}` where two are audited"
    require(options.against in setup.classifiers, "against", options.against, expected)
    return setup.classifiers[options.against]


def check_helpers(setup: Setup, name: str, options: Any) -> None:
    """Refuse what counterfactuals would refuse of the classifier of that name; `options` are None where it has none.

    Raises:
        InputError: a helper, an oracle or the classifier that it is held against doesn't go with it.
    """
    classifier, robust, *_ = check_classifiers(setup.classifiers[name], setup.robust, setup.oracles_for(name), setup.test)
    if options is not None:
        methods = resolve_methods(_methods(setup, options))
        check_against(against_of(setup, name, options), classifier, robust, setup.test, methods)


def _methods(setup: Setup, options: CounterfactualInAudit) -> list[Any]:
    methods = [*options.method] if isinstance(options.method, (list, tuple)) else [options.method]
    return [one for one in methods if setup.unfit_denoiser is None or not _guided(one)]


def _asked(setup: Setup, options: CounterfactualInAudit) -> bool:
    """Whether a method that is left may ask the denoiser."""
    return setup.unfit_denoiser is None and any(map(asks_helpers, resolve_methods(_methods(setup, options)).values()))


def _guided(method: Any) -> bool:
    """Whether it walks through a denoiser."""
    return any(one.needs_denoiser for one in resolve_methods(method).values())


def _change(result: CounterfactualResult, row: int, found: Any) -> Change:
    after = None if found["failed"] else result.images[row]
    return Change(result.originals[row], after, str(found["source"]), str(found["target"]), bool(found["flipped"]))


def _interval(row: Mapping[Hashable, Any]) -> str:
    if row["value"] != row["value"]:
        return "none to measure"
    ends = f" [{row['low']:.3g}, {row['high']:.3g}]" if row["low"] == row["low"] else ""
    return f"{row['value']:.3g}{ends}"


INSTRUMENT = Counterfactuals()
