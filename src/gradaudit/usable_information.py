"""Usable information: what learners know of the label, in bits of cross-entropy on images that they were not fitted on."""

from __future__ import annotations

import base64

import numpy as np
from scipy import optimize

SHARPEST = 10.0  # of a learner far less sure of itself than it should be


def label_prior(labels: np.ndarray, classes: int) -> np.ndarray:
    """The shares of the classes among the training labels, (K,); one that does not occur counts as if it did once.

    It is the best prediction of a learner that sees nothing, and what every learner may fall back on.
    """
    counts = np.bincount(labels, minlength=classes).clip(min=1)
    shares: np.ndarray = counts / counts.sum()
    return shares


def bits_of_nothing(prior: np.ndarray, labels: np.ndarray) -> float:
    """Mean cross-entropy in bits, on test labels (N,), of a learner that sees nothing and so always predicts the prior (K,).

    The V-entropy H_V(Y) of Xu, Zhao, Song, Stewart and Ermon (ICLR 2020), A theory of usable information under computational
    constraints, definition 2, with nothing to condition on: a closed form that needs no network.
    """
    return float(-np.log2(prior)[labels].mean())


def calibrated_bits(
    logits: np.ndarray, labels: np.ndarray, prior: np.ndarray, seed: int, sharpest: float = SHARPEST, resolution: float = 0.0
) -> np.ndarray:
    """The cross-entropy in bits of each test image's label under a learner's calibrated prediction, (N,).

    The mean is the learner's V-entropy given what it sees (Xu et al., ICLR 2020, definition 2), and a difference of two such
    means, of learners that see less and more, is the information that they can use. Their family of predictions must hold the
    one that ignores its input ("optional ignorance", definition 1), or information may come out below 0; and learners fitted for
    a few epochs are too sure of themselves. So the prediction is log p = a log p_learner + (1 - a) log prior + constant, where
    a = 0 ignores the image, a = 1 is the learner as it is, and lower values temper it (Guo et al., ICML 2017, for a uniform
    prior). One a is fitted on each half of the test images and applied to the other half, so that no image judges an
    a that it helped to choose.

    Args:
        logits: of the learner, finite floats (N, L) with L at least K; those beyond the K classes are ignored.
        labels: integers (N,), N at least 2.
        prior: positive (K,), from `label_prior`.
        seed: decides the halves; learners of one seed share them, so that their differences are paired.
        sharpest: the largest a.
        resolution: as in `bits_at`.
    """
    bits = np.empty(len(labels))
    for fitted, judged in _halves(len(labels), seed):
        exponent = best_exponent(logits[fitted], labels[fitted], prior, sharpest)
        bits[judged] = bits_at(logits[judged], labels[judged], prior, exponent, resolution)
    return bits


def best_exponent(logits: np.ndarray, labels: np.ndarray, prior: np.ndarray, sharpest: float = SHARPEST) -> float:
    """The a of `calibrated_bits` of least cross-entropy on these images; arguments as there."""
    return _best_exponent(_odds(logits, prior), labels, prior, sharpest)


def bits_at(logits: np.ndarray, labels: np.ndarray, prior: np.ndarray, exponent: float, resolution: float = 0.0) -> np.ndarray:
    """The cross-entropy in bits of each image's label at one a of `calibrated_bits`, (N,).

    Args:
        logits: as there.
        labels: as there.
        prior: as there.
        exponent: the a.
        resolution: in bits: a prediction whose divergence from the prior is less counts as the prior. A learner that is right about
            how sure it is loses no more than that by it.
    """
    odds = _odds(logits, prior)
    bits = _bits(odds, labels, prior, exponent)
    if resolution > 0:
        bits = np.where(_divergence(odds, prior, exponent) < resolution, -np.log2(prior)[labels], bits)
    return bits


