"""What mask recovery asks, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import WorkerOptions
from gradaudit.options import Choice, Choices, Numbers, Spec, SpecList, Whole, Wholes, option

if TYPE_CHECKING:
    from gradaudit.attributions import AttributionLike, Features
    from gradaudit.fills import FillLike
    from gradaudit.training import Recipe


@dataclass(frozen=True, kw_only=True)
class MaskRecoveryOptions(WorkerOptions):
    """The options of `mask_recovery`."""

    attribution: AttributionLike = option(
        "logit_gradient",
        Spec(),
        "what ranks the features: the spec of an attribution, or in Python a function `(classifier, images, targets) -> scores`",
    )
    fills: FillLike | Sequence[FillLike] = option(
        ("zero", "mean", "noise", "blur", "imputation"),
        SpecList(),
        "one fill or several: `zero`, `mean`, `noise`, `blur(sigma=2)`, `imputation(noise=0.01)`, "
        "`generative(denoiser='zoo:mnist')` or `package.module:function`; in Python also a function or a Fill",
    )
    levels: Sequence[float] = option((0.1,), Numbers(above=0, below=1, what="shares"), "shares of the features that are kept")
    sides: Sequence[str] = option(
        ("top", "bottom"),
        Choices(("top", "bottom")),
        "which are kept: the highest-ranked, `top`, the lowest-ranked, `bottom`, or each in turn",
    )
    target: Literal["label", "predicted", "random", "all"] = option(
        "label",
        Choice(("label", "predicted", "random", "all")),
        "the class that is attributed: the label or the predicted one, one drawn at random, or all",
    )
    features: Features = option(
        "pixels",
        Choice(("coordinates", "pixels")),
        "rank all `C*H*W` coordinates, or the `H*W` pixels by the sum of magnitudes over channels",
    )
    learner: str | Mapping[str, Any] | Recipe = option(
        "mlp",
        Spec(),
        "what learns labels from masks: the name of a recipe, a network's spec for the default recipe, or in Python a recipe; each "
        "of `seeds` replaces its seed",
    )
    epochs: int = option(4, Whole(1), "passes over the training images of the network that recovers masks")
    seeds: int | Sequence[int] = option(
        2, Wholes(), "how many independent seeds, from `seed` on; in Python also the seeds themselves. Intervals need at least 2"
    )


ABOUT = About(
    name="mask_recovery",
    question="Does a fill hide which features were kept, or can a network see the mask and read the label from it?",
    example="gradaudit mask-recovery zoo:mnist/standard mnist5k --fills zero,mean,imputation --levels 0.02,0.1",
    title="Do fills hide which features of {classifier} were kept?",
    command=MaskRecoveryOptions,
    needs=frozenset({"classifier", "train"}),
    place=90,
)
