"""What counterfactuals change, as an attribution that DiffROAR judges beside the gradient: two instruments joined."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from torch import Tensor, nn

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._denoiser import unfit
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.auditing.stages.counterfactual import cost_of as cost_of_walks
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.bench import Bench, at_most
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.counterfactual import counterfactual_differences
from gradaudit.instruments.counterfactual.arguments import Method, probabilities_of, resolve_methods
from gradaudit.instruments.counterfactual.differences import asks_helpers
from gradaudit.instruments.diffroar import CounterfactualDifferencesResult, prepare_diffroar
from gradaudit.instruments.diffroar.differences import DIFFERENCES, of_differences
from gradaudit.instruments.diffroar.instrument import FEWEST, audited_together, cost_of, grid, level_scores, masks_of_all
from gradaudit.instruments.diffroar.options import DiffROAROptions
from gradaudit.results import Result

BESIDE = "logit_gradient"
METHOD = "dvce(steps=50, views=1, guidance=none)"
OURS = ("method", "train_images", "test_images")
"""Options that DiffROAR does not have."""


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """The method's denoiser is needed, and enough training images for DiffROAR."""
    method = _method(options)
    problem = unfit(bench) if method.needs_denoiser else None
    if problem:
        return f"{method.name}: {problem}; method = svce would do without one, and is as meaningful as the classifier's gradient"
    fewest = _small(bench, options).fewest
    if fewest >= FEWEST:
        return None
    return f"it trains networks, and a class has only {fewest} of the training images drawn for it; {FEWEST} or more are needed"


def run(bench: Bench, name: str, options: Options) -> Result:
    """DiffROAR of the differences, and beside it of the gradient on the same images; what a reader must know comes first."""
    small, method = _small(bench, options), _method(options)
    of_test = _differences(small, name, small.test, options)
    differences = (_differences(small, name, small.train, options), of_test) if _ranks_training(options) else of_test
    masks = masks_of_all(bench, _only_beside(options), make=True)
    result = grid(small, name, _beside(options, differences), masks).run()
    changed = _left_their_class(small, name, of_test)
    made = {"method": method.name, "targets": "second", "left_their_class": changed}
    return of_differences(result, made)


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """Training images, the classifiers whose masks evaluators are trained under, and the helpers if the method asks them."""
    asked = asks_helpers(_method(options))
    helpers = {"denoiser": bench.denoiser_mark, "robust": bench.robust_mark} if asked else {}
    return {"train": bench.train.fingerprint, **audited_together(bench, _only_beside(options)), **helpers}


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """A counterfactual of each image, and the networks."""
    small = _small(bench, options)
    masks = masks_of_all(bench, _only_beside(options), make=False)
    walks = cost_of_walks(_method(options), len(small.test) + (len(small.train) if _ranks_training(options) else 0))
    return walks + cost_of(grid(small, name, _beside(options, _not_made), masks))


def scores(result: Result) -> dict[str, Score]:
    """As DiffROAR's, of the differences."""
    assert isinstance(result, CounterfactualDifferencesResult)
    return level_scores(result, f"DiffROAR of {DIFFERENCES}")


def _method(options: Options) -> Method:
    given = options.get("method", METHOD)
    found = resolve_methods(given)
    require(len(found) == 1, "method", given, "a single method: an image has one map of differences")
    return next(iter(found.values()))


def _ranks_training(options: Options) -> bool:
    """Whether training images need counterfactuals as well: learners are fitted on what is ranked of them, evaluators are not."""
    return options.get("evaluate") == "retrain" or bool(options.get("selection"))


def _small(bench: Bench, options: Options) -> Bench:
    """The bench with as many test images as the stage is to have; and training images, where these need counterfactuals."""
    drawn = _drawn(bench.train, "train_images", options, bench.run.seed)  # a bad number is named whether or not it is used
    train = drawn if _ranks_training(options) else bench.train
    return replace(bench, train=train, test=_drawn(bench.test, "test_images", options, bench.run.seed))


def _drawn(images: ImageSet, option: str, options: Options, seed: int) -> ImageSet:
    count = options.get(option)
    whole = isinstance(count, int) and not isinstance(count, bool) and count >= 2
    require(count is None or whole, option, count, "a whole number above 1; left out for all images")
    return at_most(images, count, seed)


def _differences(bench: Bench, name: str, images: ImageSet, options: Options) -> Tensor:
    return counterfactual_differences(
        bench.classifiers[name],
        images,
        "second",
        None if unfit(bench) else bench.denoiser,  # neither helper is asked, nor in the key, where the method does without
        robust=bench.robust,
        method=options.get("method", METHOD),
        seed=bench.run.seed,
        store=bench.run.store,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )


def _beside(options: Options, differences: Any) -> DiffROAROptions:
    """DiffROAR's options, with the differences first and what was asked for beside them."""
    given = {key: value for key, value in options.items() if key not in OURS}
    wanted = given.pop("attribution", BESIDE)
    return DiffROAROptions(**given, attribution=[{DIFFERENCES: differences}, *(wanted if isinstance(wanted, list) else [wanted])])


def _only_beside(options: Options) -> DiffROAROptions:
    """DiffROAR's options, with what stands beside the differences alone: evaluators are those of an audit without differences."""
    return DiffROAROptions(**{"attribution": BESIDE} | {key: value for key, value in options.items() if key not in OURS})


def _not_made(classifier: nn.Module, images: Tensor, targets: Tensor) -> Tensor:
    """Stands in for the differences in a plan, which ranks nothing."""
    return images


def _left_their_class(bench: Bench, name: str, differences: Tensor) -> float:
    """The share of the test images whose counterfactual the classifier gives another class."""
    images = bench.test
    pixels = ((images.floats() + differences) * 255).round().clamp(0, 255).to(images.images.dtype)
    changed = ImageSet(pixels, images.labels, images.classes)
    seen = [probabilities_of(bench.classifiers[name], one, bench.run.device).argmax(dim=1) for one in (images, changed)]
    return float((seen[0] != seen[1]).double().mean())


STAGE = Stage("counterfactual_differences", frozenset(options_taken(prepare_diffroar, *OURS)), lacks, run, uses, cost, scores)
