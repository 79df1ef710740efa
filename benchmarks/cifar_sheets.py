"""CIFAR-10 from lossless WebP sheets to the `.npz` that `load_images("cifar10")` reads.

    python benchmarks/cifar_sheets.py SHEETS OUT.npz

A sheet has 1,000 images, 40 rows of 25, row by row: train_00.webp ..., test_00.webp ..., with train_labels.npy, test_labels.npy and
classes.txt. The sheets are sorted by class, so both halves are shuffled, always in the same way.
"""

import argparse
from pathlib import Path

import numpy as np

from gpu_data import unpack
from gradaudit.datasets import describe_images, load_images, save_images


def main() -> None:
    """Convert, read back and describe."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sheets", type=Path)
    parser.add_argument("out", type=Path)
    given = parser.parse_args()
    train, test = (half[np.random.default_rng(0).permutation(len(half))] for half in unpack(given.sheets))
    save_images(given.out, train, test)
    for images in load_images(given.out):
        print(images, describe_images(images)["counts"], images.fingerprint)


if __name__ == "__main__":
    main()
