"""What every command prints with, at a width that fits; and how an instrument's result is handed over."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from rich.console import Console
from rich.markup import escape

from gradaudit.cli._options import command_line

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.attributions import AttributionLike
    from gradaudit.images import ImageSet
    from gradaudit.report import Pictures
    from gradaudit.results import Result, Verdict

One = TypeVar("One", bound="Result")


def say(text: str) -> None:
    console().print(text, highlight=False, soft_wrap=True)


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 150)


def print_verdict(verdict: Verdict, subject: str = "") -> None:
    """Print the verdict and its caveats, after the name of what it is about where there are several."""
    out = console()
    head = f"{escape(subject)} " if subject else ""
    out.print(f"{head}[bold]{verdict.label}[/bold]: {escape(verdict.sentence)}", highlight=False)
    for caveat in verdict.caveats:
        out.print(f"  - but {escape(caveat)}", highlight=False)


def deliver(
    result: One,
    name: str,
    out: Path,
    show: Callable[[One, str], None],
    *,
    title: str,
    seconds: float,
    as_json: bool,
    pictures: Callable[[], Pictures] | None = None,
    figures: str = "figure",
) -> None:
    """Save the result and its page to `out`; print it as JSON, or by `show` and say where the page is.

    Args:
        result: what an instrument returned.
        name: what the page calls the classifier.
        out: the folder.
        show: prints the result under a name.
        title: the page's heading.
        seconds: wall time of the instrument.
        as_json: print JSON and nothing else.
        pictures: makes the page's pictures, once the result is safe.
        figures: the word for what was drawn.
    """
    from gradaudit.report import write_page

    result.save(out)
    page = write_page(
        out / "index.html",
        title=title,
        results={name: result},
        pictures=pictures() if pictures else None,
        facts={},
        command=shlex.join(["gradaudit", *command_line]),
        seconds=seconds,
    )
    if as_json:
        print(json.dumps(result.to_json()))
        return
    show(result, name)
    say(f"{seconds:.0f} s; page, table and {figures}: {page}")


def pictured(result: Result, name: str, classifier: nn.Module, images: ImageSet, attribution: AttributionLike) -> Pictures:
    """Some images with an attribution by the classifier and by the result's controls, as the result has them."""
    from gradaudit.markup.gallery import gallery

    options = {"target": result.settings["target"], "controls": result.settings["controls"], "seed": result.settings["seed"]}
    return gallery({name: classifier}, images, attribution, **options)
