"""The toy's result."""

from dataclasses import dataclass
from typing import ClassVar

import pandas as pd
from matplotlib.figure import Figure

from gradaudit.results import Result


@dataclass(frozen=True, eq=False)
class ToyResult(Result):
    """What `toy` returns; `table` has the columns `measure` and `value`."""

    kind: ClassVar[str] = "toy"

    def plot(self) -> Figure:
        """A bar."""
        figure = Figure()
        figure.subplots().bar(self.table["measure"], self.table["value"])
        return figure


def tabulate(value: float) -> pd.DataFrame:
    return pd.DataFrame({"measure": ["confidence"], "value": [value]})
