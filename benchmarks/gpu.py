"""What only a GPU can show, in one run of 10 minutes from a bare checkout: does it run, rates, a guided step, CIFAR-10's zoo.

    python benchmarks/gpu.py --out OUT                                          all parts, 10 minutes in all
    python benchmarks/gpu.py --parts works rates --minutes 4 --out OUT          some of them
    python benchmarks/gpu.py --device cpu --tiny --out OUT                      a dry run on a CPU, about 2 minutes

Gradaudit need not be installed. Where the machine has no network, carry `gpu_data/` (made by benchmarks/gpu_data.py) and, where it
lacks packages, `wheels/`:

    pip download --no-deps --only-binary=:all: --python-version 3.12 --platform manylinux_2_28_x86_64 \\
        --platform manylinux_2_17_x86_64 -d wheels -r benchmarks/gpu_wheels.txt -c constraints.txt

The limit is shared out among the parts by their weights, and time that one leaves goes to those after it. A part is told when it
has to end and plans by that: epochs, classifiers, images by a rate that it measures first. It is cut off at its limit with its
workers; what it had ready is kept. Each part makes the classifiers and the denoiser that it needs, unless an earlier one has, or an
earlier run into OUT. After each part all is packed anew into OUT: summary.txt, figures.csv, results.zip with records, tables,
pictures and logs, weights-1.zip and so on; 8 files of at most 16 MB, 64 MB in all.
"""

from __future__ import annotations

import argparse
import csv
import io
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from _gpu_pack import FILES, pack, unpack
from _gpu_setup import ROOT, ready
from _gpu_time import Deadline, allotted

# By their worth: what comes first is done before time runs out.
WEIGHTS = {
    "works": 1.0,
    "rates": 2.0,
    "adm_step": 1.0,
    "classifiers": 3.0,
    "denoiser": 1.5,
    "diffroar": 1.0,
    "counterfactuals": 1.0,
}
PACKING = 5.0  # seconds that are kept for it at the end, and for ending a part
FIGURES = ("part", "what", "value", "unit", "ratio", "against", "needed", "reached", "why", "gpu", "torch", "date")


def main() -> int:
    start = time.time()
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[*WEIGHTS], default=[*WEIGHTS])
    parser.add_argument("--minutes", type=float, default=10.0, help="in all, at the most")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="little data, small networks: whether all runs, not what it gives")
    parser.add_argument("--images", type=Path, default=ROOT / "gpu_data", help="what gpu_data.py packed; gpu_data/ unless given")
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="whole data sets, where none is packed")
    parser.add_argument("--wheels", type=Path, help="folder of wheels, for packages that are missing; wheels/ where it is there")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "gradaudit-gpu", help="folder for all work")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--until", type=float, help=argparse.SUPPRESS)  # of the process of one part
    arguments = parser.parse_args()
    if arguments.until:
        return inside(arguments)
    deadline = Deadline(start + 60 * arguments.minutes)
    wheels = arguments.wheels or (ROOT / "wheels" if (ROOT / "wheels").is_dir() else None)
    missing = ready(wheels, arguments.work / "site")
    if missing:
        sys.exit(missing)
    check_device(arguments.device)
    return run(arguments, deadline)


def inside(arguments: argparse.Namespace) -> int:
    """The work of one part, in its process."""
    from _gpu_parts import Settings, do

    made = arguments.work / "made"
    settings = Settings(
        arguments.device, arguments.images, arguments.data_dir, made, arguments.work, arguments.tiny, Deadline(arguments.until)
    )
    return do(arguments.parts[0], settings)


def check_device(device: str) -> None:
    """Stop before any work where the device is not there."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no GPU here: nothing is measured; `--device cpu --tiny` is a dry run")


def run(arguments: argparse.Namespace, deadline: Deadline) -> int:
    """All parts, one after the other, packed as they end; 1 where one did not end well."""
    made = arguments.work / "made"
    kept = unpack(arguments.out, made) if arguments.out.is_dir() else 0
    if kept:
        print(f"{kept} files of an earlier run were taken from {arguments.out}")
    parts = [part for part in WEIGHTS if part in arguments.parts]
    ended: dict[str, str] = {}
    for place, part in enumerate(parts):
        seconds = allotted(deadline.left - PACKING, [WEIGHTS[name] for name in parts[place:]])
        ended[part] = in_time(part, made, seconds)
        print(f"== {part}: {ended[part]}", flush=True)
        left_out = packed(made, arguments.out, ended, parts)
    print((arguments.out / "summary.txt").read_text(encoding="utf-8"))
    print(f"{60 * arguments.minutes - deadline.left:.0f} s of {60 * arguments.minutes:.0f} s")
    bad = [part for part, how in ended.items() if not how.startswith("ended well")]
    if bad:
        print(f"not as they should: {', '.join(bad)}")
    return 1 if bad or left_out else 0


def in_time(part: str, made: Path, seconds: float) -> str:
    """Run the part in a process of its own; how it ended."""
    start = time.time()
    log = made / "logs" / f"{part}.txt"
    log.parent.mkdir(parents=True, exist_ok=True)
    options = [sys.executable, "-u", __file__, *sys.argv[1:], "--parts", part, "--until", f"{start + seconds:.3f}"]
    with open(log, "w", encoding="utf-8") as file:
        process = subprocess.Popen(options, start_new_session=True, stdout=file, stderr=subprocess.STDOUT)
        try:
            status: int | None = process.wait(max(0.0, seconds))
        except subprocess.TimeoutExpired:
            status = None
        finally:
            end(process)  # what it started, too
    spent = f"{time.time() - start:.0f} s of {seconds:.0f}"
    if status == 0:
        return f"ended well, {spent}"
    print("\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:]), flush=True)
    return f"cut off at its limit, {spent}" if status is None else f"ended with {status}, {spent}"


def end(process: subprocess.Popen[bytes], patience: float = 2.0) -> None:
    """End the process and those that it started, politely first."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(patience)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def packed(made: Path, out: Path, ended: dict[str, str], parts: list[str]) -> list[str]:
    """Pack what there is; what was left out for want of room, which the summary says."""
    from _record import Record

    records = {path.stem.removeprefix("gpu_"): Record.load_from(path) for path in sorted(made.glob("gpu_*.json"))}
    figures = io.StringIO()
    writer = csv.writer(figures)
    writer.writerow(FIGURES)
    lines = [f"{part}: {ended.get(part, 'to come')}" for part in parts]
    for part in sorted(records, key=[*WEIGHTS].index):
        record = records[part]
        where = (record.machine["gpu"], record.versions["torch"], record.date)
        lines += ["", f"{part}: {record.claim} ({', '.join(where)}; {record.seconds:.0f} s{', dry run' if record.short else ''})"]
        for row in record.rows:
            writer.writerow((part, row.what, row.value, row.unit, row.ratio, row.against, row.needed, row.reached, row.why, *where))
            lines.append(said(row, where))
    texts = {"summary.txt": "\n".join([*lines, ""]), "figures.csv": figures.getvalue()}
    left_out = pack(made, out, texts)
    if left_out:
        texts["summary.txt"] += f"\nleft out, for {FILES} files of these sizes have no room for it: {', '.join(left_out)}\n"
        pack(made, out, texts)
    return left_out


def said(row: object, where: tuple[str, ...]) -> str:
    """A figure on one line, with the GPU and the version of torch."""
    from _table import line_of

    return f"{'; '.join(cell for cell in line_of(row) if cell)} [{where[0]}, torch {where[1]}]"  # type: ignore[arg-type]


if __name__ == "__main__":
    sys.exit(main())
