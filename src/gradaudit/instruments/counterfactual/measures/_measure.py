"""The measures that were asked for, in one table."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd
from torch import Tensor

from gradaudit.errors import MissingExtraError, require
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.measures._evidence import Evidence
from gradaudit.registry import Registry, Spec, parse_spec

MEASURES = Registry("gradaudit.instruments.counterfactual.measures", "measure")
ORDER = ("validity", "closeness")  # first in the table; the others follow by name

Named = str | Mapping[str, Any] | Spec


def measure(evidence: Evidence, names: Sequence[Named] | None = None) -> tuple[pd.DataFrame, dict[str, str]]:
    """A table with a row an image and the measures' columns, and of those measures that were skipped the reason by name.

    Args:
        evidence: images before and after, and what they are measured by.
        names: specs such as `"cout"` or `"cout(steps=20)"`; all measures unless given.

    Raises:
        InputError: an unknown measure or option, two measures with one column, or a classifier without finite logits.
    """
    specs = [parse_spec("names", name) for name in (_all() if names is None else names)]
    bound = [(str(spec), MEASURES.bind("names", spec)) for spec in specs]
    columns: dict[str, Tensor] = {}
    skipped: dict[str, str] = {}
    for name, function in bound:
        try:
            found = function(evidence)
        except (LackingError, MissingExtraError) as reason:
            skipped[name] = str(reason)
            continue
        twice = sorted(columns.keys() & found.keys())
        require(not twice, "names", name, f"measures of different columns; twice: {', '.join(twice)}")
        columns |= found
    arrays = {name: values.cpu().numpy() for name, values in columns.items()}
    return pd.DataFrame(arrays, index=range(len(evidence.before))), skipped


def _all() -> list[str]:
    return [*ORDER, *(name for name in MEASURES.names() if name not in ORDER)]
