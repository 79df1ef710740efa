"""What manifold robustness asks, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import DeviceOptions
from gradaudit.options import Numbers, Options, Spec, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.instruments.tangents import Tangents


@dataclass(frozen=True, kw_only=True)
class ManifoldRobustnessOptions(DeviceOptions):
    """The options of `manifold_robustness`."""

    radius: Sequence[float] | None = option(
        None,
        Numbers(above=0, ascending=True, what="lengths"),
        "L2 lengths of the noise, in pixel values of [0, 1], ascending; the paper's are 1.44, 2.64, 4.83 and 8.86 for images of "
        "3x32x32 in [-1, 1], so half of them in [0, 1], times the square root of F / 3072 for images of F numbers",
        shown="the paper's, to scale",
    )
    samples: int = option(10, Whole(1), "draws of noise an image; each serves both directions and all radii")
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it changes the result by rounding alone", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class WithTangents(Options):
    """What a command or an audit says of tangent spaces, which a Python function is given."""

    tangents: str | Mapping[str, Any] | Tangents = option(
        "neighbours",
        Spec(),
        "where tangent spaces come from: an autoencoder's `.safetensors` file; `neighbours` among the training images, as in "
        '`neighbours(neighbours=100, dimensions=16)`; or `denoiser("zoo:mnist", sigma=0.25, dimensions=16)`, which in an audit '
        "or a sweep is their own where none is named",
    )


@dataclass(frozen=True, kw_only=True)
class ManifoldRobustnessCommand(ManifoldRobustnessOptions, WithTangents):
    """The options of the command."""


@dataclass(frozen=True, kw_only=True)
class ManifoldRobustnessInAudit(ManifoldRobustnessOptions, WithTangents):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="manifold_robustness",
    question="Does the output change less under noise off the data manifold than under noise on it?",
    example="gradaudit manifold-robustness robust.safetensors mnist5k --tangents autoencoder.safetensors",
    title="Does {classifier} react to what no image shows?",
    command=ManifoldRobustnessCommand,
    audited=ManifoldRobustnessInAudit,
    needs=frozenset({"classifier", "train"}),
    place=60,
)
