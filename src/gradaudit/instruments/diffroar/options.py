"""What DiffROAR asks, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import WorkerOptions
from gradaudit.options import Anything, Choice, Files, Flag, Names, Number, Numbers, Spec, Specs, Whole, Wholes, option

if TYPE_CHECKING:
    from gradaudit.attributions import AttributionLike, Features
    from gradaudit.evaluator import EvaluatorLike, PoolRanking
    from gradaudit.fills import FillLike
    from gradaudit.training import Recipe

    Attributed = AttributionLike | Mapping[str, Any] | tuple[Any, Any]


@dataclass(frozen=True, kw_only=True)
class DiffROAROptions(WorkerOptions):
    """The options of `diffroar` and `prepare_diffroar`."""

    attribution: Attributed | Sequence[Attributed] = option(
        "logit_gradient",
        Specs(),
        "what is audited: the spec of an attribution; in Python also a function `(classifier, images, targets) -> scores`, a "
        "tensor or array with the scores (N, C, H, W) of the test images, or a pair of those of training and test images where "
        'learners are fitted; `{"my name": any of these}`, or a list of such',
    )
    evaluate: Literal["values", "retrain"] = option(
        "values",
        Choice(("values", "retrain")),
        "`values`: one evaluator reads the values of the kept features, for all rankings, levels and sides; `retrain`, the "
        "protocol of 2021: learners are fitted on each. What a network is that reads and what is retrained is said by options of "
        "its own",
    )
    evaluator: EvaluatorLike = option(
        "evaluators/convnet",
        Spec(),
        "what reads kept pixels: a recipe's name, or the spec of a network for the default recipe; in Python also a recipe, or a "
        "network of your own, from images (N, C, H, W) in [0, 1] to logits, pretrained or not, which is copied, given weights for "
        "the masks, and fine-tuned; on the command line `classifier` does so with the audited one. For images less than 8 pixels "
        "high or wide, `evaluators/mlp`",
    )
    fine_tune: str | Recipe = option(
        "evaluators/fine-tune",
        Spec(),
        "the recipe, or the name of one, by which a copy of such a network is trained; its network is not used",
    )
    gap: int = option(
        1,
        Whole(),
        "how many evaluators are compared with networks that are trained for random masks of a single level, at the lowest level "
        "and one in the middle: two more trainings each; 0 for none",
    )
    selection: bool = option(
        False,
        Flag(),
        "also fit learners of mask and pixels, for what the choice of features tells beyond their values",
    )
    masks: Mapping[str, PoolRanking] | None = option(
        None,
        Anything(),
        "the rankings, by name, whose masks evaluators are trained under beside random ones, each shown on other images; runs that "
        "have the same share their evaluators",
        shown="those of the test images by the audited attributions and the controls that see images",
        python_only=True,
    )
    learner: str | Mapping[str, Any] | Recipe | None = option(
        None,
        Spec(),
        "what is retrained: the name of a recipe, a network's spec for the default recipe, or in Python a recipe; each of `seeds` "
        "replaces its seed. A learner that is too weak decides the answer: an MLP trained by SGD for few epochs reads some masks "
        "and not others (docs/retrain.md). For images less than 8 pixels high or wide, `mlp`",
        shown="learners/fast-convnet",
    )
    levels: Sequence[float] = option(
        (0.05, 0.1, 0.2, 0.4), Numbers(above=0, below=1, what="shares"), "shares of the features that are kept"
    )
    seeds: int | Sequence[int] | None = option(
        None,
        Wholes(),
        "how many independent evaluators or learners, their seeds from `seed` on; in Python or an audit also the seeds themselves. "
        "Intervals need at least 2. Top and bottom share a seed, so that they are paired",
        shown="3 evaluators, or 5 learners a cell to retrain",
    )
    controls: Sequence[str] = option(
        ("random", "blurred_random", "edges"),
        Names(),
        "controls that run beside, such as `edges` or `untrained`: attributions that know no classifier, one that is untrained, "
        "or a blurred map; `none`, in Python an empty list, for none",
    )
    features: Features = option(
        "coordinates",
        Choice(("coordinates", "pixels")),
        "rank all `C*H*W` coordinates, or the `H*W` pixels by the sum of magnitudes over channels",
    )
    target: Literal["label", "predicted", "random", "all"] = option(
        "label",
        Choice(("label", "predicted", "random", "all")),
        "the class that is attributed: the label or the predicted one; or, so that the mask cannot tell which class was asked for, "
        "one drawn at random for each image, or all, the attribution's magnitudes summed over the classes",
    )
    fill: FillLike | None = option(
        None,
        Spec(),
        "what replaces removed features: `zero`, `mean`, `noise`, `blur(sigma=2)`, `imputation(noise=0.1)`, ...; in Python also a "
        "function `(kept, mask) -> filled`, or a Fill. A costly one is computed once for each ranking, level and side, and kept in "
        "the store; for the random controls, which are drawn anew for every seed, once for each seed as well",
        shown="mean, or zero to retrain",
    )
    mask_only: bool = option(True, Flag(), "to retrain: also fit learners that see only which features were kept")
    conditional: bool | None = option(
        None,
        Flag(),
        "to retrain: also fit learners that see the features and which were kept, for what the pixels tell given the mask. With "
        "both, three times as many networks are fitted as with neither",
        shown="as mask_only",
    )


@dataclass(frozen=True, kw_only=True)
class DiffROARCommand(DiffROAROptions):
    """The options of the command."""

    scores: tuple[Path, Path] | None = option(
        None, Files(), "two `.npy` files with scores computed elsewhere: of training and test images", shown="none"
    )
    epochs: int | None = option(
        None,
        Whole(1),
        "passes over the training images, of learners if any are fitted, else of evaluators",
        shown="the recipe's, or 5",
    )
    batch_size: int | None = option(None, Whole(1), "images a step, likewise", shown="the recipe's, or 128")
    learning_rate: float | None = option(
        None, Number(above=0), "peak of the one-cycle schedule, likewise", shown="the recipe's, or 0.1"
    )


ABOUT = About(
    name="diffroar",
    question="Do the features that an attribution ranks high tell more of the label than those it ranks low?",
    example='gradaudit diffroar robust.safetensors mnist5k --attribution logit_gradient --attribution "smoothgrad(samples=50)"',
    title="Can the gradients of {classifier} be trusted?",
    command=DiffROARCommand,
    audited=DiffROAROptions,
    needs=frozenset({"classifier", "train"}),
    place=10,
)
