"""What an answer says."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Any

from markupsafe import Markup

from gradaudit.errors import require
from gradaudit.markup.rendering import sentence

TRUST, DO_NOT_TRUST, NOT_SETTLED = "trust", "do not trust", "not settled"
UNLIKE = "unlike any known"  # label of a number to which nothing planted is alike


@dataclass(frozen=True)
class Reading:
    """An instrument's number, and what became of planted maps with such numbers.

    Args:
        instrument: its name.
        measure: what the number is, in words.
        subject: the attribution.
        value: the number.
        low: lower end of its 95 % interval; NaN where there is none.
        high: its upper end; likewise.
        good: of the planted maps nearest to it, the share that was good; NaN where nothing was calibrated.
        words: the same, in words, or why it isn't calibrated.
        weighs: whether the answer rests on it.
        label: what the answer would be by this number alone: `trust`, `do not trust` or `not settled`; `unlike any known` where no
            planted map is like the audited images; empty where the measure was not tried on planted maps.
    """

    instrument: str
    measure: str
    subject: str
    value: float
    low: float
    high: float
    good: float
    words: str
    weighs: bool
    label: str = ""


@dataclass(frozen=True)
class Answer:
    """Whether a classifier's maps can be trusted.

    Args:
        label: `trust`, `trust for <attribution>`, `do not trust` or `not settled`.
        sentence: the same in plain words, with the reasons that weigh most.
        settle: what would settle it; empty where it is settled.
        readings: what it rests on and what else was measured, the weightiest first.
    """

    label: str
    sentence: str
    settle: str = ""
    readings: tuple[Reading, ...] = ()

    def __str__(self) -> str:
        return f"{self.label}: {self.sentence}" + f". {sentence(self.settle)}" * bool(self.settle)

    def _repr_html_(self) -> Markup:
        return self.html()

    def html(self, name: str = "") -> Markup:
        """A paragraph, which begins with the classifier's name if it is given."""
        settle = f" What would settle it: {sentence(self.settle)}" if self.settle else ""
        label = f"{name}: {self.label}" if name else self.label
        return Markup("<p><strong>{}</strong>. {}{}</p>").format(label, sentence(self.sentence), settle)

    def to_json(self) -> dict[str, Any]:
        """The answer as JSON values; `from_json` gives it back."""
        found = asdict(self)
        found["readings"] = [{key: _plain(value) for key, value in one.items()} for one in found["readings"]]
        return found

    @staticmethod
    def from_json(data: Any) -> Answer:
        """The answer that `to_json` described.

        Raises:
            InputError: a part is missing.
        """
        sound = isinstance(data, dict) and {"label", "sentence", "settle", "readings"} <= data.keys()
        require(sound, "answer", data, "an answer, as `to_json` gives it")
        readings = tuple(_reading(one) for one in data["readings"])
        return Answer(data["label"], data["sentence"], data["settle"], readings)


def _reading(data: dict[str, Any]) -> Reading:
    found: dict[str, Any] = {key: math.nan if value is None else value for key, value in data.items()}
    return Reading(**found)


def _plain(value: Any) -> Any:
    return None if isinstance(value, float) and math.isnan(value) else value
