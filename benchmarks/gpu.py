"""What only a GPU can show, part by part: does it run, classifiers, denoisers, DiffROAR, a guided step, counterfactuals.

    python benchmarks/gpu.py --data-dir DATA --out OUT                                      all parts, 10 minutes each
    python benchmarks/gpu.py --parts works diffroar --minutes 8 --data-dir DATA --out OUT   some of them
    python benchmarks/gpu.py --device cpu --tiny --out OUT                                  a dry run on a CPU, about 2 minutes

Each part is a process of its own that ends at its limit and goes on where it was when it is asked for again: what it trains is in
the store or in OUT. Records, tables, pictures and weights (fp16, at most 16 MB a file) go to OUT, 64 MiB in all; the store, which
is larger, stays outside, but for the outcomes of fits. A part that needs what an earlier one makes says so.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict
from pathlib import Path

from _gpu_parts import PARTS, Settings
from _record import Record, recording
from _table import line_of

FILE_LIMIT, LIMIT = 16 * 10**6, 64 * 2**20  # bytes


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=[*PARTS], default=[*PARTS])
    parser.add_argument("--minutes", type=float, default=10.0, help="a part, at the most")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--tiny", action="store_true", help="little data, small networks: whether all runs, not what it gives")
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/, fashion_mnist/, cifar10/")
    parser.add_argument("--store", type=Path, default=Path(tempfile.gettempdir()) / "gradaudit-gpu")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)  # the process of one part
    arguments = parser.parse_args()
    settings = Settings(arguments.device, arguments.data_dir, arguments.out, arguments.store, arguments.tiny)
    if arguments.inside:
        do(arguments.parts[0], settings)
        return 0
    check_device(arguments.device)
    arguments.out.mkdir(parents=True, exist_ok=True)
    failed = [part for part in arguments.parts if not in_time(part, settings, arguments.minutes)]
    summary(settings.out, arguments.parts)
    large = too_large(settings.out)
    for said in (f"did not end: {', '.join(failed)}" if failed else "", large):
        if said:
            print(said)
    return 1 if failed or large else 0


def check_device(device: str) -> None:
    """Stop before any work where the device is not there."""
    import torch

    if device.startswith("cuda") and not torch.cuda.is_available():
        sys.exit("no GPU here: nothing is measured; `--device cpu --tiny` is a dry run")


def in_time(part: str, settings: Settings, minutes: float) -> bool:
    """Run the part in a process of its own; whether it ended well within its time."""
    options = {f"--{name.replace('_', '-')}": value for name, value in asdict(settings).items() if name != "tiny" and value}
    command = [sys.executable, __file__, "--inside", "--parts", part, *(["--tiny"] if settings.tiny else [])]
    command += [str(word) for pair in options.items() for word in pair]
    print(f"== {part}", flush=True)
    start = time.perf_counter()
    process = subprocess.Popen(command, start_new_session=True)
    try:
        status: int | str = process.wait(60 * minutes)
    except subprocess.TimeoutExpired:
        end(process)
        status = f"nothing, cut off after {minutes:g} minutes: run it again to go on"
    print(f"== {part}: {time.perf_counter() - start:.0f} s, ended with {status}\n", flush=True)
    return status == 0


def end(process: subprocess.Popen[bytes]) -> None:
    """The process and its workers, politely first."""
    for signal in (15, 9):
        try:
            os.killpg(process.pid, signal)
            process.wait(10)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


def do(part: str, settings: Settings) -> None:
    """The part's work, with its record, and the outcomes of its fits kept beside it."""
    fits, kept = settings.store / "fits", settings.out / "fits"
    if kept.is_dir():
        shutil.copytree(kept, fits, dirs_exist_ok=True)
    arguments = argparse.Namespace(short=settings.tiny, results=settings.out)
    try:
        with recording(f"gpu_{part}.py", (PARTS[part].__doc__ or "").strip(), arguments) as rows:
            PARTS[part](settings, rows)
    finally:
        if fits.is_dir():
            shutil.copytree(fits, kept, dirs_exist_ok=True)


def summary(out: Path, parts: list[str]) -> None:
    """All figures of the parts that have ended."""
    for part in parts:
        path = out / f"gpu_{part}.json"
        if path.exists():
            record = Record.load_from(path)
            print(f"{part}: {record.claim} ({record.seconds:.0f} s, {record.machine['gpu']})")
            for row in record.rows:
                print("  " + "; ".join(cell for cell in line_of(row) if cell))


def too_large(out: Path) -> str:
    """What is over the limits; empty where all is within them."""
    sizes = {path: path.stat().st_size for path in out.rglob("*") if path.is_file()}
    total = sum(sizes.values())
    print(f"{out}: {total / 2**20:.1f} MiB of {LIMIT // 2**20}")
    large = [path.name for path, size in sizes.items() if size > FILE_LIMIT]
    return f"too large: {', '.join(large)}" if large else "too large in all" if total > LIMIT else ""


if __name__ == "__main__":
    sys.exit(main())
