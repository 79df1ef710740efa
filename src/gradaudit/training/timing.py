"""How long a training takes, from a few of its steps."""

from __future__ import annotations

import time
from math import ceil

import torch
from torch import nn

from gradaudit.training.fitting import Draw, fit
from gradaudit.training.recipe import Recipe

STEPS = 6


def seconds_a_step(
    classifier: nn.Module, draw: Draw, count: int, recipe: Recipe, steps: int = STEPS, *, device: torch.device
) -> float:
    """Seconds of a step of `fit`: the mean over at least so many, after as many that are slow.

    Args:
        classifier: on `device`; its weights change a little.
        draw, count, recipe, device: as in `fit`.
        steps: how many are timed.

    Raises:
        TrainingError: the loss is not finite.
    """
    some = min(count, recipe.batch_size * steps)
    an_epoch = ceil(some / recipe.batch_size)
    # A rate that changes next to nothing: the schedule of so short a fit could make its loss infinite.
    short = recipe.with_(epochs=ceil(steps / an_epoch), learning_rate=1e-6)
    fit(classifier, draw, some, short, device=device)
    start = time.perf_counter()
    fit(classifier, draw, some, short, device=device)
    return (time.perf_counter() - start) / (short.epochs * an_epoch)
