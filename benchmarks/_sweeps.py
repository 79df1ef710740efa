"""What the benchmarks of sweeps over strength share: options and images."""

from __future__ import annotations

import argparse
import os
from pathlib import Path

import gradaudit as ga
from _record import RESULTS
from gradaudit.instruments.sweep import BASE


def sweep_parser(about: str | None, results: str) -> argparse.ArgumentParser:
    """The options that all have."""
    made = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    made.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"), help="holds mnist/")
    made.add_argument("--train-images", type=int)
    made.add_argument("--test-images", type=int, default=1000)
    made.add_argument("--epochs", type=int, default=BASE.epochs)
    made.add_argument("--workers", type=int, default=os.cpu_count())
    made.add_argument("--seed", type=int, default=0)
    made.add_argument("--store", help="folder for finished work; the user's own unless given")
    made.add_argument("--out", type=Path, default=RESULTS / results)
    return made


def digits(arguments: argparse.Namespace) -> tuple[ga.ImageSet, ga.ImageSet]:
    """MNIST, or as much of it as was asked for."""
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train = train.sample(arguments.train_images) if arguments.train_images else train
    return train, test.sample(arguments.test_images)
