"""`diffroar`: do the features that an attribution ranks high tell more of the label than those that it ranks low?"""

from __future__ import annotations

import inspect
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, ParamSpec

import torch
from torch import nn

from gradaudit.attributions import CONTROLS, Features, check_levels, named_controls
from gradaudit.classifiers import check_classifier
from gradaudit.devices import resolve_device
from gradaudit.errors import require
from gradaudit.evaluator import EvaluatorLike, PoolRanking, mask_shape, resolve_evaluator
from gradaudit.evaluator.spec import FINE_TUNE
from gradaudit.fills import FillLike
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.arguments import (
    SPLITS,
    Attributed,
    check_fill,
    check_images,
    check_pairs,
    named_attributions,
    resolve_contents,
)
from gradaudit.instruments.diffroar.cells import Content
from gradaudit.instruments.diffroar.grid import check_learner_of_both
from gradaudit.instruments.diffroar.result import DiffROARResult
from gradaudit.instruments.diffroar.retraining import Grid
from gradaudit.instruments.diffroar.values import Values
from gradaudit.training.backends import BackendLike, resolve_backend
from gradaudit.training.learners import check_recipe, check_seeds, is_whole
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, as_store
from gradaudit.training.together import resolve_at_once, resolve_together
from gradaudit.training.workers import resolve_workers

P = ParamSpec("P")


