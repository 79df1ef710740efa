"""What the benchmarks of sweeps over strength share: options and images."""

from __future__ import annotations

import argparse

import gradaudit as ga
from _record import table_parser
from gradaudit.instruments.sweep import BASE


def sweep_parser(file: str, about: str | None) -> argparse.ArgumentParser:
    """The options that all have."""
    made = table_parser(file, about)
    made.add_argument("--train-images", type=int)
    made.add_argument("--test-images", type=int, default=1000)
    made.add_argument("--epochs", type=int, default=BASE.epochs)
    made.add_argument("--seed", type=int, default=0)
    return made


def digits(arguments: argparse.Namespace) -> tuple[ga.ImageSet, ga.ImageSet]:
    """MNIST, or as much of it as was asked for."""
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train = train.sample(arguments.train_images) if arguments.train_images else train
    return train, test.sample(arguments.test_images)
