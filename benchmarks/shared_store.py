"""Claim: ten processes on one store, killed and started at random for five minutes, leave no corrupt entry and the right table.

Each runs the same small grid on the same folder. At random moments one of them is killed (SIGKILL) and started again. Then all are
killed, and one more run finishes the grid. Every entry must be whole and lie under its own key, each fit must be there
once, with the outcome that it has after a quiet run on a store of its own, and the two tables must be the same.
Run: `python benchmarks/shared_store.py`. About 12 minutes on 2 cores, 5 of them of killing.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _record import Row, benchmark_parser, recording
from _small_grid import BEGUN, LEVELS, outcomes, small_grid
from lost_node import differing

LIFE = 60.0  # seconds from a process's start until it is killed, in the mean
SCRIPT = Path(__file__).with_name("_small_grid.py")


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--processes", type=int, default=10)
    parser.add_argument("--seeds", type=int, default=90)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.minutes, arguments.processes, arguments.seeds = 0.4, 3, 6
    with recording(__file__, __doc__, arguments) as rows, tempfile.TemporaryDirectory() as folder:
        rows += shared(Path(folder), arguments.minutes, arguments.processes, arguments.seeds, arguments.seed)


def shared(folder: Path, minutes: float, processes: int, seeds: int, seed: int) -> list[Row]:
    store, fits = folder / "shared", seeds * (1 + 2 * len(LEVELS))
    os.environ[BEGUN] = str(folder / "begun")
    kills = killing(store, minutes, processes, seeds, random.Random(seed))
    finished = len(outcomes(store))
    builds = len((folder / "begun").read_text().split())
    parts = len([*store.rglob(".*.part")])
    print(f"{kills} kills in {minutes:g} minutes: {finished} of {fits} fits finished, {builds} begun, {parts} left unfinished")
    together = small_grid(store, seeds, workers=1)
    del os.environ[BEGUN]
    quiet = small_grid(folder / "quiet", seeds, workers=1)
    one, other = outcomes(store), outcomes(folder / "quiet")
    return [
        Row("processes killed", kills, "processes"),
        Row("fits finished under fire", finished, f"of {fits}"),
        Row("files left unfinished, which nobody reads", parts, "files"),
        Row("entries that are not whole or lie elsewhere", 0, "entries", at_most=0),  # `outcomes` would have raised
        Row("fits in the store, each under one key", len(one), "fits", at_least=fits, at_most=fits),
        Row("outcomes unlike those of a quiet run", sum(one.get(key) != other[key] for key in other), "fits", at_most=0),
        Row("rows of the table that differ", differing(together, quiet), "rows", at_most=0),
    ]


def killing(store: Path, minutes: float, processes: int, seeds: int, draw: random.Random) -> int:
    """Keep so many processes on the store, kill one now and then; return how often."""
    until, kills = time.monotonic() + 60 * minutes, 0
    running = [begun(store, seeds) for _ in range(processes)]
    try:
        while time.monotonic() < until:
            time.sleep(draw.uniform(0, 2 * LIFE / processes))
            place = draw.randrange(processes)
            kills += killed(running[place])
            outcomes(store)  # at any moment what is there is whole
            running[place] = begun(store, seeds)
    finally:
        kills += sum([killed(process) for process in running])
    return kills


def begun(store: Path, seeds: int) -> subprocess.Popen[bytes]:
    command = [sys.executable, str(SCRIPT), str(store), str(seeds)]
    return subprocess.Popen(command, start_new_session=True)


def killed(process: subprocess.Popen[bytes]) -> bool:
    """Whether the process was still at work when it was killed.

    Raises:
        RuntimeError: it had ended with an error.
    """
    if process.poll() is not None:
        if process.returncode:
            raise RuntimeError(f"a process ended with status {process.returncode}")
        return False
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


if __name__ == "__main__":
    main()
