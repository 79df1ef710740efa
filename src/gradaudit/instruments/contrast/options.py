"""What contrast asks, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import DeviceOptions, MapsOptions
from gradaudit.options import Choice, Names, Whole, WholeOr, option

if TYPE_CHECKING:
    pass


@dataclass(frozen=True, kw_only=True)
class ContrastOptions(MapsOptions, DeviceOptions):
    """The options of `contrast`."""

    neighbours: int = option(
        30, Whole(1), "nearest training images of the image's class, and of the others, whose means are compared"
    )
    controls: Sequence[str] = option(
        ("random", "blurred_random", "edges", "untrained"),
        Names(),
        "controls that run beside, such as `edges` or `untrained`: attributions that know no classifier, one that is untrained, "
        "or a blurred map; `none`, in Python an empty list, for none",
    )
    target: Literal["label", "predicted"] = option(
        "label", Choice(("label", "predicted")), "the class that is attributed, and contrasted with the others"
    )
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it does not change the result", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class ContrastInAudit(ContrastOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(2), "test images used", shown="all")


ABOUT = About(
    name="contrast",
    question="Does a map lie where an image differs from its nearest neighbours of other classes?",
    example='gradaudit contrast zoo:mnist/robust mnist5k --attribution logit_gradient --attribution "smoothgrad(samples=50)"',
    title="Do the gradients of {classifier} lie where classes differ?",
    command=ContrastOptions,
    audited=ContrastInAudit,
    needs=frozenset({"classifier", "train"}),
    place=15,
)
