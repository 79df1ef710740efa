"""A sweep's figures in the page's colours: those of the result, drawn for wide and for narrow screens."""

from __future__ import annotations

from collections.abc import Callable

from markupsafe import Markup

from gradaudit.instruments.sweep.drawing import Colours, draw_map, draw_panels
from gradaudit.instruments.sweep.regimes import ALIGNED, EXCESSIVE, INVERTED, WEAK
from gradaudit.instruments.sweep.result import SweepResult
from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import SERIES, STAND_INS

SHADES = {WEAK: "control", ALIGNED: "s5", EXCESSIVE: "s2", INVERTED: "s3"}
COLOURS = Colours(
    STAND_INS["ink"],
    STAND_INS["soft"],
    tuple(STAND_INS[name] for name in SERIES),
    {regime: STAND_INS[name] for regime, name in SHADES.items()},
)


def map_figures(result: SweepResult, place: int) -> dict[str, Markup]:
    """The map, for `wide` and `narrow` screens; `place` is the sweep's on the page."""
    points = zip(result.regimes.to_dict("records"), result.off_manifold_robustness, strict=True)
    words = "; ".join(f"{row['family']} {row['strength']:g}: {ratio:.3g}, {row['regime']}" for row, ratio in points)
    label = f"Relative off-manifold robustness against alignment. Relative off-manifold robustness and regime: {words}"
    sizes = {"wide": (7.4, 4.6), "narrow": (4.1, 5.6)}
    return {
        name: _drawn(size, f"sweep-map-{place}-{name}", label, lambda figure: draw_map(result, figure, COLOURS))
        for name, size in sizes.items()
    }


def panel_figures(result: SweepResult, place: int) -> dict[str, Markup]:
    """The panels, families side by side on `wide` screens and one below the other on `narrow` ones."""
    count = len(result.families)
    label = f"Accuracy, alignment, and change on and off the manifold against strength, for {', '.join(result.families)}"
    sizes = {"wide": (min(count, 4), 9.2, 7.0 * -(-count // 4)), "narrow": (1, 4.1, 7.0 * count)}
    return {
        name: _drawn(
            (max(least, 3.1 * columns), height),
            f"sweep-panels-{place}-{name}",
            label,
            lambda figure, columns=columns: draw_panels(result, figure, COLOURS, columns=columns),
        )
        for name, (columns, least, height) in sizes.items()
    }


def _drawn(size: tuple[float, float], name: str, label: str, draw: Callable[..., None]) -> Markup:
    from matplotlib.figure import Figure

    with figure_style():
        figure = Figure(figsize=size, layout="constrained")
        draw(figure)
        return inline_svg(figure, name, label)
