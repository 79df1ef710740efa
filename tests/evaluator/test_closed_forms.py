"""Bits of values where the truth is a formula: what is read from values, and never what the choice of pixels tells."""

import numpy as np
import pytest
import torch
from scipy.special import logsumexp

import gradaudit as ga


@pytest.fixture(scope="module", name="read")
def read_fixture(three_bits, tmp_path_factory):
    train, _ = three_bits(2000, 0)
    test, bits = three_bits(2000, 1)
    recipe, store = ga.named_recipe("evaluators/mlp", epochs=40), tmp_path_factory.mktemp("store")
    evaluator = ga.Evaluator.fit(train, recipe, lowest=0.33, store=store, device="cpu")
    return lambda mask: evaluator.bits(test, mask.reshape(len(bits), 1, 1, 3)).mean(), bits


def test_the_bit_that_is_read_tells_by_its_value_what_a_reader_can_know_who_did_not_see_the_choice(read):
    told, bits = read
    mask = np.zeros((len(bits), 3), dtype=bool)
    mask[np.arange(len(bits)), np.where(bits[:, 2] == 1, 0, 1)] = True
    assert told(mask) == pytest.approx(np.log2(1.5), abs=0.02)  # right three times in four; the choice would tell the rest of 1 bit


def test_with_the_bit_that_says_which_is_read_the_values_tell_all(read):
    told, bits = read
    mask = np.zeros((len(bits), 3), dtype=bool)
    mask[np.arange(len(bits)), np.where(bits[:, 2] == 1, 0, 1)] = True
    mask[:, 2] = True
    assert told(mask) == pytest.approx(1.0, abs=0.02)


def test_the_bit_that_only_says_which_is_read_tells_nothing(read):
    told, bits = read
    mask = np.zeros((len(bits), 3), dtype=bool)
    mask[:, 2] = True
    assert told(mask) == pytest.approx(0.0, abs=0.02)


@pytest.fixture(scope="module", name="lines")
def lines_fixture(tmp_path_factory):
    train, test = (ga.coordinate_images(count, dimensions=10, seed=seed) for count, seed in ((12000, 0), (2000, 1)))
    # The masks that are read are among those that it was trained under, each on other images, as in DiffROAR.
    scores = [test.signal_mask[:, None].float(), confessing(test)[:, None].float()]
    store = tmp_path_factory.mktemp("store")
    return ga.Evaluator.fit(train, "evaluators/mlp", scores=scores, lowest=0.1, store=store, device="cpu"), test


def confessing(test):
    """The places off the signal that the label chose."""
    place = torch.arange(10).view(1, 1, 10)
    return (place % 2 == test.labels.view(-1, 1, 1)) & ~test.signal_mask


@pytest.mark.slow
def test_of_x_is_y_e_j_the_values_are_one_bit_where_j_is_kept(lines):
    evaluator, test = lines
    assert test.signal_mask is not None
    told = evaluator.bits(test, test.signal_mask)
    assert told.mean() == pytest.approx(1.0, abs=0.02)


@pytest.mark.slow
def test_of_x_is_y_e_j_the_values_are_none_elsewhere_though_the_choice_tells_the_label(lines):
    evaluator, test = lines
    assert evaluator.bits(test, confessing(test)).mean() == pytest.approx(0.0, abs=0.02)


MEANS = np.array([[0.35, 0.5, 0.62, 0.45], [0.5, 0.35, 0.5, 0.6], [0.6, 0.6, 0.4, 0.5]])
STD = 0.08


def mixture(count: int, seed: int) -> ga.ImageSet:
    """Gaussian blobs of three classes in four pixels, rounded to 255 levels."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 3, count)
    pixels = (MEANS[labels] + STD * rng.standard_normal((count, 4))).clip(0, 1)
    return ga.ImageSet((pixels * 255).round().astype(np.uint8).reshape(count, 1, 2, 2), labels, ("a", "b", "c"))


def exact_bits(images: ga.ImageSet, mask: np.ndarray) -> float:
    """What the marginals of the mixture tell of the labels."""
    pixels, labels = images.images.numpy().reshape(-1, 4) / 255, images.labels.numpy()
    logits = -(((pixels[:, None] - MEANS) / STD) ** 2 / 2 * mask[:, None]).sum(axis=2)
    told = logits[np.arange(len(labels)), labels] - logsumexp(logits, axis=1)
    return float(np.log2(3) + told.mean() / np.log(2))


@pytest.fixture(scope="module", name="blobs")
def blobs_fixture(tmp_path_factory):
    evaluator = ga.Evaluator.fit(
        mixture(4000, 0),
        ga.named_recipe("evaluators/mlp", epochs=25),
        lowest=0.25,
        store=tmp_path_factory.mktemp("store"),
        device="cpu",
    )
    return evaluator, mixture(3000, 1)


@pytest.mark.parametrize("keep", [1, 2, 3])
@pytest.mark.parametrize("choice", ["random", "brightest", "darkest"])
def test_of_a_gaussian_mixture_the_bits_are_those_of_its_marginals(blobs, keep, choice):
    evaluator, test = blobs
    pixels = test.images.numpy().reshape(len(test), 4).astype(float)
    score = {"random": np.random.default_rng(2).random(pixels.shape), "brightest": pixels, "darkest": -pixels}[choice]
    mask = np.argsort(np.argsort(-score, axis=1), axis=1) < keep
    told = evaluator.bits(test, mask.reshape(-1, 1, 2, 2)).mean()
    # The twin is tempered as little or as much as the evaluator may be: where a choice misleads, neither is held to its word.
    assert told == pytest.approx(max(exact_bits(test, mask), 0.0), abs=0.05)
