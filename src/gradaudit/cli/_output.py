"""What every command prints with, at a width that fits; and how an instrument's result is handed over."""

from __future__ import annotations

import json
import shlex
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._options import command_line

if TYPE_CHECKING:
    import pandas as pd

    from gradaudit.instruments.contract import Instrument
    from gradaudit.markup.pictures import Pictures
    from gradaudit.results import Result, Verdict

BRIEF = {"eps", "sigma", "radius", "strength"}  # columns whose numbers are a user's own
SHARES = {"level"}
SIGNED = {
    *("DiffROAR", "values, bits", "given mask, bits"),
    *("top, bits", "bottom, bits", "selection, top", "selection, bottom"),
}
FINE = ("change on", "change off")  # how columns begin whose numbers may be small


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


def print_table(title: str, rows: pd.DataFrame) -> None:
    """Print rows; the columns `low` and `high` become the interval of the column before them, under any prefix alike."""
    table = Table(title=escape(title))
    columns = [str(name) for name in rows]
    ends = {name: (low, high) for name, low, high in zip(columns, columns[1:], columns[2:], strict=False) if _are_ends(low, high)}
    shown = [name for name in columns if not any(name in pair for pair in ends.values())]
    for name in shown:
        table.add_column(_heading(name), justify="right" if rows[name].dtype.kind in "fi" else "left")
        if name in ends:
            table.add_column("95 % interval", justify="right")
    for row in rows.to_dict("records"):
        table.add_row(*(cell for name in shown for cell in _cells(row, name, ends.get(name))))
    console().print(table)


def _heading(name: str) -> str:
    """The column's name in words; that of a user's function, such as `my_package.my_module:my_function`, as it is."""
    return escape(name if ":" in name else name.replace("_", " "))


def _are_ends(low: str, high: str) -> bool:
    return low.endswith("low") and high.endswith("high") and low[:-3] == high[:-4]


def _cells(row: Mapping[Any, Any], name: str, ends: tuple[str, str] | None) -> list[str]:
    cell = _spelled(row[name], name)
    if ends is None:
        return [cell]
    low, high = (row[end] for end in ends)
    return [cell, rf"\[{_spelled(low, name)}, {_spelled(high, name)}]" if low == low else "-"]


def _spelled(value: Any, name: str) -> str:
    if not isinstance(value, float):
        return escape(str(value))
    if value != value:
        return "-"
    if name in SHARES:
        return f"{100 * value:.4g}%"
    return (
        f"{value:.4g}" if name in BRIEF else f"{value:+.3f}" if name in SIGNED else f"{value:.{4 if name.startswith(FINE) else 3}f}"
    )


def deliver(
    made: Instrument,
    result: Result,
    name: str,
    out: Path,
    seconds: float,
    as_json: bool,
    pictures: Callable[[], Pictures | None],
) -> None:
    """Save the result and its page to `out`; print it as JSON, or its tables and verdicts and where the page is.

    Args:
        made: the instrument.
        result: what it returned.
        name: what the page calls the classifier.
        out: the folder.
        seconds: wall time of the instrument.
        as_json: print JSON and nothing else.
        pictures: makes the page's pictures, once the result is safe.
    """
    from gradaudit.report import write_page

    made.write(result, out)
    page = write_page(
        out / "index.html",
        title=made.about.title.format(classifier=name),
        results={name: result},
        pictures=pictures(),
        facts={},
        command=shlex.join(["gradaudit", *command_line]),
        seconds=seconds,
    )
    if as_json:
        print(json.dumps(result.to_json()))
        return
    for title, rows in made.tables(result, name):
        print_table(title, rows)
    for subject, verdict in made.verdicts(result).items():
        print_verdict(verdict, subject)
    say(f"{seconds:.0f} s; page, tables and figures: {page}")
