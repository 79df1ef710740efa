"""What else a reader wants to know of a classifier, and what makes one doubt that it is the one that was meant."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
import torch
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.arguments import probabilities_of
from gradaudit.instruments.setup import Setup

MORE, MOST = 0.2, 0.5  # what another order of the classes must set right, more than now and in all, to be named
FEWEST = 4  # test images a class, below which some order fits by chance
NAMED = 20  # classes


def predictions(setup: Setup, name: str) -> Tensor:
    """The class that the classifier gives each test image, int64 (N,)."""
    return probabilities_of(setup.classifiers[name].to(setup.run.device), setup.test, setup.run.device).argmax(dim=1)


def accuracy_of(seen: Tensor, test: ImageSet) -> float:
    """The share of the test images that were given their label."""
    return float((seen == test.labels).double().mean())


def accuracy_caveats(test: ImageSet, seen: Mapping[str, Tensor]) -> list[str]:
    """A sentence for each classifier that is no better than a constant answer, or much better under other names of its outputs.

    Better than a constant answer is what is so by two standard errors.

    Args:
        test: images with their labels.
        seen: by name the classes that a classifier gives them.
    """
    return [sentence for name, one in seen.items() if (sentence := _accuracy_caveat(test, name, one))]


def _accuracy_caveat(test: ImageSet, name: str, seen: Tensor) -> str:
    accuracy, constant = accuracy_of(seen, test), float(test.labels.bincount().max()) / len(test)
    order, best = _best_order(test, seen)
    swapped = best >= max(accuracy + MORE, MOST) and len(test) >= FEWEST * len(test.classes)
    if accuracy > constant + 2 * math.sqrt(constant * (1 - constant) / len(test)) and not swapped:
        return ""
    named = f"{', '.join(order)} in this order" if len(order) <= NAMED else "in another order"
    better = f"; were its outputs {named}, {100 * best:.3g} %" if swapped else ""
    return (
        f"{name} gives {100 * accuracy:.3g} % of the test images their label, and a constant answer {100 * constant:.3g} %{better}:"
        " are its weights, its normalisation, the order of its classes and the size of the images right? If not, nothing that"
        " follows means anything"
    )


def _best_order(test: ImageSet, seen: Tensor) -> tuple[list[str], float]:
    """The order of the classes in which most labels would be met, and the share that would be."""
    count = len(test.classes)
    inside = seen < count
    pairs = torch.stack([seen[inside], test.labels[inside]])
    table = np.zeros((count, count), dtype=np.int64)
    np.add.at(table, tuple(pairs.numpy()), 1)
    outputs, labels = linear_sum_assignment(table, maximize=True)
    return [test.classes[label] for label in labels], float(table[outputs, labels].sum()) / len(test)


def describe(setup: Setup, name: str, seen: Tensor) -> dict[str, str]:
    """Accuracy, size, and how it was trained where that is known, in words."""
    weights = sum(weight.numel() for weight in setup.classifiers[name].parameters())
    found = {
        "accuracy on the test images": f"{accuracy_of(seen, setup.test):.3f}",
        "weights": f"{weights:,}",
    }
    recipe = setup.recipes.get(name)
    if recipe is not None:
        found |= {"network": recipe.network, "objective": recipe.objective, "epochs": str(recipe.epochs)}
    return found
