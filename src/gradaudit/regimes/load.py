"""Results back from their files: those of the instruments, and sweeps."""

from __future__ import annotations

import os

from gradaudit import instruments
from gradaudit.regimes.result import SweepResult
from gradaudit.results import Result


def load_result(folder: str | os.PathLike[str]) -> Result | SweepResult:
    """The result that an instrument or a sweep saved in `folder`, or in a `results.json` given itself.

    Raises:
        InputError: there is no such file, or it is not a result that this version reads.
    """
    return instruments.load_result(folder)  # which knows a sweep's kind, since its class is imported above
