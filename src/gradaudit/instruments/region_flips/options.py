"""What flips by region ask, and their options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import MapsOptions, StoreOptions
from gradaudit.options import Choice, Names, Numbers, Spec, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.instruments.counterfactual.arguments import MethodLike


@dataclass(frozen=True, kw_only=True)
class RegionFlipsOptions(MapsOptions, StoreOptions):
    """The options of `region_flips`."""

    levels: Sequence[float] = option(
        (0.2,),
        Numbers(above=0, below=1, what="shares"),
        "one or several shares of the pixels that may change, once the top-ranked and once the bottom-ranked; the verdict is about "
        "the middle one",
    )
    method: MethodLike = option(
        "svce(steps=30)",
        Spec(),
        "the single method that changes images, as `counterfactual` has it: `apgd(radius=2)`, `svce(radius=10)`, `dvce(steps=50)`, "
        "...; its radius is the size of a change, whatever part of the image may change",
    )
    controls: Sequence[str] = option(
        ("random", "edges"),
        Names(),
        "controls that run beside, such as `random`, `edges` or `untrained`; `none`, in Python an empty list, for none; the "
        "verdict asks for a lead over `random` where it runs",
    )
    target: Literal["label", "predicted"] = option(
        "label", Choice(("label", "predicted")), "the class that is attributed; images are changed towards the second most likely"
    )
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it changes no result beyond rounding", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class RegionFlipsInAudit(RegionFlipsOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="region_flips",
    question="Does an image become another class, to other classifiers too, by changes of the pixels that its map ranks first?",
    example="gradaudit region-flips zoo:mnist/robust mnist5k --oracle standard=zoo:mnist/standard --test-images 100",
    title="Are the pixels that the gradient of {classifier} ranks first those that make another class?",
    command=RegionFlipsOptions,
    audited=RegionFlipsInAudit,
    needs=frozenset({"classifier"}),
    wants=frozenset({"denoiser", "robust", "oracles"}),
    place=75,
    asked_for=True,
)
