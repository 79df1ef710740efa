"""What the leakage benchmarks share: the data, the classifiers that are trained on it, and means over seeds."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats
from torch import nn

import gradaudit as ga
from _record import table_parser

# AdamW, since the convnet on two blocks does not learn under attack with SGD at the MLP's rate; the same for both objectives.
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp"},
    "convnet": {"network": "convnet(width=16)", "optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.0},
}
OBJECTIVES: dict[str, dict[str, Any]] = {
    "standard": {},
    "adversarial": {"objective": "adversarial(norm=l2, eps=2.0, steps=7)", "ramp": 0.3},
}
TWO, TEN = (0, 1), tuple(range(10))


def parser(file: str, about: str | None) -> argparse.ArgumentParser:
    """The options that all have."""
    made = table_parser(file, about)
    made.add_argument("--seeds", type=int, default=5)
    made.add_argument("--epochs", type=int, default=5)
    made.add_argument("--train-images", type=int, help="of MNIST; all unless given")
    made.add_argument("--test-images", type=int, default=2000, help="of the blocks made of MNIST's test images")
    return made


def data(arguments: argparse.Namespace, classes: tuple[int, ...], seed: int, **options: Any) -> tuple[ga.ImageSet, ga.ImageSet]:
    """Blocks made of MNIST, for training and for testing."""
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train = train.sample(arguments.train_images) if arguments.train_images else train
    train, test = (ga.blocks(half, classes=classes, seed=seed, **options) for half in (train, test))
    return train, test.sample(min(arguments.test_images, len(test)))


def trained(
    arguments: argparse.Namespace, network: str, objective: str, train: ga.ImageSet, seed: int, **changes: Any
) -> nn.Module:
    """A classifier of the blocks, from the store where it is there."""
    fields = NETWORKS[network] | OBJECTIVES[objective] | changes
    return ga.train_once(ga.Recipe(epochs=arguments.epochs, seed=seed, **fields), train, store=arguments.store, device="cpu")


def over_seeds(rows: pd.DataFrame, by: list[str], value: str = "value") -> pd.DataFrame:
    """The mean of a value over its seeds, with the 95 % t-interval."""

    groups = rows.groupby(by, sort=False)[value]
    found = groups.agg(mean="mean", spread="std", seeds="count").reset_index()
    reach = stats.t.ppf(0.975, found["seeds"].clip(lower=2) - 1) * found["spread"] / np.sqrt(found["seeds"])  # NaN for one seed
    found["low"], found["high"] = found["mean"] - reach, found["mean"] + reach
    return found[[*by, "mean", "low", "high", "seeds"]]
