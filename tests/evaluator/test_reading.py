"""What an evaluator makes of images under masks, against a calibration done naively on a network whose logits are a formula."""

import numpy as np
import pytest
import torch
from scipy import optimize, special
from torch import nn

import gradaudit as ga
from gradaudit.evaluator.evaluator import RESOLUTION, SHARPEST
from gradaudit.fills import resolve_fill

CLASSES, COUNT, SEED = 3, 240, 5


class Formula(nn.Module):
    """Logits of which pixel is brightest and, by `choice`, of which is kept; and one more, the largest, that is of no class."""

    def __init__(self, choice: float) -> None:
        super().__init__()
        self.choice = choice

    def forward(self, shown: torch.Tensor) -> torch.Tensor:
        pixels, masks = shown[:, 0].flatten(1), shown[:, 1].flatten(1)
        logits = 4 * pixels[:, :CLASSES] * masks[:, :CLASSES] + self.choice * masks[:, :CLASSES]
        return torch.cat([logits, torch.full((len(shown), 1), 50.0)], dim=1)


def pictures(count=COUNT, seed=0):
    """Six pixels of which the label's is brighter than the other classes' three times in four; every tenth image is black."""
    rng = np.random.default_rng(seed)
    labels = rng.choice(CLASSES, count, p=(0.5, 0.3, 0.2))
    told = np.where(rng.random(count) < 0.75, labels, rng.integers(0, CLASSES, count))
    pixels = rng.integers(0, 90, (count, 6))
    pixels[np.arange(count), told] += 120
    pixels[::10] = 0
    return ga.ImageSet(pixels.astype(np.uint8).reshape(count, 1, 2, 3), labels, ("a", "b", "c"))


def evaluator(images, choice):
    prior = np.bincount(images.labels.numpy()) / len(images)
    how = {"shape": images.shape, "classes": images.classes, "prior": prior, "features": "coordinates"}
    return ga.Evaluator(Formula(choice), **how, fill=resolve_fill("zero", images), recipe=ga.Recipe(network="mlp"))


def masks_by(images, kind):
    """Two pixels of six: the label's own and one beside, any but the label's, or any."""
    rng = np.random.default_rng(3)
    score = rng.random((len(images), 6))
    score[np.arange(len(images)), images.labels.numpy()] += {"confessing": 1.0, "misleading": -1.0, "random": 0.0}[kind]
    return (np.argsort(np.argsort(-score, axis=1), axis=1) < 2).reshape(-1, 1, 2, 3)


def logits_by_hand(images, masks, choice):
    found = np.zeros((len(images), CLASSES))
    for place, (image, mask) in enumerate(zip(images.images.numpy(), masks, strict=True)):
        for label in range(CLASSES):
            kept = mask.ravel()[label]
            found[place, label] = 4 * kept * image.ravel()[label] / 255 + choice * kept
    return found


def cross_entropies(logits, labels, prior, exponent):
    """Of log q = a log q_network + (1 - a) log prior + constant; predictions within the resolution of the prior are the prior."""
    mixed = exponent * special.log_softmax(logits, axis=1) + (1 - exponent) * np.log(prior)
    told = special.log_softmax(mixed, axis=1) / np.log(2)
    apart = (2**told * (told - np.log2(prior))).sum(axis=1)
    told[apart < RESOLUTION] = np.log2(prior)
    return -told[np.arange(len(labels)), labels]


def best(logits, labels, prior, most):
    """The a from 0 to `most` of least cross-entropy over the images and one whose label is drawn from the prior."""

    def cost(exponent):
        mixed = exponent * special.log_softmax(logits, axis=1) + (1 - exponent) * np.log(prior)
        told = special.log_softmax(mixed, axis=1)
        return -(told[np.arange(len(labels)), labels].sum() + (told @ prior).mean())

    return float(optimize.minimize_scalar(cost, (0.0, most), (0.0, most), method="bounded", options={"xatol": 1e-9}).x)


def by_hand(images, masks, choice):
    """The four things that `read` gives, image by image."""
    labels, prior, count = images.labels.numpy(), np.bincount(images.labels.numpy()) / len(images), len(images)
    order = list(np.random.default_rng([SEED, 3]).permutation(count))
    other = {own: order[place - 1] for place, own in enumerate(order)}
    assert all(own != shown for own, shown in other.items())
    swapped = logits_by_hand(images[[other[place] for place in range(count)]], masks, choice)
    own = logits_by_hand(images, masks, choice)
    blind = best(swapped, labels[[other[place] for place in range(count)]], prior, SHARPEST)
    halves = np.array_split(np.random.default_rng(SEED).permutation(count), 2)
    bits, told = np.empty(count), np.empty(count)
    for fitted, judged in (halves, halves[::-1]):
        bits[judged] = cross_entropies(own[judged], labels[judged], prior, best(own[fitted], labels[fitted], prior, blind))
        told[judged] = cross_entropies(swapped[judged], labels[judged], prior, best(swapped[fitted], labels[fitted], prior, blind))
    return own.argmax(axis=1) == labels, bits, told, cross_entropies(own, labels, prior, blind)


@pytest.mark.parametrize("choice", [0.0, 1.0])
@pytest.mark.parametrize("kind", ["confessing", "misleading", "random"])
def test_a_reading_is_that_of_a_calibration_by_hand(kind, choice):
    images = pictures()
    masks = masks_by(images, kind)
    found = evaluator(images, choice).read(images, masks, seed=SEED)
    hits, bits, told, as_read = by_hand(images, masks, choice)
    np.testing.assert_array_equal(found.hits, hits)
    np.testing.assert_allclose(found.bits, bits, atol=1e-4)
    np.testing.assert_allclose(found.choice, told, atol=1e-4)
    np.testing.assert_allclose(found.as_read, as_read, atol=1e-4)


def test_bits_are_what_the_prior_leaves_open_less_what_the_reading_does():
    images = pictures()
    masks = masks_by(images, "confessing")
    prior = np.bincount(images.labels.numpy()) / COUNT
    own = evaluator(images, 0.0)
    expected = -np.log2(prior)[images.labels.numpy()] - own.read(images, masks, seed=SEED).bits
    np.testing.assert_allclose(own.bits(images, masks, seed=SEED), expected)


def test_leanings_below_the_resolution_are_the_prior_itself():
    """Black images say nothing, but another network would lean this way or that: such leanings count as none."""
    images = pictures()
    black = images.images.flatten(1).max(dim=1).values == 0
    bits = evaluator(images, 0.0).bits(images, masks_by(images, "random"), seed=SEED)
    assert bits[black.numpy()].tolist() == [0.0] * int(black.sum())


def test_a_choice_that_makes_the_network_right_does_not_make_it_surer():
    """Under masks that keep the label's pixel the images would ask for an exponent above the one that blind masks allow."""
    images = pictures()
    confessing = evaluator(images, 1.0).read(images, masks_by(images, "confessing"), seed=SEED)
    np.testing.assert_array_equal(confessing.bits, confessing.as_read)
    misleading = evaluator(images, 1.0).read(images, masks_by(images, "misleading"), seed=SEED)
    assert misleading.bits.mean() < misleading.as_read.mean()
