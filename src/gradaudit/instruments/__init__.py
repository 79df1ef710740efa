"""The instruments; none imports another."""

from __future__ import annotations

import os
import pkgutil
from importlib import import_module

from gradaudit.results import Result


def load_result(folder: str | os.PathLike[str]) -> Result:
    """The result that an instrument saved in `folder`, or in a `results.json` given itself.

    Raises:
        InputError: there is no such file, or it is not a result that this version reads.
    """
    for module in pkgutil.iter_modules(__path__):
        import_module(f"{__name__}.{module.name}")  # each makes its kind of result known
    return Result.load(folder)
