"""One table of all benchmarks: as text for a terminal, and as the generated part of `docs/benchmarks.md`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from _catalogue import Benchmark
from _record import RESULTS, Record, Row, number

HEAD = ("claim", "needed", "measured", "ratio", "reached", "on", "when")
BEGIN, END = "<!-- made by python benchmarks/run.py --markdown -->", "<!-- end of what was made -->"


def kept_records(names: Iterable[str], folder: Path = RESULTS) -> dict[str, Record]:
    """The records that are in the folder, by name."""
    paths = {name: folder / f"{name}.json" for name in names}
    return {name: Record.load_from(path) for name, path in paths.items() if path.exists()}


def lines_of(benchmark: Benchmark, record: Record | None, machines: list[str], why: str = "") -> list[tuple[str, ...]]:
    """The benchmark's lines under `HEAD`: its claim, and one for each figure.

    Args:
        benchmark: what it is about.
        record: of its last run, if it has one.
        machines: those met so far, to which the record's is added; a line names it by its letter.
        why: it was not run now.
    """
    claim = f"{benchmark.name}: {record.claim if record else benchmark.claim}"
    if record is None:
        reason = f"not measured{f': {why}' if why else ''}"
        return [(claim, "", results_of(benchmark) or reason, "", "", "", "")]
    letter, when = letter_of(record, machines), when_of(record)
    if not record.rows:
        return [(claim, "", results_of(benchmark), "", "", letter, when)]
    return [(claim, "", "", "", "", letter, when), *(line_of(row) for row in record.rows)]


def line_of(row: Row) -> tuple[str, ...]:
    """A figure."""
    spread = f" [{number(row.spread[0])}, {number(row.spread[1])}]" if row.spread else ""
    against = f" against {row.against}" if row.against else ""
    ratio = "" if row.ratio is None else f"x{number(row.ratio)}{spread}{against}"
    value = "" if row.value is None else f"{number(row.value)} {row.unit}".rstrip()
    missing = row.value is None and row.ratio is None
    return (
        f"- {row.what}",
        row.needed,
        f"not measured: {row.why}" if missing else value,
        ratio,
        "" if missing else row.reached,
        "",
        "",
    )


def results_of(benchmark: Benchmark) -> str:
    """Where a benchmark without a record keeps what it found."""
    return f"see benchmarks/{benchmark.name}/" if benchmark.path.with_suffix("").is_dir() else ""


def letter_of(record: Record, machines: list[str]) -> str:
    """A machine with its versions, by a letter."""
    here, versions = record.machine, record.versions
    gpu = "no GPU" if here["gpu"] == "none" else here["gpu"]
    made = ", ".join(f"{name} {version}" for name, version in versions.items())
    text = f"{here['processor']}, {here['cores']} cores, {here['memory_gib']} GiB, {gpu}; {made}"
    if text not in machines:
        machines.append(text)
    return chr(ord("A") + machines.index(text))


def when_of(record: Record) -> str:
    """Date, wall time, threads, and how busy the machine was before."""
    threads = record.machine["threads"]
    minutes = f"{record.seconds / 60:.0f} min" if record.seconds >= 100 else f"{record.seconds:.0f} s"
    trial = ", a trial" if record.short else ""
    return f"{record.date}, {minutes}, {threads} thread{'s' if threads > 1 else ''}, load {record.load:g}{trial}"


def markdown(benchmarks: Mapping[str, Benchmark], records: Mapping[str, Record]) -> str:
    """The generated part of the page: the table, its machines, and the command of each benchmark."""
    machines: list[str] = []
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for name, benchmark in benchmarks.items():
        claim, *rows = lines_of(benchmark, records.get(name), machines)
        text = claim[0].partition(": ")[2]
        named = (f"[{name}](../benchmarks/{name}.py): {text}", *claim[1:])
        lines += [f"| {' | '.join(_cell(cell) for cell in line)} |" for line in (named, *rows)]
    legend = [f"- {chr(ord('A') + place)}: {text}" for place, text in enumerate(machines)]
    commands = ["| benchmark | command | needs | takes |", "|---|---|---|---|"]
    commands += [
        f"| {name} | `{one.command}` | {', '.join(one.needs) or 'nothing'} | {one.about} |" for name, one in benchmarks.items()
    ]
    return "\n".join([*lines, "", *legend, *([""] if legend else []), *commands])


def written_into(page: str, part: str) -> str:
    """The page with the part between its marks."""
    before, _, rest = page.partition(BEGIN)
    _, _, after = rest.partition(END)
    return f"{before}{BEGIN}\n\n{part}\n\n{END}{after}"


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("<", "&lt;")
