"""Results back from their files."""

from __future__ import annotations

import os

from gradaudit.instruments.contract import instrument, names
from gradaudit.results import Result


def load_result(folder: str | os.PathLike[str]) -> Result:
    """The result that an instrument saved in `folder`, or in a `results.json` given itself.

    Raises:
        InputError: there is no such file, or it is not a result that this version reads.
    """
    know_results()
    return Result.load(folder)


def know_results() -> None:
    """Have each instrument make its kinds of result known."""
    for name in names():
        instrument(name)
