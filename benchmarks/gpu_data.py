"""Packs data sets small enough to be carried to a machine without a network: a stratified part of each, lossless.

    python benchmarks/gpu_data.py --data-dir DATA --out gpu_data
    python benchmarks/gpu_data.py --images cifar10=25000,5000 --data-dir DATA --out gpu_data

By default 12,500 + 2,500 images of CIFAR-10 (25 MB), 10,000 + 2,000 of MNIST (2 MB) and 5,000 + 1,000 of Fashion-MNIST (2 MB). They
lie in lossless WebP sheets of up to 1,000 images each, 40 rows of 25, row by row: train_00.webp ..., test_00.webp ..., with
train_labels.npy, test_labels.npy and classes.txt. Lossy sheets would be a third as large, but change a pixel by 3 of 255 levels on
average: no CIFAR-10 any more. `gpu.py` reads the folder.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from gradaudit.datasets import load_images
from gradaudit.files import whole_file, write_array, write_text
from gradaudit.images import ImageSet

COLUMNS, ROWS = 25, 40
IMAGES = {"cifar10": (12_500, 2_500), "mnist": (10_000, 2_000), "fashion-mnist": (5_000, 1_000)}


def pack(folder: Path, train: ImageSet, test: ImageSet) -> int:
    """Write both sets to the folder; the bytes that they take."""
    for name, images in (("train", train), ("test", test)):
        for number, start in enumerate(range(0, len(images), COLUMNS * ROWS)):
            with whole_file(folder / f"{name}_{number:02d}.webp") as file:
                sheet(images.images[start : start + COLUMNS * ROWS].numpy()).save(file, "WEBP", lossless=True, method=4, quality=80)
        write_array(folder / f"{name}_labels.npy", images.labels.numpy().astype(np.uint8))
    write_text(folder / "classes.txt", "\n".join(train.classes) + "\n")
    return sum(path.stat().st_size for path in folder.iterdir())


def sheet(images: np.ndarray) -> Image.Image:
    """Images uint8 (N, C, H, W) as one picture, black where there are none."""
    rows = -(-len(images) // COLUMNS)
    filled = np.zeros((rows * COLUMNS, *images.shape[1:]), np.uint8)
    filled[: len(images)] = images
    channels, height, width = images.shape[1:]
    pixels = filled.reshape(rows, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    pixels = pixels.reshape(rows * height, COLUMNS * width, channels)
    return Image.fromarray(np.broadcast_to(pixels, (*pixels.shape[:2], 3)).copy())


def unpack(folder: Path) -> tuple[ImageSet, ImageSet]:
    """The training and the test images that `pack` wrote."""
    classes = tuple((folder / "classes.txt").read_text(encoding="utf-8").splitlines())
    halves = []
    for name in ("train", "test"):
        labels = np.load(folder / f"{name}_labels.npy", allow_pickle=False).astype(np.int64)
        images = np.concatenate([images_of(path) for path in sorted(folder.glob(f"{name}_*.webp"))])[: len(labels)]
        images = images[:, :1].copy() if (images == images[:, :1]).all() else images  # grey ones
        halves.append(ImageSet(torch.from_numpy(images), torch.from_numpy(labels), classes))
    return halves[0], halves[1]


def images_of(path: Path) -> np.ndarray:
    """The places of one sheet, uint8 (N, 3, S, S), of images as wide as high."""
    with Image.open(path) as picture:
        pixels = np.asarray(picture.convert("RGB"))
    side = pixels.shape[1] // COLUMNS
    return pixels.reshape(-1, side, COLUMNS, side, 3).transpose(0, 2, 4, 1, 3).reshape(-1, 3, side, side)


def whole(name: str, folder: str | None) -> tuple[ImageSet, ImageSet]:
    """The data set, from sheets like those that `pack` writes or as `load_images` finds it."""
    sheets = Path(folder or ".") / name
    return unpack(sheets) if (sheets / "train_00.webp").exists() else load_images(name, folder=folder)


def counts(text: str) -> tuple[str, tuple[int, int]]:
    """`NAME=TRAIN,TEST` of the command line."""
    name, _, numbers = text.partition("=")
    train, _, test = numbers.partition(",")
    if not (name and train.isdigit() and test.isdigit() and int(train) and int(test)):
        raise argparse.ArgumentTypeError(f"{text!r} is not NAME=TRAIN,TEST, such as cifar10=25000,5000")
    return name, (int(train), int(test))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/, fashion_mnist/, cifar10/")
    parser.add_argument("--images", nargs="+", type=counts, metavar="NAME=TRAIN,TEST", help="these data sets alone")
    parser.add_argument("--out", type=Path, default=Path("gpu_data"))
    given = parser.parse_args()
    for name, sizes in dict(given.images or IMAGES.items()).items():
        train, test = (half.sample(size) for half, size in zip(whole(name, given.data_dir), sizes, strict=True))
        size = pack(given.out / name, train, test)
        back = unpack(given.out / name)
        same = all(one.fingerprint == other.fingerprint for one, other in zip((train, test), back, strict=True))
        print(
            f"{name}: {len(train):,} + {len(test):,} images, {size / 1e6:.1f} MB, read back {'the same' if same else 'OTHERWISE'}"
        )


if __name__ == "__main__":
    main()
