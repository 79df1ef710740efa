"""`diffroar`: do the features that an attribution ranks high tell more of the label than those that it ranks low?"""

from __future__ import annotations

import torch
from torch import nn

from gradaudit.attributions import named_controls
from gradaudit.classifiers import check_classifier
from gradaudit.errors import require
from gradaudit.evaluator import mask_shape, resolve_evaluator
from gradaudit.fills import check_fill
from gradaudit.images import ImageSet
from gradaudit.instruments.crew import crew_of
from gradaudit.instruments.diffroar.arguments import (
    SPLITS,
    check_images,
    check_learner_of_both,
    check_pairs,
    named_attributions,
    resolve_contents,
)
from gradaudit.instruments.diffroar.options import DiffROAROptions
from gradaudit.instruments.diffroar.result import DiffROARResult
from gradaudit.instruments.diffroar.retraining import Compared, Grid, Learners
from gradaudit.instruments.diffroar.values import Values
from gradaudit.options import takes
from gradaudit.training.learners import check_recipe, check_seeds
from gradaudit.training.recipe import Recipe


@takes(DiffROAROptions, "attribution")
def prepare_diffroar(classifier: nn.Module, train: ImageSet, test: ImageSet, options: DiffROAROptions) -> Values | Grid:
    """A checked DiffROAR run that has not started: `plan()` predicts it, `run()` does it.

    Args:
        classifier: what is audited, as in `diffroar`.
        train: images on which evaluators, or learners, are trained.
        test: images on which they are measured.
        {options}

    Raises:
        InputError: a bad argument.
    """
    return _prepared(classifier, train, test, options)


@takes(DiffROAROptions, "attribution")
def diffroar(classifier: nn.Module, train: ImageSet, test: ImageSet, options: DiffROAROptions) -> DiffROARResult:
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
        {options}

    Returns:
        A result with `table`, `summary`, `verdict`, `plot()` and `save(folder)`.

    Raises:
        InputError: a bad argument, before anything long begins.
        StoreError: the store can't be written; what was finished before is kept, and the same call continues.
    """
    return _prepared(classifier, train, test, options).run()


def _prepared(classifier: nn.Module, train: ImageSet, test: ImageSet, options: DiffROAROptions) -> Values | Grid:
    check_images(train, test)
    crew = crew_of(options)
    audited = named_attributions(options.attribution, options.seed)
    controls = {name: dict.fromkeys(SPLITS, one) for name, one in named_controls(options.controls, options.seed).items()}
    require(not set(audited) & set(controls), "controls", list(options.controls), "other attributions than the audited ones")
    classifier, doubts = check_classifier(classifier, train)
    compared = _compared(options, train, crew.device)
    mask_channels = mask_shape(train.shape, options.features)[0]
    spec = None
    if options.evaluate == "values":
        spec = resolve_evaluator(options.evaluator, train, mask_channels, options.fine_tune)
    learners = _learners(options, train, mask_channels)
    if learners.contents:
        check_pairs(audited)
    grid = Grid(
        classifier=classifier,
        sets={"train": train, "test": test},
        attributions=audited,
        controls=controls,
        compared=compared,
        learners=learners,
        crew=crew,
        doubts=doubts,
    )
    return grid if spec is None else Values(grid, spec, options.masks, min(options.gap, len(compared.seeds)))


def _compared(options: DiffROAROptions, train: ImageSet, device: torch.device) -> Compared:
    """What is compared, with what the protocol brings where nothing else was said."""
    seeds, fill = (5, "zero") if options.evaluate == "retrain" else (3, "mean")
    return Compared(
        levels=tuple(options.levels),
        seeds=check_seeds(seeds if options.seeds is None else options.seeds, options.seed),
        features=options.features,
        target=options.target,
        fill=check_fill(fill if options.fill is None else options.fill, train, options.seed, device),
        seed=options.seed,
    )


def _learners(options: DiffROAROptions, train: ImageSet, mask_channels: int) -> Learners:
    """The learners that are fitted; none where evaluators read and no selection is asked for."""
    contents = resolve_contents(options)
    if not contents:
        unused = 'left out: evaluators read and no learner is fitted, unless selection=True or evaluate="retrain"'
        for name in ("learner", "conditional"):
            require(getattr(options, name) is None, name, getattr(options, name), unused)
        return Learners(Recipe(), {}, {})
    recipe, network = check_recipe("learners/fast-convnet" if options.learner is None else options.learner, train)
    networks = dict.fromkeys(("whole", *contents.values()), network)
    if "both" in networks:
        networks["both"] = check_learner_of_both(recipe, train, mask_channels)
    return Learners(recipe, networks, contents)
