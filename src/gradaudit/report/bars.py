"""A number on its calibrated scale: the ground is the higher the more of the planted maps with such numbers were good."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from markupsafe import Markup

from gradaudit.answering import Scale

WIDTH, GROUND, HEIGHT, TOP = 240.0, 30.0, 32.0, 4.0  # in units of the drawing: the ground's foot, and where all were good
MIDDLE = (GROUND + TOP) / 2
CAP = 4.0


def bar(scale: Scale, value: float, low: float, high: float, *, name: str, label: str = "") -> Markup:
    """The number with its interval on the scale, as an `<svg>`.

    Args:
        scale: the scale, and what became of planted maps along it.
        value: the number; at an end of the scale where it lies beyond.
        low: lower end of its interval; NaN where there is none.
        high: its upper end.
        name: unique in the page, letters and hyphens.
        label: the drawing in words; for the eye alone where it is empty.
    """
    role = Markup('role="img" aria-label="{}"').format(label) if label else Markup('aria-hidden="true"')
    parts = [_ground(scale, name), Markup('<path class="foot" d="M0 {:g}H{:g}"/>').format(GROUND, WIDTH)]
    if not math.isnan(low) and not math.isnan(high):
        parts.append(_twice(_whisker(_place(scale, low), _place(scale, high))))
    parts.append(_twice(_mark(scale, value), "mark"))
    frame = Markup('<svg class="bar" viewBox="-7 0 {:g} {:g}" {}>{}</svg>')
    return frame.format(WIDTH + 14, HEIGHT, role, Markup("").join(parts))


def _place(scale: Scale, value: float) -> float:
    """Where the value is, from 0 to `WIDTH`."""
    share = (value - scale.low) / (scale.high - scale.low)
    return WIDTH * min(1.0, max(0.0, share))


def _ground(scale: Scale, name: str) -> Markup:
    """The curve as an area, coloured along it, before a paler sky."""
    curve = [(_place(scale, value), share) for value, share in scale.curve if scale.low <= value <= scale.high]
    if len(curve) < 2:
        return Markup("")
    line = "L".join(f"{place:.1f} {GROUND - (GROUND - TOP) * share:.1f}" for place, share in curve)
    outline = f"M{curve[0][0]:.1f} {GROUND:g}L{line}L{curve[-1][0]:.1f} {GROUND:g}Z"
    gradient = Markup('<linearGradient id="{}" gradientUnits="userSpaceOnUse" x1="0" x2="{:g}">{}</linearGradient>')
    stops = Markup("").join(_stop(place, share) for place, share in _turns(curve))
    sky = f"M{curve[0][0]:.1f} {GROUND:g}V{TOP:g}H{curve[-1][0]:.1f}V{GROUND:g}Z"
    areas = Markup('<path class="sky" d="{0}" fill="url(#{2})"/><path class="ground" d="{1}" fill="url(#{2})"/>')
    return gradient.format(name, WIDTH, stops) + areas.format(sky, outline, name)


def _turns(curve: Sequence[tuple[float, float]]) -> Iterator[tuple[float, float]]:
    """The points at which the share changes, and the ends."""
    for turn, point in enumerate(curve):
        around = curve[max(0, turn - 1) : turn + 2]
        if len(around) < 3 or len({share for _, share in around}) > 1:
            yield point


def _stop(place: float, share: float) -> Markup:
    """A colour from bad over undecided to good."""
    one, other, part = ("good", "open", 2 * share - 1) if share > 0.5 else ("open", "bad", 2 * share)
    color = f"color-mix(in oklab, var(--{one}) {100 * part:.0f}%, var(--{other}))"
    return Markup('<stop offset="{:.4g}" style="stop-color: {}"/>').format(place / WIDTH, color)


def _whisker(start: float, end: float) -> str:
    up, down = MIDDLE - CAP, MIDDLE + CAP
    return f"M{start:.1f} {MIDDLE:g}H{end:.1f}M{start:.1f} {up:g}V{down:g}M{end:.1f} {up:g}V{down:g}"


def _mark(scale: Scale, value: float) -> str:
    """A disc, or where the value is beyond the scale an arrow that points there."""
    place = _place(scale, value)
    if scale.low <= value <= scale.high:
        return f"M{place - 5:.1f} {MIDDLE:g}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z"
    way = 6 if value > scale.high else -6
    return f"M{place + way:.1f} {MIDDLE:g}l{-1.8 * way:g} 6v-12Z"


def _twice(path: str, kind: str = "whisker") -> Markup:
    """The path over a rim of the paper's colour, so that it stands out from any ground."""
    return Markup('<path class="{0} halo" d="{1}"/><path class="{0}" d="{1}"/>').format(kind, path)