def prepare(
    classifier: nn.Module,
    train: ImageSet,
    test: ImageSet,
    attribution: Attributed | Sequence[Attributed] = "logit_gradient",
    *,
    evaluate: Literal["values", "retrain"] = "values",
    evaluator: EvaluatorLike = "evaluators/convnet",
    fine_tune: str | Recipe = FINE_TUNE,
    gap: int = 1,
    selection: bool = False,
    masks: Mapping[str, PoolRanking] | None = None,
    learner: str | Mapping[str, Any] | Recipe | None = None,
    levels: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
    seeds: int | Sequence[int] | None = None,
    controls: Sequence[str] = CONTROLS,
    features: Features = "coordinates",
    target: Literal["label", "predicted", "random", "all"] = "label",
    fill: FillLike | None = None,
    mask_only: bool = True,
    conditional: bool | None = None,
    seed: int = 0,
    store: Store | str | os.PathLike[str] | None = None,
    workers: int | Literal["auto"] = "auto",
    together: str | Mapping[str, Any] = "auto",
    at_once: int | Literal["auto"] = "auto",
    backend: BackendLike = "local",
    device: str | torch.device = "auto",
    show_progress: bool = False,
) -> Values | Grid:
    """A checked DiffROAR run that has not started: `plan()` predicts it, `run()` does it.

    Args:
        classifier: what is audited, as in `diffroar`.
        train: images on which evaluators, or learners, are trained.
        test: images on which they are measured.
        attribution: what is audited, as in `diffroar`.
        evaluate: `"values"`, by one evaluator for all rankings, levels and sides; or `"retrain"`, the protocol of 2021, by learners
            fitted on each. What a network is that reads and what is retrained is said by the arguments of its own.
        evaluator: a recipe, the name of one, the spec of a network for the default recipe; or a network of your own, from images
            (N, C, H, W) in [0, 1] to logits, pretrained or not, which is copied, given weights for the masks, and fine-tuned. For
            images less than 8 pixels high or wide, `"evaluators/mlp"`.
        fine_tune: the recipe, or the name of one, by which a network of your own is trained; its network is not used.
        gap: how many evaluators are compared with networks that are trained for random masks of a single level, at the lowest level
            and one in the middle: two more trainings each. 0 for none.
        selection: also fit learners of mask and pixels, for what the choice of features tells beyond their values.
        masks: the rankings, by name, whose masks evaluators are trained under beside random ones, each shown on other images; those
            of the test images by the audited attributions and the controls that see images unless given. Runs that have the same
            share their evaluators.
        learner: what is retrained: the name of a recipe, `"learners/fast-convnet"` unless given, a recipe, or a network's spec for
            the default recipe; each of `seeds` replaces its seed. A learner that is too weak decides the answer: an MLP trained by
            SGD for few epochs reads some masks and not others (docs/learners.md). For images less than 8 pixels high or wide,
            `"mlp"`.
        levels: shares of the features that are kept, each in (0, 1).
        seeds: how many independent evaluators or learners, or their seeds; top and bottom share a seed, so that they are paired. 3
            evaluators, or 5 learners a cell, unless given.
        controls: names of controls that run beside: attributions that know no classifier, one that is untrained, or a blurred map.
        features: `"coordinates"` ranks all C*H*W values, `"pixels"` the H*W positions by the sum of magnitudes over channels.
        target: the class that is attributed: the `"label"` or the `"predicted"` one; or, so that the mask cannot tell which class
            was asked for, one drawn at `"random"` for each image, or `"all"`, the attribution's magnitudes summed over the classes.
        fill: what replaces removed features, the training images' `"mean"` for evaluators and `"zero"` for learners unless given: a
            spec such as `"zero"`, `"mean"` or `"imputation(noise=0.1)"`, a function
            `(kept, mask) -> filled`, or a Fill. A costly one is computed once for each ranking, level and side, and kept in the
            store; for the random controls, which are drawn anew for every seed, once for each seed as well.
        mask_only: of retraining: also fit learners that see only which features were kept.
        conditional: of retraining: also fit learners that see the features and which were kept, for what the pixels tell given the
            mask; as `mask_only` unless given. With both, three times as many networks are fitted as with neither.
        seed: of ties, controls, attributions, targets and fills that draw; and the first of the learners' seeds when `seeds` is a
            number.
        store: a folder or a URL (`s3://bucket/folder`) for finished work, or a Store; the user's own unless given.
        workers: trainings at once, each on one thread; `"auto"` for one a core (one on an accelerator), or as many as a cluster has
            room for.
        together: how fits train side by side on one device: the spec of a way, such as `"stacked"`, `"stacked(compile=true)"`,
            `"graphed"`, `"streams"` or `"one_by_one"`. `"auto"` times the ways on an accelerator and takes the fastest; on a CPU,
            where fits one by one repeat to the last bit, it is those. A way that can't train this learner gives way to fits one by
            one, and `plan()` says why. Outcomes of another way differ in the last digits and have keys of their own in the store;
            those of fits one by one count in every way.
        at_once: fits in a group, of ways that train several at once; `"auto"` doubles it while that trains at least 5 % more fits a
            second, memory lasts, and every worker has a group.
        backend: where fits run: `"local"`, this machine; or `"ray(address='auto')"`, a Ray cluster. It does not change the result.
        device: `"auto"` or a torch device.
        show_progress: print the plan and the time left to standard error.

    Raises:
        InputError: a bad argument.
    """
    check_images(train, test)
    require(is_whole(seed) and seed < 2**31, "seed", seed, "a whole number, 0 or more")
    for argument, value, choices in (
        ("features", features, ("coordinates", "pixels")),
        ("target", target, ("label", "predicted", "random", "all")),
        ("evaluate", evaluate, ("values", "retrain")),
        ("selection", selection, (True, False)),
    ):
        require(value in choices, argument, value, " or ".join(map(_quoted, choices)))
    place = resolve_device(device)
    audited = named_attributions(attribution, seed)
    beside = {name: dict.fromkeys(SPLITS, control) for name, control in named_controls(controls, seed).items()}
    require(not set(audited) & set(beside), "controls", list(controls), "other attributions than the audited ones")
    classifier, doubts = check_classifier(classifier, train)
    require(is_whole(gap), "gap", gap, "a whole number, 0 or more")
    retrains = evaluate == "retrain"
    require(not (retrains and selection), "selection", selection, 'False with evaluate="retrain", which has mask and pixels anyway')
    own = check_seeds((5 if retrains else 3) if seeds is None else seeds, seed)
    place_of_work = as_store(store)
    crew = resolve_backend(backend, place_of_work, place)
    channels = mask_shape(train.shape, features)[0]
    spec = None if retrains else resolve_evaluator(evaluator, train, channels, fine_tune)
    contents: dict[str, Content] = {"both_": "both"} if selection else {}
    if retrains:
        contents = resolve_contents(mask_only, conditional)
    for name, value_given in (("learner", learner), ("conditional", conditional)):
        unused = 'left out: evaluators read and no learner is fitted, unless selection=True or evaluate="retrain"'
        require(bool(contents) or value_given is None, name, value_given, unused)
    if contents:
        check_pairs(audited)
    fitted = "learners/fast-convnet" if learner is None else learner
    recipe, network = check_recipe(fitted, train) if contents else (Recipe(), "")
    networks = dict.fromkeys(("whole", *contents.values()), network)
    if "both" in networks:
        networks["both"] = check_learner_of_both(recipe, train, channels)
    filled = check_fill(("zero" if retrains else "mean") if fill is None else fill, train, seed, place)
    grid = Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attributions=audited,
        controls=beside,
        recipe=recipe,
        networks=networks,
        levels=check_levels(levels),
        seeds=own,
        features=features,
        target=target,
        fill=filled,
        contents=contents,
        seed=seed,
        store=place_of_work,
        workers=resolve_workers(workers, crew),
        together=resolve_together(together, place),
        at_once=resolve_at_once(at_once),
        backend=crew,
        device=place,
        show_progress=show_progress,
        doubts=doubts,
    )
    if spec is None:
        return grid
    return Values(grid, spec, masks, min(gap, len(own)))


