"""Claim: an audit that is killed at random moments ends with the results of one that was not (docs/audit.md).

The package's two classifiers on embedded images, preset `quick` made smaller, two workers. One audit runs to its end; others are
ended ten times in all, each after a random time of up to that of the whole one, and each time given the same command again. One
that ends before its time is compared with the first, and another begins; the last may finish. Each `results.json` is compared with
the first one's value by value, timings aside. An audit is ended by `SIGKILL` to it and its workers; with `--by term` or `--by int`
by `SIGTERM` or `SIGINT` to itself, which must leave one line, status 143 or 130, and no process after two seconds; with
`--by workers` by killings of its workers until it gives up, which must leave one line and status 1.

Run: `python benchmarks/killed_audits.py`. About 5 minutes on 2 cores, for each `--by`.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from gradaudit.results import versions

AUDIT = """
data = "mnist5k"
preset = "quick"
denoiser = "zoo:mnist"
robust = "zoo:mnist/robust"
train_images = 600
test_images = 150
[classifiers]
standard = "zoo:mnist/standard"
robust = "zoo:mnist/robust"
[diffroar]
levels = [0.1, 0.3]
controls = ["random"]
[leakage]
epochs = 4
[robustness]
images = 100
[alignment]
images = 60
[manifold_robustness]
images = 30
[counterfactual]
images = 8
method = ["dvce(steps=30)", "apgd(steps=20)"]
"""


WAYS = ("kill", "term", "int", "workers")
STOPPED = "stopped; finished work is kept, the same command continues"
PROGRESS = re.compile(r".*: \d+/\d+, .* left")
GONE = 2.0  # seconds after which no process may be left


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--by", choices=WAYS, default="kill")
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "audit.toml").write_text(AUDIT)
        start = time.perf_counter()
        begun(work, "whole").wait()
        whole = time.perf_counter() - start
        print(f"uninterrupted: {whole:.0f} s", flush=True)
        wrong, kills, round_ = [], 0, 1
        while kills < arguments.kills:
            name, moment = f"killed{round_}", draw.uniform(0.05, 1.0) * whole
            said, faults = ended(work, name, moment, arguments.by)
            if said is None:  # it had ended: its results are compared, and another begins
                wrong += compared(work, name)
                round_ += 1
                continue
            kills += 1
            print(f"{arguments.by} {kills}: {said}", *faults, sep="; ", flush=True)
            wrong += faults
        begun(work, name).wait()
        wrong += compared(work, name)
        print(versions())
    sys.exit(bool(wrong))


def compared(work: Path, name: str) -> list[str]:
    """Whether an audit found what the uninterrupted one did: nothing, or one fault."""
    one, other = (timeless(json.loads((work / folder / "results.json").read_text())) for folder in ("whole", name))
    found = differences(one, other)
    print(f"{name}: " + (f"DIFFERENT at {len(found)} places: {found[:5]}" if found else "the same results"), flush=True)
    return ["different results"] if found else []


def ended(work: Path, name: str, moment: float, way: str) -> tuple[str | None, list[str]]:
    """How the audit went that was ended in a way at a moment, and what should not have been; None if it had ended before."""
    process = begun(work, name)
    try:
        process.wait(moment)
        return None, []
    except subprocess.TimeoutExpired:
        pass
    if way == "kill":
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        return f"after {moment:.1f} s", []
    start = time.perf_counter()
    if way == "workers":
        status, expected = killed_workers(process), 1
    else:
        process.send_signal(signal.SIGTERM if way == "term" else signal.SIGINT)
        status, expected = process.wait(), 143 if way == "term" else 130
    seconds = time.perf_counter() - start
    time.sleep(max(0.0, GONE - seconds) if way != "workers" else GONE)
    if status == 0:  # all was written, or there were no more workers to kill
        return None, []
    return f"after {moment:.1f} s, status {status} after {seconds:.2f} s", faults(work, process.pid, status, expected)


def killed_workers(process: subprocess.Popen[bytes]) -> int:
    """The status with which the audit ends whose workers are killed, one after the other, as soon as there are some."""
    while process.poll() is None:
        for child in group(process.pid):
            if child != process.pid and b"loky.backend.popen" in command(child):
                with suppress(OSError):
                    os.kill(child, signal.SIGKILL)
        time.sleep(0.05)
    return process.wait()


def faults(work: Path, leader: int, status: int, expected: int) -> list[str]:
    """What should not have been: another status, further lines, processes that are left."""
    lines = [line for line in (work / "errors").read_text().splitlines() if not PROGRESS.match(line)]
    clear = lines[-1:] == [STOPPED] if expected != 1 else lines[-1:] != [] and lines[-1].startswith("error: a worker was killed")
    found = [] if status == expected else [f"STATUS {status}"]
    found += [] if clear and "Traceback" not in "".join(lines) else [f"LINES {lines[-8:]}"]
    left = group(leader)
    return found + ([f"LEFT {[command(one) for one in left]}"] if left else [])


def group(leader: int) -> list[int]:
    """The processes of a process group. Linux only."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _, belongs = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(belongs) == leader and state != "Z":
                found.append(int(folder.name))
    return found


def command(process: int) -> bytes:
    """The command line of a process; empty where it has ended."""
    with suppress(OSError):
        return Path(f"/proc/{process}/cmdline").read_bytes()
    return b""


def begun(work: Path, name: str) -> subprocess.Popen[bytes]:
    """The audit, in a process group of its own, on two workers."""
    words = [sys.executable, "-m", "gradaudit", "audit", "audit.toml", "--out", name, "--store", f"{name}_store", "--workers", "2"]
    with (work / "errors").open("wb") as errors:
        return subprocess.Popen(words, cwd=work, start_new_session=True, stdout=subprocess.DEVNULL, stderr=errors)


def timeless(data: Any) -> Any:
    """The values without what depends on the clock."""
    if isinstance(data, dict):
        return {key: timeless(value) for key, value in data.items() if key not in ("timings", "seconds")}
    if isinstance(data, list):
        return [timeless(one) for one in data if not (isinstance(one, dict) and one.get("measure") == "seconds")]
    return data


def differences(one: Any, other: Any, where: str = "") -> list[str]:
    """Where two values differ."""
    if isinstance(one, dict) and isinstance(other, dict) and one.keys() == other.keys():
        return [found for key in one for found in differences(one[key], other[key], f"{where}/{key}")]
    if isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        return [
            found for place, pair in enumerate(zip(one, other, strict=True)) for found in differences(*pair, f"{where}/{place}")
        ]
    return [] if one == other else [where]


if __name__ == "__main__":
    main()
