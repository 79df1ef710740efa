"""What alignment asks, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import DeviceOptions
from gradaudit.options import Choice, Number, Numbers, Specs, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.instruments.alignment.methods import MethodLike

SCORE = (
    "`unconditional`, `conditional`, `bayes` (their difference, the gradient that a Bayes-optimal classifier would have), or "
    "`auto`, conditional where the denoiser knows classes and else unconditional; a function `(score, targets) -> scores`, as "
    "`package.module:function`; in Python also the function itself, or a list"
)


@dataclass(frozen=True, kw_only=True)
class AlignmentOptions(DeviceOptions):
    """The options of `alignment`."""

    sigma: Sequence[float] = option(
        (0.25,),
        Numbers(above=0, ascending=True, what="standard deviations"),
        "standard deviations of the score's noise, in pixel values of [0, 1], ascending",
    )
    similarity: MethodLike | Sequence[MethodLike] = option(
        "cosine",
        Specs(),
        "`cosine`, `absolute_cosine`, `magnitude_cosine`, `rank_correlation`, `ssim`, `lpips`, `features(network='FILE')`; a "
        "function `(gradients, scores) -> values (N,)`, as `package.module:function`; in Python also the function itself, or a "
        "list",
    )
    gradient: MethodLike | Sequence[MethodLike] = option(
        "logit",
        Specs(),
        "`logit` and `log_probability`, both of the target, and `logit_sum`; a function "
        "`(classifier, images, targets) -> gradients`, as attributions are, as `package.module:function`; in Python also the "
        "function itself, or a list",
    )
    score: MethodLike | Sequence[MethodLike] = option("auto", Specs(), SCORE)
    noise: Literal["none", "matched"] = option(
        "none",
        Choice(("none", "matched")),
        "where both are taken: at the image itself (`none`, the paper's way), or at the image plus noise of the score's sigma "
        "(`matched`), which is where denoisers learn the score; the noise belongs to an image and not to its batch",
    )
    target: Literal["label", "predicted"] = option(
        "label", Choice(("label", "predicted")), "the class of gradients and scores: the label or the predicted one"
    )
    transfer_radius: float | None = option(
        None,
        Number(above=0),
        "L2 radius within which images climb the classifier's gradient for oracles to judge them",
        shown="a tenth of the square root of the number of pixel values",
    )
    batch_size: int | Literal["auto"] = option(
        "auto",
        WholeOr(),
        "images at once, as many as fit in memory; it does not change the result beyond rounding",
        python_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class AlignmentInAudit(AlignmentOptions):
    """The options in an audit."""

    score: MethodLike | Sequence[MethodLike] | None = option(  # type: ignore[assignment]
        None, Specs(), SCORE, shown="`bayes` where the denoiser knows the classifier's classes, else `unconditional`"
    )
    images: int | None = option(None, Whole(2), "test images used", shown="all")


ABOUT = About(
    name="alignment",
    question="Do gradients point along the data manifold, as a generative model's do?",
    example="gradaudit alignment robust.safetensors mnist5k --denoiser zoo:mnist --sigma 0.1,0.25,0.5",
    title="Do the gradients of {classifier} point along the data manifold?",
    command=AlignmentOptions,
    audited=AlignmentInAudit,
    needs=frozenset({"classifier", "denoiser"}),
    wants=frozenset({"oracles"}),
    place=50,
)
