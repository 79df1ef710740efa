"""What fidelity asks, and its options."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import MapsOptions, StoreOptions
from gradaudit.options import Anything, Choice, Names, Numbers, Spec, Specs, Whole, WholeOr, option

if TYPE_CHECKING:
    from gradaudit.attributions import Features
    from gradaudit.fills import FillLike
    from gradaudit.images import ImageSet
    from gradaudit.training import Recipe


@dataclass(frozen=True, kw_only=True)
class FidelityOptions(MapsOptions, StoreOptions):
    """The options of `fidelity`."""

    levels: Sequence[float] = option(
        (0.05, 0.1, 0.2, 0.4),
        Numbers(above=0, below=1, what="shares"),
        "one or several shares of the features that are kept, once the top-ranked and once the bottom-ranked; the verdict is about "
        "the middle one",
    )
    fill: FillLike | Sequence[FillLike] = option(
        "imputation",
        Specs(),
        "what replaces removed features: `zero`, `mean`, `noise`, `blur(sigma=2)`, `imputation(noise=0.1)`, ...; in Python also a "
        "function `(kept, mask) -> filled`, or a Fill; the verdict is about the first",
    )
    reference: ImageSet | None = option(
        None,
        Anything(),
        "the training images, whose statistics some fills use, and on which a copy is fine-tuned",
        shown="the images themselves",
        python_only=True,
    )
    finetuned: str | Mapping[str, Any] | Recipe | None = option(
        None,
        Spec(),
        "a recipe, by name with its fields, as `evaluators/fine-tune` or `evaluators/fine-tune(epochs=2)`, in Python also a "
        "Recipe: by it a copy of the classifier is fine-tuned, once for each fill, on training images with random parts filled, "
        "as much as the lowest level leaves out at most, and asked in the classifier's place; its network is not used",
        shown="none: the classifier itself is asked",
    )
    controls: Sequence[str] = option(
        ("random", "blurred_random", "edges", "untrained", "blurred"),
        Names(),
        "controls that run beside, none for an empty list; `untrained` and `blurred` are of the first audited attribution unless "
        "their `of=` says otherwise, and left out where they can't be made of it",
    )
    features: Features = option(
        "pixels",
        Choice(("coordinates", "pixels")),
        "rank the `H*W` pixels by the sum of magnitudes over channels, or all `C*H*W` coordinates",
    )
    target: Literal["label", "predicted"] = option(
        "label",
        Choice(("label", "predicted")),
        "the class that is attributed, and that the classifier must still give: the label, or the class predicted for the image as "
        "it is",
    )
    patches: int = option(
        4, Whole(), "side of the grid whose patches are removed one at a time, at most one a pixel; 0 for no such deletion"
    )
    batch_size: int | Literal["auto"] = option(
        "auto", WholeOr(), "images at once, as many as fit in memory; it does not change the result", python_only=True
    )


@dataclass(frozen=True, kw_only=True)
class FidelityInAudit(FidelityOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="fidelity",
    question="Does this classifier use the pixels that its attribution ranks first?",
    example="gradaudit fidelity zoo:mnist/standard mnist5k --fill imputation --fill mean --test-images 500",
    title="Does {classifier} use the pixels that its gradient ranks first?",
    command=FidelityOptions,
    audited=FidelityInAudit,
    needs=frozenset({"classifier", "train"}),
    place=25,
)
