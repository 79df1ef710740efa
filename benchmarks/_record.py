"""What a benchmark says, in one form: what was measured, against what, whether it suffices, where, when and how."""

from __future__ import annotations

import argparse
import datetime
import json
import os
import platform
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent  # what a script found lies beside it: a record as NAME.json, tables and figures in NAME/


@dataclass(frozen=True)
class Row:
    """One figure.

    Args:
        what: was measured.
        value: of it; None where it could not be.
        unit: of the value, such as `"s"` or `"MB"`.
        against: what the ratio compares it with.
        ratio: median over the rounds.
        spread: the ratio's lowest and highest round.
        at_least: needed; of the ratio where there is one, else of the value.
        at_most: likewise.
        why: it was not measured.
    """

    what: str
    value: float | None = None
    unit: str = ""
    against: str = ""
    ratio: float | None = None
    spread: tuple[float, float] | None = None
    at_least: float | None = None
    at_most: float | None = None
    why: str = ""

    @property
    def needed(self) -> str:
        """As people say it; empty where nothing is."""
        unit = self.unit if self.ratio is None else "times"
        bounds = (("at least", self.at_least), ("at most", self.at_most))
        return " and ".join(f"{word} {number(bound)} {unit}".rstrip() for word, bound in bounds if bound is not None)

    @property
    def reached(self) -> str:
        """`"yes"` or `"no"` where something is needed, `"not measured"`, or nothing."""
        found = self.value if self.ratio is None else self.ratio
        if found is None:
            return "not measured"
        if self.at_least is None and self.at_most is None:
            return ""
        enough = self.at_least is None or found >= self.at_least
        return "yes" if enough and (self.at_most is None or found <= self.at_most) else "no"


@dataclass(frozen=True)
class Record:
    """A benchmark's run: its rows, and all that a reader needs to judge and to repeat them.

    Args:
        name: of the benchmark, its file's.
        claim: or question, the first paragraph of its docstring.
        rows: what was measured; none where its results are files of their own.
        machine: processor, cores, threads, memory, GPU.
        load: how many processes were busy when it began, beside it.
        versions: of what decides a number.
        date: on which it ended.
        command: that repeats it.
        seconds: of wall time.
        short: a trial, whose figures say nothing of the claim.
    """

    name: str
    claim: str
    rows: tuple[Row, ...]
    machine: Mapping[str, Any]
    load: float
    versions: Mapping[str, str]
    date: str
    command: str
    seconds: float
    short: bool = False

    @property
    def missed(self) -> bool:
        """Whether a figure is not as needed."""
        return any(row.reached == "no" for row in self.rows)

    def save(self, folder: Path) -> Path:
        """Write `<name>.json` to the folder, whole or not at all."""
        from gradaudit.files import write_text

        rows = [asdict(row) | {"needed": row.needed, "reached": row.reached} for row in self.rows]
        text = json.dumps(asdict(self) | {"rows": rows}, indent=1, allow_nan=False)
        return write_text(folder / f"{self.name}.json", text + "\n")

    @staticmethod
    def load_from(path: Path) -> Record:
        """The record that `save` wrote."""
        data = json.loads(path.read_text(encoding="utf-8"))
        names = {field.name for field in fields(Row)}
        rows = [{key: value for key, value in row.items() if key in names} for row in data["rows"]]
        pairs = [row | {"spread": tuple(row["spread"]) if row["spread"] else None} for row in rows]
        return Record(**data | {"rows": tuple(Row(**row) for row in pairs)})


def benchmark_parser(about: str | None) -> argparse.ArgumentParser:
    """The options that all benchmarks with a record have."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--short", action="store_true", help="a trial with little work, which says nothing of the claim")
    parser.add_argument("--results", type=Path, help="folder for the record; beside the script unless given or a trial")
    return parser


def table_parser(
    file: str, about: str | None, weights: bool = False, workers: int | None = os.cpu_count()
) -> argparse.ArgumentParser:
    """The options that benchmarks with tables of their own have; `--weights-dir` and `--workers` where they take them."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/, fashion_mnist/, cifar10/")
    if weights:
        own = os.environ.get("GRADAUDIT_WEIGHTS")
        parser.add_argument("--weights-dir", default=own, help="holds the classifiers that others trained")
    if workers:
        parser.add_argument("--workers", type=int, default=workers)
    parser.add_argument("--store", type=Path, help="folder for finished work; the user's own unless given")
    folder = RESULTS / Path(file).stem
    parser.add_argument("--out", type=Path, default=folder, help="folder for tables and figures; whole results go to out/ in it")
    return parser


def save_figure(path: Path, figure: Figure, dpi: float = 100) -> None:
    """Write the figure as its file's ending says, whole or not at all."""
    from gradaudit.files import whole_file

    undated = {"Date": None} if path.suffix == ".svg" else None
    with whole_file(path) as file:
        figure.savefig(file, format=path.suffix[1:], dpi=dpi, metadata=undated)


@contextmanager
def recording(file: str, about: str | None, arguments: argparse.Namespace) -> Iterator[list[Row]]:
    """A list to fill with rows; at the end they are kept, with machine, versions, date, command and wall time."""
    rows: list[Row] = []
    load, start = os.getloadavg()[0], time.perf_counter()
    yield rows
    record = record_of(Path(file).stem, claim_of(about or ""), tuple(rows), load, time.perf_counter() - start, arguments.short)
    folder = arguments.results or (None if arguments.short else RESULTS)
    if folder is None:
        print("\na trial: nothing is kept")
    else:
        print(f"\nkept in {record.save(folder)}")


def record_of(name: str, claim: str, rows: tuple[Row, ...], load: float, seconds: float, short: bool, command: str = "") -> Record:
    """The record of a run that ends now, on this machine."""
    from gradaudit.results import versions

    today = datetime.datetime.now(datetime.UTC).date().isoformat()
    command = command or command_of(sys.argv)
    return Record(name, claim, rows, machine(), round(load, 1), versions(), today, command, round(seconds, 1), short)


def claim_of(about: str) -> str:
    """A docstring's first paragraph on one line, without the word that it begins with."""
    paragraph = " ".join(about.partition("\n\n")[0].split())
    return paragraph.removeprefix("Claim: ").removeprefix("Question: ")


def command_of(words: list[str]) -> str:
    """As one types it in the repository's root; of other folders only the name, for they are this machine's."""
    shown = [Path(word).name if os.path.isabs(word) else word for word in words[1:]]
    threads = os.environ.get("OMP_NUM_THREADS")
    setting = f"OMP_NUM_THREADS={threads} " if threads else ""
    return f"{setting}python benchmarks/{' '.join([Path(words[0]).name, *shown])}"


def machine() -> dict[str, Any]:
    """What the numbers were measured on."""
    import torch

    cuda = torch.cuda.is_available()
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "threads": torch.get_num_threads(),
        "memory_gib": round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30),
        "gpu": torch.cuda.get_device_name() if cuda else "none",
    }


def number(value: float) -> str:
    """Three significant digits, plain where that is short."""
    if value == 0 or 0.001 <= abs(value) < 1000:
        return f"{value:.3g}"
    if 1000 <= abs(value) < 1e6:
        return f"{value:,.0f}"
    digits, _, power = f"{value:.1e}".partition("e")
    return f"{digits.removesuffix('.0')}e{int(power)}"


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    except OSError:
        lines = []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()
