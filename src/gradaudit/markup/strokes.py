"""How a curve is drawn: colours that follow the page's light or dark theme, and marks that tell curves apart without colour."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

# Matplotlib wants a colour now, the page decides later: each name stands in the figure as a colour that nothing else uses,
# and becomes a variable of the style sheet when the figure is put in the page.
NAMES = ("ink", "soft", "line", "top", "bottom", "control", "s1", "s2", "s3", "s4", "s5", "s6")
STAND_INS = {name: f"#0102{place:02x}" for place, name in enumerate(NAMES)}
SERIES = ("s1", "s2", "s3", "s4", "s5", "s6")

# The same mark for Matplotlib and for the key in HTML, whose paths are centred on 0.
MARKS = {
    "o": "M-4 0a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
    "s": "M-3.6 -3.6H3.6V3.6H-3.6Z",
    "^": "M0 -4.4L4.4 3.6H-4.4Z",
    "D": "M0 -4.8L4.8 0L0 4.8L-4.8 0Z",
    "v": "M0 4.4L4.4 -3.6H-4.4Z",
}
SHAPES = tuple(MARKS)
DASHES = ((), (6, 2), (4, 2, 1, 2), (2, 2))
DOTS = ((1, 2), (5, 2, 1, 2), (3, 2), (7, 3), (1, 4))


@dataclass(frozen=True)
class Stroke:
    """One curve's look.

    Args:
        color: a name of the style sheet's palette.
        dashes: lengths of dash and gap in points; empty for a solid line.
        mark: the shape at each level; empty for none.
        hollow: whether the shape is an outline.
    """

    color: str
    dashes: tuple[float, ...] = ()
    mark: str = ""
    hollow: bool = False

    def options(self) -> dict[str, Any]:
        """Keyword arguments for Matplotlib's `plot` and `errorbar`."""
        color = STAND_INS[self.color]
        face = "none" if self.hollow else color
        style: Any = (0, self.dashes) if self.dashes else "-"
        return {"color": color, "linestyle": style, "marker": self.mark or None, "markerfacecolor": face, "linewidth": 1.4}

    def swatch(self) -> Markup:
        """The curve in small, for a key."""
        color = f"var(--{self.color})"
        dashes = Markup(' stroke-dasharray="{}"').format(" ".join(f"{length:g}" for length in self.dashes)) if self.dashes else ""
        line = Markup('<path d="M1 7H35" stroke-width="1.8"{}/>').format(dashes)
        fill = "var(--paper)" if self.hollow else color
        mark = Markup('<path d="{}" transform="translate(18 7)" fill="{}"/>').format(MARKS[self.mark], fill) if self.mark else ""
        frame = Markup('<svg class="swatch" viewBox="0 0 36 14" aria-hidden="true" fill="none" style="stroke:{}">{}{}</svg>')
        return frame.format(color, line, mark)


def series_stroke(classifier: int, attribution: int) -> Stroke:
    """The look of an audited curve: a colour and a shape for each classifier, dashes for each attribution."""
    shape = SHAPES[(classifier + attribution) % len(SHAPES)]
    return Stroke(SERIES[classifier % len(SERIES)], DASHES[attribution % len(DASHES)], shape, hollow=attribution % 2 == 1)


def control_stroke(place: int) -> Stroke:
    """The look of a control: grey, never solid, hollow."""
    return Stroke("control", DOTS[place % len(DOTS)], SHAPES[place % len(SHAPES)], hollow=True)
