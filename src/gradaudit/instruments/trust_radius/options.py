"""What the trust radius asks, and its options."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import DeviceOptions
from gradaudit.options import Numbers, Whole, WholeOr, option


@dataclass(frozen=True, kw_only=True)
class TrustRadiusOptions(DeviceOptions):
    """The options of `trust_radius`."""

    sigma: Sequence[float] = option(
        (0.003, 0.01, 0.03, 0.1, 0.3),
        Numbers(above=0, ascending=True, what="standard deviations"),
        "standard deviations of the noise around an image, in pixel values of [0, 1], ascending; the radius is sought among them, "
        "between two by interpolation",
    )
    copies: int = option(
        32,
        Whole(8),
        "noisy copies of each image at each sigma; their own noise is taken off the errors, so that more make figures of single "
        "images surer, and hardly the means",
    )
    pairs: int = option(2, Whole(1), "pairs of further copies, image plus and minus a noise, at which MMSE takes its gradients")
    classes: int = option(
        9, Whole(1), "rival classes whose margins have their gradients taken at the image: those of the highest logits, or all"
    )
    batch_size: int | Literal["auto"] = option(
        "auto",
        WholeOr(),
        "images at once, as many as fit in memory; it does not change the result beyond rounding",
        python_only=True,
    )


@dataclass(frozen=True, kw_only=True)
class TrustRadiusInAudit(TrustRadiusOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="trust_radius",
    question="How far from an image does its gradient still predict what the classifier does?",
    example="gradaudit trust-radius zoo:mnist/robust mnist5k --sigma 0.01,0.03,0.1,0.3 --copies 100 --test-images 200",
    title="How far does the gradient of {classifier} predict what it does?",
    command=TrustRadiusOptions,
    audited=TrustRadiusInAudit,
    place=27,
)
