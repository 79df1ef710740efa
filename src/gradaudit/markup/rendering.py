"""Templates to HTML: whatever a user named is escaped, whatever is missing is an error."""

from __future__ import annotations

import re
from functools import cache
from pathlib import Path
from typing import Any, Protocol

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from gradaudit.markup.inline_svg import miniature


class Render(Protocol):
    """The filled template, as HTML that is not escaped again."""

    def __call__(self, template: str, **values: Any) -> Markup:
        """Fill the template of that name."""


def templates(module: str, folder: str = ".") -> Render:
    """What fills the templates beside a module, given its `__file__`, or in a folder beside it; all may use `parts.html`."""
    environment = _environment(Path(module).parent / folder)

    def render(template: str, **values: Any) -> Markup:
        return Markup(environment.get_template(template).render(values))

    return render


GOOD = {"holds", "robust", "stays", "focused", "aligned", "off-manifold robust", "confirmed", "semantic", "hidden"} | {
    "informative first",
    "used",
    "decisive",
    "where classes differ",
    "wide",
}
BAD = {
    "do not trust",
    "elsewhere",
    "violated",
    "brittle",
    "leaks",
    "distracted",
    "not aligned",
    "not off-manifold robust",
    "not confirmed",
    "not semantic",
    "visible",
    "not at all",
    "upside down",
    "not used",
    "indifferent",
    "nowhere",
}


NEITHER = {"local"}


def tone(label: str) -> str:
    """Whether a label is `good` or `bad` news, `neither` though settled, or leaves it `open`: its colour on the page."""
    if label == "trust" or label.startswith("trust for "):  # attributions of any name
        return "good"
    if label.startswith(("more than ", "no more than ")):  # controls of any name
        return "good" if label.startswith("more") else "bad"
    tones = {"good": GOOD, "bad": BAD, "neither": NEITHER}
    return next((name for name, labels in tones.items() if label in labels), "open")


def sentence(text: str) -> str:
    """The text with a capital, a full stop and true minus signs."""
    text = re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


@cache
def _environment(folder: Path) -> Environment:
    environment = Environment(
        loader=FileSystemLoader([folder, Path(__file__).parent / "templates"]),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = sentence
    environment.filters["tone"] = tone
    environment.filters["miniature"] = miniature
    return environment
