"""What counterfactuals change, as an attribution that DiffROAR judges beside the gradient: two instruments joined."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.contract import Evidence, Instrument, Score
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.counterfactual import counterfactual_differences
from gradaudit.instruments.counterfactual.arguments import Method, probabilities_of, resolve_methods
from gradaudit.instruments.counterfactual.audit import batch_size_of
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.instruments.counterfactual.instrument import cost_of as cost_of_walks
from gradaudit.instruments.counterfactual.instrument import held_bytes, walking_bytes
from gradaudit.instruments.counterfactual_differences.options import ABOUT, DifferencesInAudit
from gradaudit.instruments.counterfactual_differences.result import (
    DIFFERENCES,
    CounterfactualDifferencesResult,
    of_differences,
)
from gradaudit.instruments.counterfactual_differences.section import differences_section
from gradaudit.instruments.diffroar.instrument import (
    FEWEST,
    audited_together,
    cost_of,
    grid,
    level_scores,
    masks_of_all,
    planted_values,
)
from gradaudit.instruments.diffroar.options import DiffROAROptions
from gradaudit.instruments.setup import Setup, at_most
from gradaudit.markup.section import Section
from gradaudit.results import Result

PLANTED = ("svce", "apgd")  # the methods with which planted classifiers were asked


class CounterfactualDifferences(Instrument):
    """Counterfactual differences."""

    about = ABOUT
    results = (CounterfactualDifferencesResult,)

    def lacks(self, setup: Setup, name: str, options: DifferencesInAudit) -> str | None:
        """The method's denoiser is needed, and enough training images for DiffROAR."""
        method = _method(options)
        problem = setup.unfit_denoiser if method.needs_denoiser else None
        if problem:
            return (
                f"{method.name}: {problem}; method = svce would do without one, and is as meaningful as the classifier's gradient"
            )
        fewest = _small(setup, options).smallest_class
        if fewest >= FEWEST:
            return None
        return f"it trains networks, and a class has only {fewest} of the training images drawn for it; {FEWEST} or more are needed"

    def measure(self, setup: Setup, name: str, options: DifferencesInAudit) -> Result:
        """DiffROAR of the differences, and beside it of the gradient on the same images; what a reader must know comes first."""
        small, method = _small(setup, options), _method(options)
        of_test = _differences(small, name, small.test, options)
        differences = (_differences(small, name, small.train, options), of_test) if _ranks_training(options) else of_test
        masks = masks_of_all(setup, _only_beside(options), make=True)
        result = grid(small, name, _beside(options, differences), masks).run()
        changed = _left_their_class(small, name, of_test)
        made = {"method": method.name, "targets": "second", "left_their_class": changed}
        return of_differences(result, made)

    def uses(self, setup: Setup, name: str, options: DifferencesInAudit) -> dict[str, Any]:
        """Training images, the classifiers whose masks evaluators are trained under, and the helpers if the method asks them."""
        asked = asks_helpers(_method(options))
        helpers = {"denoiser": setup.denoiser_mark, "robust": setup.robust_mark} if asked else {}
        return {"train": setup.train.fingerprint, **audited_together(setup, _only_beside(options)), **helpers}

    def cost(self, setup: Setup, name: str, options: DifferencesInAudit) -> Cost:
        """A counterfactual of each image, and the networks."""
        small = _small(setup, options)
        masks = masks_of_all(setup, _only_beside(options), make=False)
        method, count = _method(options), len(small.test) + (len(small.train) if _ranks_training(options) else 0)
        classifier, helper = small.classifiers[name], small.denoiser if asks_helpers(method) else None
        size, device = batch_size_of("auto", classifier, helper, small.test, small.run.device), small.run.device
        robust = small.robust if helper is not None else None
        memory = walking_bytes(method, min(size, count), small.test, classifier, helper, robust, device)
        walks = replace(cost_of_walks(method, count, small.test), memory=memory + held_bytes({"": method}, count, small.test))
        return walks + cost_of(grid(small, name, _beside(options, _not_made), masks))

    def scores(self, result: CounterfactualDifferencesResult) -> dict[str, Score]:
        """As DiffROAR's, of the differences."""
        return level_scores(result, f"DiffROAR of {DIFFERENCES}")

    def evidence(self, result: CounterfactualDifferencesResult) -> list[Evidence]:
        """The values of the differences, where they were made as those of planted classifiers were."""
        if result.settings["counterfactuals"]["method"] not in PLANTED:
            return []
        return [replace(one, aside=True) for one in planted_values(result) if one.subject == DIFFERENCES]

    def section(self, results: Mapping[str, CounterfactualDifferencesResult]) -> Section:
        """Its section."""
        return differences_section(results)


def _method(options: DifferencesInAudit) -> Method:
    found = resolve_methods(options.method)
    require(len(found) == 1, "method", options.method, "a single method: an image has one map of differences")
    return next(iter(found.values()))


def _ranks_training(options: DifferencesInAudit) -> bool:
    """Whether training images need counterfactuals as well: learners are fitted on what is ranked of them, evaluators are not."""
    return options.evaluate == "retrain" or options.selection


def _small(setup: Setup, options: DifferencesInAudit) -> Setup:
    """The setup with as many test images as are to be had; and training images, where these need counterfactuals."""
    train = at_most(setup.train, options.train_images, setup.run.seed) if _ranks_training(options) else setup.train
    return replace(setup, train=train, test=at_most(setup.test, options.test_images, setup.run.seed))


def _differences(setup: Setup, name: str, images: ImageSet, options: DifferencesInAudit) -> Tensor:
    return counterfactual_differences(
        setup.classifiers[name],
        images,
        "second",
        None if setup.unfit_denoiser else setup.denoiser,  # neither helper is asked, nor in the key, where the method does without
        robust=setup.robust,
        method=options.method,
        seed=setup.run.seed,
        store=setup.run.store,
        device=setup.run.device,
        show_progress=setup.run.show_progress,
    )


def _beside(options: DifferencesInAudit, differences: Any) -> DiffROAROptions:
    """DiffROAR's options, with the differences first and what was asked for beside them."""
    wanted = options.attribution if isinstance(options.attribution, list) else [options.attribution]
    return replace(_only_beside(options), attribution=[{DIFFERENCES: differences}, *wanted])


def _only_beside(options: DifferencesInAudit) -> DiffROAROptions:
    """DiffROAR's options, with what stands beside the differences alone: evaluators are those of an audit without differences."""
    return DiffROAROptions(**options.given_to(DiffROAROptions))


def _not_made(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Stands in for the differences in a plan, which ranks nothing."""
    return images


def _left_their_class(setup: Setup, name: str, differences: Tensor) -> float:
    """The share of the test images whose counterfactual the classifier gives another class."""
    images = setup.test
    pixels = ((images.floats() + differences) * 255).round().clamp(0, 255).to(images.images.dtype)
    changed = ImageSet(pixels, images.labels, images.classes)
    seen = [probabilities_of(setup.classifiers[name], one, setup.run.device).argmax(dim=1) for one in (images, changed)]
    return float((seen[0] != seen[1]).double().mean())


INSTRUMENT = CounterfactualDifferences()
