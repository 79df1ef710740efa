"""Lists the benchmarks, runs them one after the other, and prints what they found as one table.

    python benchmarks/run.py                          what there is, what it needs, what was found last
    python benchmarks/run.py inner_loop memory        runs these, whole
    python benchmarks/run.py --all --short            a trial of all that have one; nothing is kept
    python benchmarks/run.py --table                  the table of what is kept
    python benchmarks/run.py --markdown               writes it into docs/benchmarks.md

Each runs in a process of its own with the threads that its command asks for, never two at once. It goes on after a failure. Exit
status 1 where one failed or, in a whole run, missed a figure that its claim needs.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from _catalogue import Benchmark, catalogue
from _record import RESULTS, Record, record_of
from _table import HEAD, kept_records, lines_of, markdown, written_into

PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"
LOCK = Path(__file__)
THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="benchmarks to run")
    parser.add_argument("--all", action="store_true", help="run all")
    parser.add_argument("--short", action="store_true", help="trials with little work")
    parser.add_argument("--table", action="store_true", help="print the table of what is kept")
    parser.add_argument("--markdown", action="store_true", help="write it into docs/benchmarks.md")
    arguments = parser.parse_args()
    benchmarks = catalogue()
    unknown = [name for name in arguments.names if name not in benchmarks]
    if unknown:
        parser.error(f"no benchmark {', '.join(unknown)}; there are {', '.join(benchmarks)}")
    chosen = benchmarks if arguments.all else {name: benchmarks[name] for name in arguments.names}
    status = run_all(chosen, arguments.short) if chosen else 0
    if arguments.table or not (chosen or arguments.markdown):
        show = print_table if arguments.table else print_list
        show(benchmarks, kept_records(benchmarks))
    if arguments.markdown:
        from gradaudit.files import write_text

        part = markdown(benchmarks, kept_records(benchmarks))
        print(write_text(PAGE, written_into(PAGE.read_text(encoding="utf-8"), part)))
    return status


def run_all(benchmarks: Mapping[str, Benchmark], short: bool) -> int:
    """Run them and print their table; what can't run here says why."""
    why = {name: one.why_not(short) for name, one in benchmarks.items()}
    failed: list[str] = []
    with alone_here(), results_folder(short) as results:
        for place, (name, benchmark) in enumerate(benchmarks.items(), 1):
            head = f"[{place}/{len(benchmarks)}] {name}"
            if why[name]:
                print(f"{head}: not measured: {why[name]}", flush=True)
                continue
            print(f"{head}: {benchmark.about or 'of unknown length'}", flush=True)
            if run(benchmark, short, results) != 0:
                failed.append(name)
                why[name] = "FAILED"
        records = {name: one for name, one in kept_records(benchmarks, results).items() if not why[name]}
        print_table(benchmarks, records, why)
    missed = [] if short else [name for name, record in records.items() if record.missed]
    for said, names in (("failed", failed), ("missed a needed figure", missed)):
        if names:
            print(f"{said}: {', '.join(names)}")
    return 1 if failed or missed else 0


def run(benchmark: Benchmark, short: bool, results: Path) -> int:
    """Its exit status; a benchmark that keeps no record of its own gets one without figures."""
    environment = {name: value for name, value in os.environ.items() if name not in THREADS} | benchmark.environment
    extra = [*(["--short"] if short else []), *(["--results", str(results)] if short else [])]
    command = [sys.executable, str(benchmark.path), *benchmark.arguments, *extra]
    load, start = os.getloadavg()[0], time.perf_counter()
    before = modified(results / f"{benchmark.name}.json")
    status = subprocess.run(command, env=environment, cwd=PAGE.parents[1]).returncode
    seconds = time.perf_counter() - start
    if status == 0 and not short and modified(results / f"{benchmark.name}.json") == before:
        record_of(benchmark.name, benchmark.claim, (), load, seconds, short, benchmark.command).save(results)
    print(f"{benchmark.name}: {'done' if status == 0 else f'FAILED with status {status}'} after {seconds:.0f} s\n", flush=True)
    return status


def modified(path: Path) -> float:
    """When the file was last written; 0 where there is none."""
    return path.stat().st_mtime if path.exists() else 0.0


@contextmanager
def alone_here() -> Iterator[None]:
    """Two runners at once would time each other."""
    with open(LOCK, encoding="utf-8") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            sys.exit("another run of the benchmarks is under way on this machine: wait for it, or its timings are worth nothing")
        yield


@contextmanager
def results_folder(short: bool) -> Iterator[Path]:
    """Where records go: a trial's are thrown away once they were shown."""
    if not short:
        yield RESULTS
        return
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


def print_list(benchmarks: Mapping[str, Benchmark], records: Mapping[str, Record]) -> None:
    """What there is."""
    table = Table(box=box.SIMPLE_HEAD)
    for title in ("benchmark", "claim or question", "needs", "takes", "last result"):
        table.add_column(title, overflow="fold")
    for name, one in benchmarks.items():
        table.add_row(name, one.claim, ", ".join(one.needs) or "nothing", one.about, last(records.get(name)))
    console().print(table)
    console().print("Run some by name, or `--all`; `--short` for a trial; `--table` for all figures.", markup=False)


def last(record: Record | None) -> str:
    """The last result in a few words."""
    if record is None:
        return "no record"
    counts = {word: sum(row.reached == word for row in record.rows) for word in ("yes", "no", "not measured")}
    said = [f"{count} {word}" for word, count in zip(("reached", "missed", "not measured"), counts.values(), strict=True) if count]
    return f"{', '.join(said) or 'done'}; {record.date}"


def print_table(benchmarks: Mapping[str, Benchmark], records: Mapping[str, Record], why: Mapping[str, str] | None = None) -> None:
    """All figures."""
    machines: list[str] = []
    table = Table(box=box.SIMPLE_HEAD)
    for title in HEAD:
        table.add_column(title, overflow="fold")
    for name, benchmark in benchmarks.items():
        for line in lines_of(benchmark, records.get(name), machines, (why or {}).get(name, "")):
            table.add_row(*line, style="red" if line[4] == "no" else None)
    console().print(table)
    for place, text in enumerate(machines):
        console().print(f"{chr(ord('A') + place)}: {text}", markup=False)


def console() -> Console:
    """A terminal's own width; wide enough for the table where the output goes to a file."""
    return Console(width=None if sys.stdout.isatty() else 180, highlight=False)


if __name__ == "__main__":
    sys.exit(main())
