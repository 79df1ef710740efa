"""The pictures of `docs/leakage.md`: a row of images of each kind of data, the signal mask outlined.

Run: `python docs/pictures/blocks.py`. Those of Fashion-MNIST and CIFAR-10 need `--data-dir` or `GRADAUDIT_DATA`, and are
left out without. A few seconds on one core.
"""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import numpy as np
from PIL import Image
from scipy.ndimage import binary_dilation

from gradaudit.datasets import load_images
from gradaudit.images import ImageSet

ORANGE = (255, 128, 0)
GAP = 8
SCALE = 2
EMBEDDED = {
    "random": "blocks",
    "nothing": "blocks(null=nothing)",
    "noise": "blocks(null='noise(std=0.25)')",
    "letter": "blocks(null='letter(A)', layout=(1, 2))",
}
DOWNLOADED = {
    "other": "blocks(null='other(fashion_mnist)')",
    "cifar10": "blocks(of=cifar10, null='noise', layout=(1, 2))",
}
COUNTS = {
    "letter": 6,
    "cifar10": 6,
}


def main() -> None:
    """Write them all."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data-dir", type=Path, default=os.environ.get("GRADAUDIT_DATA"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent)
    arguments = parser.parse_args()
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, spec in (EMBEDDED | (DOWNLOADED if arguments.data_dir else {})).items():
        _, test = load_images(spec, folder=arguments.data_dir)
        file = arguments.out / f"blocks_{name}.png"
        Image.fromarray(sheet(test[: COUNTS.get(name, 10)])).save(file, optimize=True)
        print(f"{file.stat().st_size:7,} bytes  {file.name}  {spec}")


def sheet(images: ImageSet) -> np.ndarray:
    """The images side by side on white, uint8 (H, W, 3), each pixel `SCALE` wide, the border of the mask in orange."""
    return np.concatenate([outlined(one) for one in images], axis=1)


def outlined(one: ImageSet) -> np.ndarray:
    """One image, uint8 (H, W, 3), with the border of its mask."""
    assert one.signal_mask is not None
    pixels = np.broadcast_to(one.images[0].permute(1, 2, 0).numpy(), (*one.shape[1:], 3))
    framed = np.pad(enlarged(pixels), ((GAP // 2,) * 2, (GAP // 2,) * 2, (0, 0)), constant_values=255)
    inside = np.pad(enlarged(one.signal_mask[0].numpy()), GAP // 2)
    framed[binary_dilation(inside, np.ones((3, 3)), iterations=2) & ~inside] = ORANGE
    return framed


def enlarged(pixels: np.ndarray) -> np.ndarray:
    """Each pixel as a square."""
    return pixels.repeat(SCALE, axis=0).repeat(SCALE, axis=1)


if __name__ == "__main__":
    main()
