"""What an instrument returns: a tidy table, a verdict, a figure, and files that give all of it back."""

from __future__ import annotations

import json
import math
import os
import platform
from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import matplotlib
import pandas as pd
from markupsafe import Markup

from gradaudit.errors import InputError, require
from gradaudit.files import own, whole_file, writable_folder, write_text
from gradaudit.lettering import legible
from gradaudit.notebooks import drawn, first_rows, heading

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = 1
FORMULAS = ("=", "+", "-", "@", "\t", "\n")  # what begins a formula for some spreadsheet


@dataclass(frozen=True)
class Verdict:
    """What the numbers say.

    Args:
        label: one word; DiffROAR's is `holds`, `violated` or `inconclusive`.
        sentence: the same in plain words, with the numbers that decide it.
        caveats: what a reader must know before relying on it.
    """

    label: str
    sentence: str
    caveats: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.label}: {self.sentence}"

    def with_caveats(self, caveats: Iterable[str]) -> Verdict:
        """The verdict with these caveats before its own."""
        return replace(self, caveats=(*caveats, *self.caveats))

    def _repr_html_(self) -> str:
        return heading(self.label, self.sentence, self.caveats)


@dataclass(frozen=True, eq=False)
class Result(ABC):
    """A frozen record of one instrument's run.

    Args:
        table: tidy, one row a measurement.
        verdict: label and sentence.
        settings: all that decided the numbers, as plain JSON values.
        details: what else was measured, as plain JSON values.
        versions: of Python, gradaudit and the libraries that compute.
    """

    kind: ClassVar[str]
    kinds: ClassVar[dict[str, type[Result]]] = {}

    table: pd.DataFrame
    verdict: Verdict
    settings: dict[str, Any]
    details: dict[str, Any] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=lambda: versions())

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        Result.kinds[cls.kind] = cls
        cls.__repr__ = Result.__repr__  # type: ignore[method-assign]  # or the dataclass writes out all tables and images

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.verdict})"

    def _repr_html_(self) -> str:
        figures = (drawn(self._legible(one), f"The figure of {name.replace('_', ' ')}") for name, one in self.figures().items())
        return Markup("").join([self.verdict._repr_html_(), first_rows(self.brief), *figures])

    @property
    def brief(self) -> pd.DataFrame:
        """The table that a notebook shows; an instrument with a shorter one than `table` says so here."""
        return self.table

    @abstractmethod
    def plot(self) -> Figure:
        """The instrument's figure."""

    def figures(self) -> dict[str, Figure]:
        """What `save` writes and a notebook shows, by the name of the file; an instrument with several figures says so here."""
        return {self.kind: self.plot()}

    def _legible(self, figure: Figure) -> Figure:
        return legible(figure, self.settings.get("classes", ()))

    def to_json(self) -> dict[str, Any]:
        """The whole result as JSON values; `from_json` gives it back exactly."""
        return {
            "schema": SCHEMA,
            "instrument": self.kind,
            "verdict": asdict(self.verdict),
            "table": table_to_json(self.table),
            "settings": self.settings,
            "details": self.details,
            "versions": self.versions,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Result:
        """The result that `to_json` described.

        Raises:
            InputError: an unknown instrument, another schema than this version reads, or a part is missing or damaged.
        """
        require(isinstance(data, Mapping), "data", type(data).__name__, "a mapping, as `to_json` gives it")
        require(data.get("schema") == SCHEMA, "schema", data.get("schema"), f"{SCHEMA}, the one that this version reads")
        kind = data.get("instrument")
        require(kind in list(Result.kinds), "instrument", kind, f"one of {', '.join(sorted(Result.kinds))}")
        try:
            table, verdict = table_from_json(data["table"]), data["verdict"]
            said = Verdict(verdict["label"], verdict["sentence"], tuple(verdict["caveats"]))
            rest = (dict(data[part]) for part in ("settings", "details", "versions"))
            return Result.kinds[data["instrument"]](table, said, *rest)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            reason = f"{type(error).__name__}: {error}"
            raise InputError("data", f"a {kind} result", f"undamaged, as `to_json` gives it ({reason})") from error

    def save(self, folder: str | os.PathLike[str]) -> Path:
        """Write `results.json` (lossless), `<instrument>.csv` and the figures as SVG to `folder`; return the folder.

        Raises:
            InputError: the folder can't be written.
            StoreError: a file can't be, for instance because the disk is full.
            ValueError: settings or details hold a number that is not finite.
        """
        self.write_files(folder)
        return own(folder)

    def write_files(self, folder: str | os.PathLike[str]) -> list[Path]:
        """As `save`; return the files."""
        text = json.dumps(self.to_json(), indent=1, allow_nan=False) + "\n"
        target = writable_folder("folder", folder)
        written = [write_text(target / f"{self.kind}.csv", table_to_csv(self.table))]
        for name, figure in self.figures().items():
            # Names inside the figure are drawn at random unless salted; the same result gives the same file.
            with whole_file(target / f"{name}.svg") as file, matplotlib.rc_context({"svg.hashsalt": name, "text.usetex": False}):
                self._legible(figure).savefig(file, format="svg", metadata={"Date": None})
            written.append(target / f"{name}.svg")
        return [*written, write_text(target / "results.json", text)]

    @staticmethod
    def load(folder: str | os.PathLike[str]) -> Result:
        """The result saved in `folder`, or in a `results.json` given itself.

        Raises:
            InputError: there is no such file, or it is not a result.
        """
        path = own(folder)
        path = path / "results.json" if path.is_dir() else path
        try:
            data = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError) as error:
            raise InputError("folder", str(folder), f"a folder with a readable results.json ({error})") from error
        return Result.from_json(data)


