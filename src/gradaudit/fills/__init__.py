"""Fills: what is put where features were removed, `(train, *, options) -> Fill`, each in the file of its name.

A fill is a function of the kept values alone, so none can tell a learner what was removed.
"""

from gradaudit.fills._fill import Fill, FillFunction
from gradaudit.fills._resolve import FILLS, FillLike, check_fill, resolve_fill

__all__ = ["FILLS", "Fill", "FillFunction", "FillLike", "check_fill", "resolve_fill"]
