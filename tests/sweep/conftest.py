"""A sweep on a Gaussian mixture whose denoiser and tangent spaces are exact, and classifiers made by hand."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import gradaudit as ga
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.instruments.sweep import sweep
from gradaudit.instruments.sweep.measured_classifier import MeasuredClassifier

MIXTURE = gaussian_mixture(classes=3, shape=(1, 6, 6), intrinsic_dim=4, spread=0.06, normal_std=0.03)
TRAIN, TEST = MIXTURE.sample(300, 0), MIXTURE.sample(40, 1)
BASE = ga.Recipe(network="mlp(width=16, depth=1, activation=silu)", optimizer="adamw", learning_rate=0.03, epochs=4, batch_size=32)
FAMILIES = {"gradient_penalty": (0.1, 10.0), "noise": (0.05, 0.5, 5.0)}
OPTIONS: dict[str, Any] = {
    "denoiser": MIXTURE.denoiser(),
    "tangent_spaces": MIXTURE,
    "families": FAMILIES,
    "base": BASE,
    "sigma": (0.1, 0.2),
    "radius": (0.2, 0.5, 1.0),
    "samples": 2,
    "eps": (0.1, 0.3),
    "workers": 1,
    "device": "cpu",
}


def by_hand(
    family: str, strength: float, on: np.ndarray, off: np.ndarray, alignment: np.ndarray, **said: Any
) -> MeasuredClassifier:
    """A classifier with one radius and one sigma, right everywhere."""
    count = len(on)
    changes = np.stack([on, off])[:, None]
    verdicts = {kind: {"label": "-", "caveats": []} for kind in ("robustness", "alignment", "manifold_robustness")} | said
    right = np.ones((2, count), bool)
    return MeasuredClassifier(family, strength, right, np.full(count, 0.9), alignment[None], 0 * alignment[None], changes, verdicts)


class Mixture:
    """What tests take from this file."""

    mixture, train, test, base, families = MIXTURE, TRAIN, TEST, BASE, FAMILIES
    by_hand = staticmethod(by_hand)

    @staticmethod
    def sweep(store: Any, train: ga.ImageSet = TRAIN, test: ga.ImageSet = TEST, **options: Any) -> Any:
        return sweep(train, test, store=store, **OPTIONS | options)


@pytest.fixture(scope="session", name="small")
def small_fixture() -> type[Mixture]:
    return Mixture


@pytest.fixture(scope="session", name="swept_store")
def swept_store_fixture(tmp_path_factory: pytest.TempPathFactory) -> Any:
    return tmp_path_factory.mktemp("sweep_store")


@pytest.fixture(scope="session", name="swept")
def swept_fixture(swept_store: Any) -> Any:
    return Mixture.sweep(swept_store)
