"""What robustness asks, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import StoreOptions
from gradaudit.options import Choice, Flag, Number, Numbers, Specs, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.instruments.robustness.methods import AttackLike
    from gradaudit.training.perturbations import Norm

RADII = Numbers(least=0, ascending=True, what="radii")
EPS = (
    "radii, in units of pixel values of [0, 1], ascending; they serve all attacks and measures, and on the command line fractions "
    "will do: `2/255`"
)


@dataclass(frozen=True, kw_only=True)
class RobustnessOptions(StoreOptions):
    """The options of `robustness`."""

    norm: Norm = option("linf", Choice(("linf", "l2")), "what the attacks' radius is: `linf` or `l2`")
    eps: Sequence[float] = option((0.0, 0.1, 0.3), RADII, EPS)
    attack: AttackLike | Sequence[AttackLike] = option(
        "pgd",
        Specs(),
        "`pgd`; `autoattack`, which is shown what the other attacks did not break; `smoothing` (randomized smoothing: the share "
        "certified to L2 `eps`); `gaussian` (the share of neighbours at noise of standard deviation `eps` that keep the class); "
        "any of these with options, as in `smoothing(sigma=0.5)`; a function, as `package.module:function`, "
        "`(classifier, images, labels, *, norm, eps) -> images`; in Python also the function itself, or a list",
    )
    steps: int = option(20, Whole(1), "gradient steps of the attacks that have them")
    step_size: float | None = option(None, Number(above=0), "length of a step", shown="2.5 * eps / steps (eps / 8 for 20 steps)")
    restarts: int = option(1, Whole(1), "independent starts, of which the worst is kept for each image")
    eot: int = option(1, Whole(1), "passes over which a randomised classifier's logits are averaged for the attacks' gradients")
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it does not change the result", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class RobustnessCommand(RobustnessOptions):
    """The options of the command."""

    first: bool = option(False, Flag(), "take the first of the test images in their order rather than a stratified draw")


@dataclass(frozen=True, kw_only=True)
class RobustnessInAudit(RobustnessOptions):
    """The options in an audit."""

    eps: Sequence[float] | None = option(  # type: ignore[assignment]
        None,
        RADII,
        EPS,
        shown="those usual for the norm and for grey or colour images",
    )
    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="robustness",
    question="How large a perturbation does the classifier withstand?",
    example="gradaudit robustness robust.safetensors mnist5k --eps 0,0.1,0.3 --attack pgd --attack autoattack --restarts 5",
    title="How large a perturbation does {classifier} withstand?",
    command=RobustnessCommand,
    audited=RobustnessInAudit,
    place=40,
)
