"""Claim: an audit that is killed at random moments ends with the results of one that was not (docs/audit.md).

The package's two classifiers on embedded images, preset `quick` made smaller. One audit runs to its end; another is killed
(`SIGKILL`, workers included) ten times after random times, each time given the same command again, and at last let finish. The two
`results.json` are compared value by value, timings aside.

Run: `python benchmarks/killed_audits.py`. About 5 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        (work / "audit.toml").write_text(AUDIT)
        start = time.perf_counter()
        begun(work, "whole").wait()
        whole = time.perf_counter() - start
        print(f"uninterrupted: {whole:.0f} s")
        for kill in range(arguments.kills):
            process = begun(work, "killed")
            moment = draw.uniform(0.05, 0.5) * whole
            try:
                process.wait(moment)
                print(f"kill {kill + 1}: it had ended after less than {moment:.1f} s")
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                print(f"kill {kill + 1}: after {moment:.1f} s", flush=True)
        begun(work, "killed").wait()
        one, other = (timeless(json.loads((work / name / "results.json").read_text())) for name in ("whole", "killed"))
        found = differences(one, other)
        print("the same results" if not found else f"DIFFERENT at {len(found)} places: {found[:5]}")
        print(versions())
    sys.exit(bool(found))


def begun(work: Path, name: str) -> subprocess.Popen[bytes]:
    """The audit, in a process group of its own."""
    words = [str(Path(sys.executable).with_name("gradaudit")), "audit", "audit.toml", "--out", name, "--store", f"{name}_store"]
    return subprocess.Popen(words, cwd=work, start_new_session=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


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