class Audited:
    """For a result of attributions with controls beside: which they were, from its settings."""

    settings: dict[str, Any]

    @property
    def audited(self) -> tuple[str, ...]:
        """The audited attributions; where there is a single verdict, it is about the first."""
        return tuple(self.settings["attributions"])

    @property
    def controls(self) -> tuple[str, ...]:
        """The controls that ran beside them."""
        return tuple(self.settings["controls"])


def versions() -> dict[str, str]:
    """Versions of what decides a number; torch's with its build, such as `2.14.1+cu130`."""
    from importlib.metadata import version

    from torch import __version__ as build

    packages = ("gradaudit", "torch", "numpy", "scipy", "pandas")
    return {"python": platform.python_version()} | {name: version(name) for name in packages} | {"torch": str(build)}


def read_table(path: str | os.PathLike[str]) -> pd.DataFrame:
    """The table of a CSV file, floats as they were written: before pandas 3 that must be asked for, and from 3.1 on must not be."""
    exact: dict[str, Any] = {} if int(pd.__version__.partition(".")[0]) >= 3 else {"float_precision": "round_trip"}
    table: pd.DataFrame = pd.read_csv(path, **exact)
    return table


def table_to_csv(table: pd.DataFrame) -> str:
    """The table as CSV in which no spreadsheet finds a formula: text that begins like one has a `'` before it; numbers stay."""
    texts = table.select_dtypes(include=["object", "string", "category"])
    safe = texts.astype(object).map(_no_formula, na_action="ignore")
    return table.assign(**{str(name): column for name, column in safe.items()}).rename(columns=_no_formula).to_csv(index=False)


def _no_formula(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    value = value.replace("\r", "\n")  # which is quoted
    if not value.startswith(FORMULAS):
        return value
    try:
        float(value)
    except ValueError:
        return f"'{value}"
    return value


def table_to_json(table: pd.DataFrame) -> dict[str, Any]:
    """The table as JSON values, column by column, with their types."""

    def plain(value: Any) -> Any:
        value = value.item() if hasattr(value, "item") else value
        if isinstance(value, float) and not math.isfinite(value):
            return None if math.isnan(value) else str(value)  # JSON has no infinity; pandas reads "inf" back
        return value

    return {
        str(name): {
            "dtype": "string" if isinstance(column.dtype, pd.StringDtype) or column.dtype == object else str(column.dtype),
            "values": [plain(value) for value in column],
        }
        for name, column in table.items()
    }


def table_from_json(columns: Mapping[str, Any]) -> pd.DataFrame:
    """The table that `table_to_json` described."""

    def series(column: Mapping[str, Any]) -> pd.Series:
        return pd.Series(column["values"], dtype="str" if column["dtype"] == "string" else column["dtype"])

    return pd.DataFrame({name: series(column) for name, column in columns.items()})