def bits_free_to_ignore(bits: np.ndarray, without: np.ndarray, seed: int) -> np.ndarray:
    """Cross-entropies (N,) of a learner that sees more, or of one that sees less, whichever is better on the other half of images.

    What sees the kept pixels beside the mask must be free to ignore them (optional ignorance; Xu et al., ICLR 2020, definition 1,
    and for the conditional form Hewitt et al., EMNLP 2021, section 3), but a network of image and mask that fails to learn knows
    less than one of the mask alone. One of the two is chosen, not a mixture: two learners that know the same are better together,
    and that would count as information.

    Args:
        bits: of each test image, of the learner that sees more, (N,), N at least 2.
        without: of the one that sees less.
        seed: decides the halves, as in `calibrated_bits`.
    """
    chosen = np.empty(len(bits))
    for compared, judged in _halves(len(bits), seed):
        better = bits if bits[compared].mean() <= without[compared].mean() else without
        chosen[judged] = better[judged]
    return chosen


def packed_bits(bits: np.ndarray) -> str:
    """Cross-entropies (N,) as text for an outcome, rounded to half precision; `unpacked_bits` gives them back."""
    half = np.finfo(np.float16)
    return base64.b64encode(bits.clip(max=float(half.max)).astype("<f2").tobytes()).decode()


def unpacked_bits(text: str) -> np.ndarray:
    """The cross-entropies (N,), float64, from the text that `packed_bits` made."""
    return np.frombuffer(base64.b64decode(text), "<f2").astype(np.float64)


def _halves(count: int, seed: int) -> tuple[tuple[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]:
    """The images to choose by and to judge, and the other way round."""
    order = np.random.default_rng(seed).permutation(count)
    one, other = order[: count // 2], order[count // 2 :]
    return (one, other), (other, one)


def _best_exponent(odds: np.ndarray, labels: np.ndarray, prior: np.ndarray, sharpest: float) -> float:
    """The a of least cross-entropy; it is convex in a, so its slope has one root, or none up to `sharpest`."""
    # One more image, whose label is drawn from the prior, joins those fitted: n without an error can't say that fewer than one in n
    # is wrong, and an exponent that believed it would make a few errors of the other half cost more than all the rest.
    strange = 1 / (len(labels) + 1)
    of_label = (1 - strange) * odds[np.arange(len(labels)), labels] + strange * (odds @ prior)

    def slope(exponent: float) -> float:
        tilted = np.log(prior) + exponent * odds
        weights = np.exp(tilted - tilted.max(axis=1, keepdims=True))
        expected = (weights * odds).sum(axis=1) / weights.sum(axis=1)
        return float((expected - of_label).mean())

    if slope(0.0) >= 0:  # no better than what sees nothing
        return 0.0
    if slope(sharpest) <= 0:
        return sharpest
    return float(optimize.brentq(slope, 0.0, sharpest, xtol=1e-6))


def _odds(logits: np.ndarray, prior: np.ndarray) -> np.ndarray:
    """The log-odds of the learner against the prior: the prediction is proportional to prior * exp(a * odds)."""
    odds: np.ndarray = logits[:, : len(prior)].astype(np.float64) - np.log(prior)
    return odds


def _divergence(odds: np.ndarray, prior: np.ndarray, exponent: float) -> np.ndarray:
    """The Kullback-Leibler divergence of each prediction from the prior in bits, (N,)."""
    tilted = exponent * odds
    tilted -= tilted.max(axis=1, keepdims=True)
    weights = prior * np.exp(tilted)
    total = weights.sum(axis=1)
    found: np.ndarray = ((weights * tilted).sum(axis=1) / total - np.log(total)) / np.log(2)
    return found


def _bits(odds: np.ndarray, labels: np.ndarray, prior: np.ndarray, exponent: float) -> np.ndarray:
    tilted = np.log(prior) + exponent * odds
    highest = tilted.max(axis=1)
    total = np.log(np.exp(tilted - highest[:, None]).sum(axis=1)) + highest
    bits: np.ndarray = (total - tilted[np.arange(len(labels)), labels]) / np.log(2)
    return bits
