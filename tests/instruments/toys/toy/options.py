"""What the toy asks, and its options."""

from dataclasses import dataclass

from gradaudit.instruments.contract import About
from gradaudit.instruments.run_options import SeedOptions
from gradaudit.options import Choice, Number, Whole, option


@dataclass(frozen=True, kw_only=True)
class ToyOptions(SeedOptions):
    """The options of `toy`."""

    factor: float = option(2.0, Number(above=0), "what the confidence is multiplied by")
    of: str = option("label", Choice(("label", "predicted")), "the class whose confidence is meant")


@dataclass(frozen=True, kw_only=True)
class ToyInAudit(ToyOptions):
    """The options in an audit."""

    images: int | None = option(None, Whole(1), "test images used", shown="all")


ABOUT = About(
    name="toy",
    question="How confident is the classifier, times a factor?",
    example="gradaudit toy zoo:mnist/standard mnist5k --factor 3",
    title="Is {classifier} confident?",
    command=ToyOptions,
    audited=ToyInAudit,
)