def _quoted(choice: str | bool) -> str:
    return f'"{choice}"' if isinstance(choice, str) else str(choice)


def _with_arguments_of(
    prepare: Callable[P, Values | Grid],
) -> Callable[[Callable[..., DiffROARResult]], Callable[P, DiffROARResult]]:
    """Give a function the arguments of another, for editors, `help` and type checkers alike."""

    def dress(function: Callable[..., DiffROARResult]) -> Callable[P, DiffROARResult]:
        signature = inspect.signature(prepare).replace(return_annotation="DiffROARResult")
        function.__signature__ = signature  # type: ignore[attr-defined]
        return function

    return dress


@_with_arguments_of(prepare)
def diffroar(*arguments: Any, **options: Any) -> DiffROARResult:
    """Whether the features that an attribution ranks high carry more label information than those it ranks low.

    DiffROAR of values(k) is, in bits, what the values of the top-ranked share k of the features tell of the label, less what those
    of the bottom-ranked share tell: the label's entropy less the cross-entropy of an evaluator, a network trained once under masks
    that neither image nor label chose (Jethani, Sudarshan, Aphinyanaphongs and Ranganath, AISTATS 2021, EVAL-X). What the *choice*
    of features tells is left out; Puli, Nguyen and Ranganath (NeurIPS 2024) call it encoding.

    With `evaluate="retrain"`, DiffROAR(k) is the test accuracy of a learner retrained on the top-ranked share k of the features
    less that of one retrained on the bottom-ranked share: Shah, Jain and Netrapalli (2021), section 3. Conditional DiffROAR(k) is,
    in bits of usable information, what the kept pixels tell a learner that also knows which were kept, beyond what that alone tells
    it: on the top less on the bottom (Xu et al., ICLR 2020; Hewitt et al., EMNLP 2021, section 3).

    Args:
        classifier: what is audited: images in [0, 1] to logits (N, K), its normalisation inside it.
        train: images on which evaluators, or learners, are trained.
        test: images on which they are measured.
        attribution: the spec of an attribution, a function `(classifier, images, targets) -> scores`, a tensor or array with the
            scores (N, C, H, W) of the test images, or a pair of those of training and test images where learners are fitted;
            `{"my name": any of these}`, or a list of such.
        **options: evaluate, evaluator, levels, seeds, controls and the rest, as `prepare` describes them.

    Returns:
        A result with `table`, `summary`, `verdict`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return prepare(*arguments, **options).run()
