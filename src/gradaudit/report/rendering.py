"""Templates to HTML: whatever a user named is escaped, whatever is missing is an error."""

from __future__ import annotations

import base64
import hashlib
import re
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from gradaudit.report.inline_svg import miniature


def render(template: str, **values: Any) -> Markup:
    """The filled template, as HTML that is not escaped again."""
    return Markup(_environment().get_template(template).render(values))


GOOD = {"holds", "robust", "stays", "focused", "aligned", "off-manifold robust", "confirmed", "semantic", "hidden"} | {
    "informative first"
}
BAD = {
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
}


def tone(label: str) -> str:
    """Whether a verdict's label is `good` or `bad` news, or leaves it `open`: its colour on the page."""
    if label.startswith(("more than ", "no more than ")):  # controls of any name
        return "good" if label.startswith("more") else "bad"
    return "good" if label in GOOD else "bad" if label in BAD else "open"


def sentence(text: str) -> str:
    """The text with a capital, a full stop and true minus signs."""
    text = re.sub(r"(?<![\w-])-(?=\d)", "\N{MINUS SIGN}", text.strip())
    return text[:1].upper() + text[1:] + ("" if text.endswith((".", "!", "?")) else ".")


def script_hash() -> str:
    """What the page's security policy allows: the one script of ours, and no other."""
    return base64.b64encode(hashlib.sha256(_script().encode()).digest()).decode()


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("gradaudit.report", "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["sentence"] = sentence
    environment.filters["tone"] = tone
    environment.filters["miniature"] = miniature
    environment.globals["script"] = lambda: Markup(_script())
    return environment


@cache
def _script() -> str:
    # Read through the loader, so that it is found wherever the package lives; a script is text, not a template.
    source, _, _ = PackageLoader("gradaudit.report", "templates").get_source(Environment(), "script.js")
    return source
