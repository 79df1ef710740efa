"""What a sweep asks, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.manifold_robustness.options import WithTangents
from gradaudit.instruments.run_options import WorkerOptions
from gradaudit.options import Anything, Choice, Numbers, Spec, Specs, Whole, option

if TYPE_CHECKING:
    from gradaudit.instruments.alignment.methods import MethodLike
    from gradaudit.training import Recipe

# Chosen on MNIST, in l2 where there is a norm, so that each family goes from no effect to an accuracy near chance.
STRENGTHS: dict[str, tuple[float, ...]] = {
    "gradient_penalty": (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0),
    "noise_stability": (0.003, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 100.0, 1000.0),
    "noise": (0.03, 0.1, 0.2, 0.4, 0.7, 1.0, 1.5, 2.5, 5.0),
    "adversarial": (0.1, 0.3, 0.6, 1.0, 1.5, 2.0, 3.0, 4.0, 8.0),
}


@dataclass(frozen=True, kw_only=True)
class SweepOptions(WorkerOptions):
    """The options of `sweep`."""

    families: str | Sequence[str] | Mapping[str, Sequence[float] | None] = option(
        tuple(STRENGTHS),
        Anything(),
        'objectives with a strength: names of those with strengths of their own (`"gradient_penalty"`, `"noise_stability"`, '
        '`"noise"`, `"adversarial"`), or a mapping to strengths, each above 0 and ascending; None for a family\'s own, which are '
        'for `norm="l2"`. A name may have options, and `"package.module:function"` is a user\'s own',
        python_only=True,
    )
    base: Recipe | None = option(
        None,
        Anything(),
        "the recipe of the unregularised classifier; the others differ in their objective, and in its ramp of 0.3. Its seed is "
        "that of all trainings",
        shown="a small network, `gradaudit.instruments.sweep.BASE`,",
        python_only=True,
    )
    sigma: Sequence[float] = option(
        (0.25,),
        Numbers(above=0, ascending=True),
        "standard deviations of the score's noise, in pixel values of [0, 1], ascending; the first counts for peaks and for the "
        "correlation",
    )
    similarity: MethodLike = option("cosine", Spec(), "of gradients and scores, as alignment takes it")
    gradient: MethodLike = option(
        "logit", Spec(), "`logit`, `logit_sum`, `log_probability` or `package.module:function`, as alignment takes it"
    )
    score: MethodLike = option(
        "auto", Spec(), "`conditional`, `unconditional`, `bayes`; `auto`: conditional where the denoiser knows classes"
    )
    radius: Sequence[float] | None = option(
        None,
        Numbers(above=0, ascending=True, what="lengths"),
        "L2 lengths of the noise on and off the manifold, ascending, as manifold robustness takes them; regimes are called at the "
        "middle one, of an even number the lower",
        shown="the paper's, to scale",
    )
    samples: int = option(10, Whole(1), "draws of that noise an image")
    norm: Literal["linf", "l2"] = option(
        "l2", Choice(("linf", "l2")), "of the PGD that measures, and of those objectives that have a norm"
    )
    eps: Sequence[float] = option(
        (0.5, 1.0, 2.0),
        Numbers(above=0, ascending=True, what="radii"),
        "radii of PGD, in pixel values of [0, 1], above 0, ascending",
    )


@dataclass(frozen=True, kw_only=True)
class SweepCommand(SweepOptions, WithTangents):
    """The options of the command."""

    family: Sequence[str] | None = option(
        None,
        Specs(),
        "an objective, with its strengths unless it has its own: `noise`, `gradient_penalty=0.001,0.1,10`, "
        "`adversarial(steps=3)=0.5,1,2`, `package.module:objective=0.1,1`",
        shown=", ".join(STRENGTHS),
    )
    recipe: str | None = option(None, Spec(), "of the unregularised classifier (see `gradaudit recipes`)", shown="a small network")
    epochs: int | None = option(None, Whole(1), "passes over the training images", shown="the recipe's")


ABOUT = About(
    name="sweep",
    question="Do gradients align with the data manifold where a classifier is robust off it, but not on it?",
    example="gradaudit sweep mnist5k --denoiser zoo:mnist --tangents autoencoder.safetensors "
    "--family gradient_penalty=0.001,0.1,10 --family noise",
    title="Where along a training sweep do gradients align?",
    command=SweepCommand,
    needs=frozenset({"train", "denoiser"}),
    place=90,
)
