"""Claim: 60,000 images are put into blocks in under 10 seconds and under 1.2 times the memory of the result.

Each row is a process of its own, on random images. Seconds are those of the clock; beside them those of the processor, which hardly
depend on what else runs. Memory is the highest resident size while the blocks are made, less the size just before, over the bytes
of the result: pixels, labels and signal mask (as if written out, which a fixed position's is not). The data set behind `other` is
part of what is measured.
Run: `python benchmarks/blocks.py`. About a minute on one core. Linux only.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np

SECONDS, RATIO = 10.0, 1.2
GREY, COLOUR = (1, 28, 28), (3, 32, 32)
CASES: tuple[tuple[tuple[int, int, int], dict[str, Any]], ...] = (
    (GREY, {}),
    (GREY, {"position": "top"}),
    (GREY, {"classes": [0, 1]}),
    (GREY, {"null": "nothing"}),
    (GREY, {"null": "noise"}),
    (GREY, {"null": "letter(A)"}),
    (GREY, {"null": "other(mnist5k)"}),
    (GREY, {"layout": [3, 3], "null": "noise"}),
    (COLOUR, {}),
    (COLOUR, {"null": "noise"}),
    (COLOUR, {"null": "other(mnist5k)"}),
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=60_000)
    parser.add_argument("--case", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.case:
        print(json.dumps(measure(arguments.images, *json.loads(arguments.case))))
        return
    print(f"{arguments.images:,} images; allowed: {SECONDS:g} s, {RATIO} times the result\n")
    print("| images | options | result, MB | seconds | of the processor | peak / result |")
    print("|---|---|---|---|---|---|")
    for shape, options in CASES:
        command = [sys.executable, __file__, "--images", str(arguments.images), "--case", json.dumps([shape, options])]
        size, seconds, busy, ratio = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
        named = ", ".join(f"{key}={value}" for key, value in options.items()) or "as they are by default"
        late = " (too much)" if seconds > SECONDS or ratio > RATIO else ""
        print(
            f"| {'x'.join(map(str, shape))} | {named} | {size / 1e6:.0f} | {seconds:.1f} | {busy:.1f} | {ratio:.2f}{late} |",
            flush=True,
        )


def measure(count: int, shape: tuple[int, int, int], options: dict[str, Any]) -> tuple[int, float, float, float]:
    """Bytes of the result, seconds, processor seconds, and the peak over the bytes."""
    from gradaudit.datasets.blocks import blocks
    from gradaudit.images import ImageSet

    rng = np.random.default_rng(0)
    images = ImageSet(rng.integers(0, 256, (count, *shape), np.uint8), np.arange(count) % 2, ("a", "b"))
    blocks(images[:10], **options)  # imports, and the memory that they keep, come before
    before = reset_peak()
    start, busy = time.perf_counter(), time.process_time()
    result = blocks(images, **options)
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    size = result.images.nbytes + result.labels.nbytes + result.signal_mask.nelement()
    return size, seconds, busy, (status("VmHWM") - before) / size


def reset_peak() -> int:
    """The resident size in bytes, from which the peak is counted anew."""
    Path("/proc/self/clear_refs").write_text("5")
    return status("VmRSS")


def status(field: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(field))


if __name__ == "__main__":
    main()
