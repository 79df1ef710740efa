"""AutoAttack: as strong as the closed form allows, never above PGD, whatever the classes, dtype and memory layout."""

import sys

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.errors import MissingExtraError
from gradaudit.instruments.robustness.attacks.autoattack import autoattack

pytest.importorskip("pyautoattack")
SMALL = "autoattack(iterations=10, queries=20)"


@pytest.mark.parametrize(("norm", "eps"), [("linf", 0.02), ("l2", 0.12)])
def test_it_reaches_the_closed_form_of_a_linear_classifier(linear, norm, eps):
    module, images = linear.classifier(), linear.images(80)
    result = ga.robustness(module, images, norm=norm, eps=eps, attack=SMALL, device="cpu")
    expected = (linear.margins(module, images) > eps * linear.slope(module, norm)).numpy()
    assert 0.1 < expected.mean() < result.clean_accuracy - 0.1
    # The attack may fail on an image that lies just inside; it can't succeed on one outside.
    assert not (expected & ~result.withstood(SMALL, eps)).any()
    assert result.withstood(SMALL, eps).mean() <= expected.mean() + 0.05


def test_it_is_never_above_the_attacks_beside_it(linear):
    torch.manual_seed(0)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 5))
    images = linear.images(60, classes=5, labels=torch.arange(60) % 5)
    result = ga.robustness(module, images, eps=(0.0, 0.01, 0.1), attack=[SMALL, "pgd(steps=2)"], device="cpu")
    for eps in (0.0, 0.01, 0.1):
        kept, first = result.withstood(SMALL, eps), result.withstood("pgd(steps=2)", eps)
        assert not (kept & ~first).any()
        assert np.array_equal(kept, result.withstood("worst", eps))
    assert result.rows == (SMALL, "pgd(steps=2)", "worst")


@pytest.mark.parametrize("norm", ["linf", "l2"])
@pytest.mark.parametrize("classes", [2, 3, 4, 12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_few_and_many_classes_colour_and_double_precision(linear, norm, classes, dtype):
    module = linear.classifier((3, 6, 5), classes, scale=5).to(dtype)
    images = linear.images(6, (3, 6, 5), labels=torch.zeros(6, dtype=torch.int64))
    images = images[(module(images.floats().to(dtype)).argmax(1) == 0).logical_or(torch.arange(6) == 0)]
    table = ga.robustness(module, images, norm=norm, eps=(0.0, 0.5), attack=SMALL, device="cpu").table
    assert table["accuracy"][1] <= table["accuracy"][0]


def test_the_batch_size_changes_memory_alone(linear):
    torch.manual_seed(1)
    module = nn.Sequential(nn.Conv2d(1, 4, 3), nn.Tanh(), nn.Flatten(), nn.Linear(64, 4)).double()
    pixels = linear.images(20).floats().double()
    labels = module(pixels).argmax(1)
    options = {"norm": "linf", "eps": 0.2, "iterations": 10, "queries": 20}
    few, many = (autoattack(module, pixels, labels, batch_size=size, **options) for size in (3, 64))
    assert (module(many).argmax(1) != labels).any()
    assert torch.allclose(few, many, rtol=0, atol=1e-6)


def test_gradients_of_another_memory_layout_are_taken(linear):
    module = nn.Sequential(nn.Conv2d(3, 8, 3, padding=1), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 36, 4)).to(
        memory_format=torch.channels_last
    )
    images = linear.images(4, (3, 6, 6), labels=torch.zeros(4, dtype=torch.int64))
    images = ga.ImageSet(images.images, module(images.floats()).argmax(1), tuple("abcd"))
    for norm in ("linf", "l2"):
        result = ga.robustness(module, images, norm=norm, eps=0.9, attack=SMALL, device="cpu")
        assert result.withstood(SMALL, 0.9).mean() < 1


def test_random_state_and_trace_function_are_left_alone(linear):
    module, images = linear.classifier(), linear.images(3)
    before, state = sys.gettrace(), torch.get_rng_state()

    def trace(*_):
        return None

    sys.settrace(trace)
    try:
        ga.robustness(module, images, eps=0.01, attack=SMALL, device="cpu")
        found = sys.gettrace()
    finally:
        sys.settrace(before)
    assert found is trace
    assert torch.equal(torch.get_rng_state(), state)


def test_without_its_package_it_says_which_extra_to_install(linear, monkeypatch):
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    with pytest.raises(MissingExtraError, match=r"gradaudit\[autoattack\]"):
        ga.robustness(linear.classifier(), linear.images(3), eps=0.01, attack="autoattack", device="cpu")
