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
    for name in names():
        instrument(name)  # each makes its kinds of result known
    return Result.load(folder)
