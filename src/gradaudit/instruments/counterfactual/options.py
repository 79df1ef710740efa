"""What counterfactuals ask, and their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import StoreOptions
from gradaudit.options import Anything, Choice, Number, Spec, Specs, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.instruments.counterfactual.arguments import MethodLike, Targets
    from gradaudit.instruments.counterfactual.region import RegionLike


@dataclass(frozen=True, kw_only=True)
class ChangingOptions(StoreOptions):
    """What all that changes images takes."""

    region: RegionLike | None = option(
        None,
        Anything(),
        "where images may change, pixels elsewhere staying equal bit for bit: `signal` (their signal mask), `null` (all but that), "
        "`top(attribution=logit_gradient, share=0.2)` or `bottom(...)`, the pixels that an attribution ranks highest or lowest; in "
        "Python also booleans (N, H, W)",
        shown="all of an image",
    )
    batch_size: int | Literal["auto"] = option(
        "auto",
        WholeOr(),
        "images at once, as many as fit in memory; it does not change the result beyond rounding",
        python_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class CounterfactualOptions(ChangingOptions):
    """The options of `counterfactual`."""

    method: MethodLike | Sequence[MethodLike] = option(
        "dvce",
        Specs(),
        "`dvce`, `blended`, `svce`, `apgd`, with options as in `dvce(steps=100)`, or `package.module:function`; in Python also a "
        "function `(problem) -> Solution`, or a list; the verdict is about the first",
    )
    seeds: int = option(1, Whole(1), "counterfactuals of each image: of seeds `seed`, `seed + 1` and so on")
    repulsion: float = option(
        0.0,
        Number(least=0),
        "how strongly the counterfactuals of an image and target repel each other, as a share of the noise's length: each is "
        "pushed from the nearest of those of earlier seeds; 0 for independent ones; `dvce` and `blended` alone",
    )


@dataclass(frozen=True, kw_only=True)
class DifferencesOptions(ChangingOptions):
    """The options of `counterfactual_differences`."""

    method: MethodLike = option("dvce", Spec(), "one of those of `counterfactual`, with options as in `dvce(steps=50)`")


@dataclass(frozen=True, kw_only=True)
class CounterfactualCommand(CounterfactualOptions):
    """The options of the command."""

    target: str = option(
        "second", Anything(), "`second` (most likely), `all` (others), a class, or pairs of present and wanted class: `4=9,3=8`"
    )
    images: int = option(
        16, Whole(1), "change that many, drawn stratified by `--seed` from those that the target fits; each is written as a PNG"
    )
    split: Literal["test", "train", "both"] = option(
        "test", Choice(("test", "train", "both")), "the images of which half of the data; `both` for a folder of your own"
    )


@dataclass(frozen=True, kw_only=True)
class CounterfactualInAudit(CounterfactualOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images changed", shown="all")
    against: str | None = option(
        None,
        Anything(),
        "the audited classifier, by name, that is to keep its class where the others change theirs; or `other`, where two are "
        "audited: each against the other one",
        shown="none",
    )
    targets: Targets = option(
        "second",
        Anything(),
        "the class wanted: `second` (the second most likely), `all` (each other class in turn), one class by its index or name, or "
        "one for each image",
    )


ABOUT = About(
    name="counterfactual",
    question="What would have to change in an image for another class, and is it what others take for that class?",
    example=("gradaudit counterfactual zoo:mnist/standard mnist5k --denoiser zoo:mnist --robust zoo:mnist/robust --target 4=9,3=8"),
    title="What would change the mind of {classifier}?",
    command=CounterfactualCommand,
    audited=CounterfactualInAudit,
    wants=frozenset({"denoiser", "robust", "oracles", "against"}),
    place=70,
)
