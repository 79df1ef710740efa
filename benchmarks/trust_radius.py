"""Claim: beyond its trust radius a gradient at the image says little of what noise does; gradients averaged over the noise do.

Classifiers: the zoo's two on MNIST; two LeNet-5s on MNIST and three networks on CIFAR-10 that others trained. For each the trust
radius (noise's standard deviation up to which the gradient explains half of the margin's change), the sigma up to which its
probability of keeping the class agrees with Monte Carlo within 0.1, and the errors of four estimates of that probability at every
sigma (Han, Srinivas and Lakkaraju, 2024: Taylor worse than MMSE, and the softmax's confidence a poor stand-in for both). Where
noise changes a tenth of the classes, MMSE's error is needed to be at most half of Taylor's. All figures go to `trust_radius/` as a
table, the chief ones to the record. Seconds are of the process, on one thread, for six sigmas with the default copies.

Run: `OMP_NUM_THREADS=1 python benchmarks/trust_radius.py --data-dir DATA --weights-dir WEIGHTS`. About 2 minutes on one thread.
"""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import gradaudit as ga
from _record import RESULTS, Row, benchmark_parser, recording
from gradaudit.files import write_text

SIGMAS = (0.001, 0.003, 0.01, 0.03, 0.1, 0.3)
CHANGED = 0.9  # of the copies keep their class, below which the estimates have something to say
NEEDED = 0.5  # MMSE's error as a share of Taylor's
VERIFIED = (0.4914, 0.4822, 0.4465)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/ and cifar10/")
    parser.add_argument("--weights-dir", type=Path, default=os.environ.get("GRADAUDIT_WEIGHTS"), help="what others trained")
    parser.add_argument("--images", type=int, default=200)
    parser.add_argument("--copies", type=int, default=32)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.images, arguments.copies = 20, 8
    torch.set_num_threads(1)
    tables = []
    with recording(__file__, __doc__, arguments) as rows:
        for name, classifier, images in classifiers(arguments):
            start = time.process_time()
            chosen = images.sample(arguments.images, 0)
            result = ga.trust_radius(classifier, chosen, sigma=SIGMAS, copies=arguments.copies, device="cpu")
            seconds = time.process_time() - start
            print(f"\n{name}: {result.verdict}")
            for caveat in result.verdict.caveats:
                print(f"  - but {caveat}")
            print(result.table.drop(columns=[one for one in result.table if one.endswith(("_low", "_high"))]).round(3).to_string())
            print(f"{seconds:.1f} s, agreement {result.agreement}", flush=True)
            tables.append(result.table.assign(classifier=name))
            rows += rows_of(name, result, seconds)
    if not arguments.short:
        table = pd.concat(tables)
        first = ["classifier", *(column for column in table if column != "classifier")]
        print(write_text(RESULTS / "trust_radius" / "trust_radius.csv", table[first].round(5).to_csv(index=False)))


def classifiers(arguments: argparse.Namespace) -> Iterator[tuple[str, nn.Module, ga.ImageSet]]:
    """Each classifier's name, itself, and the test images that it is for."""
    _, digits = ga.load_images("mnist", folder=arguments.data_dir)
    _, photographs = ga.load_images("cifar10", folder=arguments.data_dir)
    folder = Path(arguments.weights_dir)
    for name in ("standard", "robust"):
        yield f"zoo:mnist/{name}", ga.load_classifier(f"zoo:mnist/{name}"), digits
    for name in ("clntrained", "advtrained"):
        path = folder / f"mnist_lenet5_{name}.pt"
        yield f"MNIST, LeNet-5 {name}", ga.load_classifier("lenet5", path, input_shape=digits.shape), digits
    for name, network, file, normalisation in (
        ("ResNet-20", "resnet20", "cifar10_resnet20.th", "imagenet"),
        ("ResNet-4B, robust", "resnet4b", "cifar10_resnet4b_robust.pth", (VERIFIED, (0.2470, 0.2435, 0.2616))),
        ("CNN-A, robust", "cnn_a", "cifar10_cnn_a_adv.model", (VERIFIED, (0.2023, 0.1994, 0.2010))),
    ):
        loaded = ga.load_classifier(network, folder / file, input_shape=photographs.shape, normalisation=normalisation)
        yield f"CIFAR-10, {name}", loaded, photographs


def rows_of(name: str, result: ga.Result, seconds: float) -> list[Row]:
    """The radius, the agreement, the time, and the errors where noise begins to change classes."""
    found = [
        Row(f"{name}: trust radius", result.radius[0], "(sigma)"),
        Row(f"{name}: probabilities agree up to", result.agreement[0], "(sigma)"),
        Row(f"{name}: time for {result.settings['images']} images", seconds, "s"),
    ]
    changed = result.table[result.table["p_mc"] < CHANGED]
    if len(changed):
        row = changed.iloc[0]
        ratio, at = float(row["error_mmse"] / row["error_taylor"]), f"{name}, sigma {row['sigma']:g}"
        found.append(Row(f"{at}: error of MMSE", float(row["error_mmse"]), "", "Taylor", ratio, at_most=NEEDED))
        for other in ("moments", "softmax"):
            ratio = float(row[f"error_{other}"] / row["error_taylor"])
            found.append(Row(f"{at}: error of {other}", float(row[f"error_{other}"]), "", "Taylor", ratio))
    return found


if __name__ == "__main__":
    main()
