"""What leakage asks, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import DeviceOptions, MapsOptions
from gradaudit.options import Anything, Choice, File, Names, Numbers, Whole, WholeOr, option

if TYPE_CHECKING:
    import numpy as np
    from torch import Tensor

    from gradaudit.attributions import Features


@dataclass(frozen=True, kw_only=True)
class LeakageOptions(MapsOptions, DeviceOptions):
    """The options of `leakage`."""

    target: Literal["label", "predicted"] = option(
        "label", Choice(("label", "predicted")), "the class that is attributed: the label or the predicted one"
    )
    top: Sequence[float] = option(
        (0.05, 0.1, 0.2),
        Numbers(above=0, below=1, what="shares"),
        "one or several shares of the features that count as top-ranked; the verdict is about the middle one",
    )
    signal_mask: Tensor | np.ndarray | None = option(
        None,
        Anything(),
        "boolean (N, H, W), True where the image carries its label",
        shown="the images' own",
        python_only=True,
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
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it does not change the result", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class LeakageCommand(LeakageOptions):
    """The options of the command."""

    masks: Path | None = option(
        None,
        File(),
        "`.npy` or `.npz` for the test images in their order: boolean masks (N, H, W), or boxes (N, 4), integers left, top, right, "
        "bottom",
        shown="the data set's own",
    )


@dataclass(frozen=True, kw_only=True)
class LeakageInAudit(LeakageOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")
    epochs: int = option(10, Whole(1), "of the training on blocks, where the images have no signal mask")


ABOUT = About(
    name="leakage",
    question="Do attributions stay on the part of the image that matters, where that part is known?",
    example='gradaudit leakage classifier.safetensors "blocks(of=mnist5k)" --attribution logit_gradient --attribution smoothgrad',
    title="Do the attributions of {classifier} stay on the signal?",
    command=LeakageCommand,
    audited=LeakageInAudit,
    place=30,
)
