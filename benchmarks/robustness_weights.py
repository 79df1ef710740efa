"""Claim: five classifiers that others trained have the clean and the PGD accuracy that was measured of them before.

Clean accuracy on the full test set within 0.1 points; PGD (Linf, 20 steps of eps/8, no restarts) within 2 points of what was
measured on the first 500 test images; AutoAttack beside it on 500 images, never above.

The figures from before are of the first 500 images in the order of the original files. CIFAR-10 as sheets sorted by class has lost
that order, and two samples of 500 differ by up to 5 points from sampling alone. So PGD runs on 3,000 images there, unless the
order is said to be the original one.

Run: `python benchmarks/robustness_weights.py --data-dir DATA --weights-dir WEIGHTS`. Some hours on 2 cores, and minutes without
AutoAttack (`--no-autoattack`) or on a GPU; a stopped run continues.
"""

from __future__ import annotations

import argparse
import time
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from torch import nn

import gradaudit as ga
from _record import table_parser
from gradaudit.files import write_text

VERIFIED = (0.4914, 0.4822, 0.4465)
CLEAN, PGD = 0.001, 0.02  # allowed distances


@dataclass(frozen=True)
class Before:
    """What was measured of a classifier: clean accuracy, and PGD accuracy by radius in units of 1/255."""

    file: str
    network: str
    data: str
    clean: float
    pgd: dict[float, float]
    normalisation: object = None


TABLE = (
    Before("mnist_lenet5_clntrained.pt", "lenet5", "mnist", 0.9889, {76.5: 0.000}),
    Before("mnist_lenet5_advtrained.pt", "lenet5", "mnist", 0.9864, {76.5: 0.922}),
    Before("cifar10_resnet20.th", "resnet20", "cifar10", 0.9173, {2: 0.014}, "imagenet"),
    Before(
        "cifar10_resnet4b_robust.pth", "resnet4b", "cifar10", 0.7720, {2: 0.636, 8: 0.196}, (VERIFIED, (0.2470, 0.2435, 0.2616))
    ),
    Before("cifar10_cnn_a_adv.model", "cnn_a", "cifar10", 0.6975, {2: 0.560, 8: 0.140}, (VERIFIED, (0.2023, 0.1994, 0.2010))),
)


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True, workers=None)
    parser.add_argument("--images", type=int, default=500, help="attacked images: the first of the test set")
    parser.add_argument("--cifar-images", type=int, default=3000, help="of CIFAR-10, for PGD alone")
    parser.add_argument("--original-order", action="store_true", help="CIFAR-10's test images are in the original files' order")
    parser.add_argument("--only", default="", help="classifiers whose file has this in its name")
    parser.add_argument("--autoattack", action=argparse.BooleanOptionalAction, default=True)
    parser.add_argument("--device", default="auto")
    arguments = parser.parse_args()
    frames, good = [], True
    for before in TABLE:
        if arguments.only in before.file:
            frame, fits = measured(before, arguments)
            frames.append(frame)
            good &= fits
    table = pd.concat(frames)
    write_text(arguments.out / "robustness_weights.csv", table.to_csv(index=False))
    print(table.round(4).to_string(index=False))
    print("all as measured before" if good else "NOT as measured before: see the rows above")


def measured(before: Before, arguments: argparse.Namespace) -> tuple[pd.DataFrame, bool]:
    _, test = ga.load_images(before.data, folder=arguments.data_dir)
    path = Path(arguments.weights_dir) / before.file
    classifier = ga.load_classifier(before.network, path, input_shape=test.shape, normalisation=before.normalisation)
    clean = ga.measure_accuracy(classifier, test, device=arguments.device)
    other = before.data == "cifar10" and not arguments.original_order
    table = attacked(before, classifier, test[: arguments.cifar_images if other else arguments.images], ["pgd"], arguments)
    table["before"] = [before.pgd[round(255 * eps, 3)] for eps in table["eps"]]
    fits = abs(clean - before.clean) <= CLEAN + 1e-9 and bool((abs(table["accuracy"] - table["before"]) <= PGD + 1e-9).all())
    if arguments.autoattack:
        both = attacked(before, classifier, test[: arguments.images], ["pgd", "autoattack"], arguments)
        table = pd.concat([table, both[both["attack"] != "worst"]])
    table.insert(0, "classifier", path.stem)
    return table.assign(clean=clean, clean_before=before.clean), fits


def attacked(
    before: Before, classifier: nn.Module, images: ga.ImageSet, attacks: list[str], arguments: argparse.Namespace
) -> pd.DataFrame:
    start = time.perf_counter()
    options = {"steps": 20, "device": arguments.device, "store": arguments.store, "show_progress": True}
    result = ga.robustness(classifier, images, eps=[eps / 255 for eps in before.pgd], attack=attacks, **options)
    result.save(arguments.out / "out" / f"{Path(before.file).stem}_{attacks[-1]}")
    print(f"{before.file}, {len(images):,} images: {result.verdict}; {time.perf_counter() - start:.0f} s", flush=True)
    for caveat in result.verdict.caveats:
        print(f"  - but {caveat}")
    return result.table.assign(images=len(images))


if __name__ == "__main__":
    main()
