"""CIFAR-10 from lossless WebP sheets to the `.npz` that `load_images("cifar10")` reads.

    python benchmarks/cifar_sheets.py SHEETS OUT.npz

A sheet has 1,000 images, 40 rows of 25, row by row: train_00.webp ..., test_00.webp ..., with train_labels.npy, test_labels.npy and
classes.txt. The sheets are sorted by class, so both halves are shuffled, always in the same way.
"""

import argparse
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gradaudit.datasets import describe_images, load_images, save_images
from gradaudit.images import ImageSet


def sheet(file: Path) -> np.ndarray:
    """The images of one sheet, uint8 (1000, 3, 32, 32)."""
    with Image.open(file) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    return pixels.reshape(40, 32, 25, 32, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, 32, 32)


def half(folder: Path, name: str) -> ImageSet:
    """The images of all sheets of that name, shuffled."""
    images = np.concatenate([sheet(file) for file in sorted(folder.glob(f"{name}_??.webp"))])
    labels = np.load(folder / f"{name}_labels.npy", allow_pickle=False).astype(np.int64)
    order = np.random.default_rng(0).permutation(len(images))
    classes = tuple((folder / "classes.txt").read_text(encoding="utf-8").split())
    return ImageSet(torch.from_numpy(images[order]), torch.from_numpy(labels[order]), classes)


def main() -> None:
    """Convert, read back and describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheets", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    save_images(given.out, half(given.sheets, "train"), half(given.sheets, "test"))
    for images in load_images(given.out):
        print(images, describe_images(images)["counts"], images.fingerprint)


if __name__ == "__main__":
    main()
