"""What an instrument puts on the page. One function in one file of `sections` makes it, named after the instrument."""

from __future__ import annotations

from dataclasses import dataclass

from markupsafe import Markup

from gradaudit.results import Verdict


def spoken(kind: str) -> str:
    """An instrument's name within a sentence."""
    return "DiffROAR" if kind == "diffroar" else kind.replace("_", " ")


@dataclass(frozen=True)
class Finding:
    """One verdict, for the first screen.

    Args:
        classifier: the classifier's name.
        subject: what was judged, such as the attribution.
        verdict: the verdict; its caveats are listed below the figure.
    """

    classifier: str
    subject: str
    verdict: Verdict


@dataclass(frozen=True)
class Section:
    """One instrument's part of the page, or what several say together.

    Args:
        anchor: the section's id in the page.
        title: its heading.
        question: what the instrument asks, one sentence.
        findings: one or more for each classifier; none where nothing is judged.
        overview: the figure for the first screen, with its caption; may be empty.
        body: all that follows the heading.
    """

    anchor: str
    title: str
    question: str
    findings: tuple[Finding, ...]
    overview: Markup
    body: Markup
