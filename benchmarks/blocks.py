"""Claim: 60,000 images are put into blocks in under 10 seconds and under 1.2 times the memory of the result.

Each row is a process of its own, on random images. Seconds are those of the clock; beside them those of the processor, which hardly
depend on what else runs. Memory is the highest resident size while the blocks are made, less the size just before, over the bytes
of the result: pixels, labels and signal mask (as if written out, which a fixed position's is not). The data set behind `other` is
part of what is measured.
Run: `python benchmarks/blocks.py`. About a minute on one core. Linux only.
"""

from __future__ import annotations

import time
from typing import Any

import numpy as np

from _processes import alone, peak, reset_peak
from _record import Row, benchmark_parser, recording

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
    parser = benchmark_parser(__doc__)
    parser.add_argument("--images", type=int, default=60_000)
    arguments = parser.parse_args()
    count = 3000 if arguments.short else arguments.images
    print(f"{count:,} images; allowed: {SECONDS:g} s, {RATIO} times the result\n")
    print("| images | options | result, MB | seconds | of the processor | peak / result |")
    print("|---|---|---|---|---|---|")
    with recording(__file__, __doc__, arguments) as rows:
        for shape, options in CASES[:: 8 if arguments.short else 1]:
            size, seconds, busy, ratio = alone(measure, count, shape, options)
            named = ", ".join(f"{key}={value}" for key, value in options.items()) or "as they are by default"
            side = "x".join(map(str, shape))
            late = " (too much)" if seconds > SECONDS or ratio > RATIO else ""
            print(f"| {side} | {named} | {size / 1e6:.0f} | {seconds:.1f} | {busy:.1f} | {ratio:.2f}{late} |", flush=True)
            rows.append(Row(f"{side}, {named}: time", seconds, "s", at_most=SECONDS))
            rows.append(Row(f"{side}, {named}: memory", ratio * size / 1e6, "MB", "the result", ratio, at_most=RATIO))


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
    return size, seconds, busy, (peak() - before) / size


if __name__ == "__main__":
    main()
