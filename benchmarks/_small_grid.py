"""A small DiffROAR grid whose every begun fit leaves a line in a file: what two benchmarks interrupt.

As a script it runs the grid on a store, as one of several processes that share it.
"""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import torch
from torch import nn

import gradaudit as ga
from gradaudit.training.store import key_of

LEVELS = (0.05, 0.1, 0.3)
BEGUN = "SMALL_GRID_BEGUN"
"""The variable that names the file in which fits are counted as they begin."""


def counted(input_shape: tuple[int, ...], classes: int, *, width: int = 64) -> nn.Module:
    """A small MLP that notes where it was built."""
    if BEGUN in os.environ:
        with open(os.environ[BEGUN], "a") as file:
            file.write(f"{os.getpid()}\n")
    features = int(torch.Size(input_shape).numel())
    return nn.Sequential(nn.Flatten(), nn.Linear(features, width), nn.ReLU(), nn.Linear(width, classes))


def small_grid(store: str | os.PathLike[str], seeds: int, **options: Any) -> ga.DiffROARResult:
    """The grid's result: seven fits a seed."""
    train, test = ga.load_images("mnist5k")
    torch.manual_seed(0)
    classifier = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    learner = ga.Recipe(network="_small_grid:counted", epochs=6)
    shape: dict[str, Any] = {"learner": learner, "levels": LEVELS, "seeds": seeds, "controls": (), "mask_only": False}
    return ga.diffroar(
        classifier, train.sample(2000), test.sample(500), evaluate="retrain", store=store, device="cpu", **shape, **options
    )


def outcomes(store: Path) -> dict[str, dict[str, Any]]:
    """What every fit came to, by its key, less the seconds that it took.

    Raises:
        ValueError: an entry that is not whole, or does not lie under the key of what it describes.
    """
    found = {}
    for path in store.glob("fits/*/[!.]*"):
        entry = json.loads(path.read_text())
        key = key_of(entry["description"])
        if path.name != f"{key}.json" or path.parent.name != key[:2]:
            raise ValueError(f"{path.name} holds the entry {key}")
        found[key] = {name: value for name, value in entry["outcome"].items() if name != "seconds"}
    return found


def whole_files(store: Path) -> dict[Path, int]:
    """The inode of every finished fit's file: another one if it were written again."""
    return {path: path.stat().st_ino for path in store.glob("fits/*/*.json")}


if __name__ == "__main__":
    small_grid(sys.argv[1], int(sys.argv[2]), workers=1)
