"""Matplotlib figures as SVG inside the page: text stays text, colours follow the theme, ids are the page's own."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from markupsafe import Markup

from gradaudit.lettering import as_written, quiet
from gradaudit.markup.strokes import STAND_INS

if TYPE_CHECKING:
    from matplotlib.figure import Figure


@contextmanager
def figure_style() -> Iterator[None]:
    """The page's Matplotlib style inside, whatever the user's own; figures are made and saved in it."""
    from matplotlib import style

    ink, soft, line = (STAND_INS[name] for name in ("ink", "soft", "line"))
    ours = {
        "font.family": "DejaVu Sans",  # comes with Matplotlib: the layout is the same on every machine
        "font.size": 9,
        "svg.fonttype": "none",
        "svg.hashsalt": "gradaudit",
        "text.color": ink,
        "axes.labelcolor": soft,
        "axes.edgecolor": soft,
        "axes.linewidth": 0.6,
        "axes.spines.top": False,
        "axes.spines.right": False,
        "axes.grid": True,
        "axes.axisbelow": True,
        "grid.color": line,
        "grid.linewidth": 0.6,
        "xtick.color": soft,
        "ytick.color": soft,
        "xtick.major.width": 0.6,
        "ytick.major.width": 0.6,
        "lines.markersize": 5,
        "figure.facecolor": "none",
        "axes.facecolor": "none",
    }
    with style.context(["default", ours]):
        yield


def inline_svg(figure: Figure, name: str, label: str) -> Markup:
    """The figure as an `<svg>` element.

    Args:
        figure: made inside `figure_style()`, where this is called too.
        name: unique in the page, letters and hyphens; begins every id of the figure.
        label: what the figure shows, in words, for those who can't see it.
    """
    file = io.StringIO()
    as_written(figure)
    with quiet():  # the browser has the letters
        figure.savefig(file, format="svg", metadata={"Date": None, "Creator": None, "Format": None, "Type": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    view = re.search(r'viewBox="[^"]+"', text)
    body = text[text.index(">") + 1 :]
    # Matplotlib's own style rule would hold for the whole page; style.css has it for figures.
    body = re.sub(r"<metadata>.*?</metadata>|<style.*?</style>", "", body, flags=re.DOTALL)
    body = re.sub(r'(\bid=")', rf"\1{name}-", body)
    body = re.sub(r'(url\(#|\bhref="#)', rf"\1{name}-", body).replace("xlink:href", "href")
    body = re.sub(r"(font: [\d.]+px|font-family:)[^;\"]*", r"\1 var(--sans)", body)
    for role, color in STAND_INS.items():
        body = body.replace(color, f"var(--{role})")
    head = Markup('<svg class="figure" role="img" aria-label="{}" {}>').format(label, Markup(view.group() if view else ""))
    return head + Markup(body.strip())


def miniature(overview: Markup) -> Markup:
    """An overview's figure for narrow screens once more, for the eye alone, with ids of its own; empty if it has none."""
    found = re.search(r'<div class="narrow">\s*<svg[^>]*?(viewBox="[^"]+")>(.*?)</svg>', overview, re.DOTALL)
    if found is None:
        return Markup("")
    body = re.sub(r'(\bid="|url\(#|\bhref="#)', r"\1small-", found[2])
    return Markup('<svg class="figure" aria-hidden="true" {}>{}</svg>').format(Markup(found[1]), Markup(body))
