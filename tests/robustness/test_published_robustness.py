"""The LeNet-5s that somebody else trained withstand what was measured of them."""

import os
from pathlib import Path

import pytest

import gradaudit as ga

WEIGHTS, DATA = os.environ.get("GRADAUDIT_WEIGHTS"), os.environ.get("GRADAUDIT_DATA")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        WEIGHTS is None or DATA is None, reason="GRADAUDIT_WEIGHTS and GRADAUDIT_DATA don't name the weights' and data's folders"
    ),
]


@pytest.mark.parametrize(("file", "known", "label"), [("clntrained", 0.0, "brittle"), ("advtrained", 0.922, "robust")])
def test_pgd_accuracy_on_the_first_images(file, known, label):
    classifier = ga.load_classifier("lenet5", Path(str(WEIGHTS)) / f"mnist_lenet5_{file}.pt")
    _, test = ga.load_images("mnist", folder=DATA)
    result = ga.robustness(classifier, test[:100], eps=0.3, device="cpu")
    # Three standard errors of 100 of the 500 images on which it was measured.
    assert result.table["accuracy"][0] == pytest.approx(known, abs=3 * (known * (1 - known) / 100 * 0.8) ** 0.5 + 0.01)
    assert result.verdict.label == label
