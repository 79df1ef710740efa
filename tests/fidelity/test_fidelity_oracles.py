"""Fidelity against closed forms, and against a slow loop that is plainly right."""

import math

import numpy as np
import pandas as pd
import pytest
import torch
from scipy import stats

import gradaudit as ga
from gradaudit.attributions import rank
from gradaudit.fills import resolve_fill
from gradaudit.instruments.fidelity.patches import grid, patch_sums, rank_correlations

ALONE = {"controls": (), "device": "cpu"}
LEVELS = (0.1, 0.3)


def row(result, attribution, level):
    return result.rows().set_index(["attribution", "level"]).loc[(attribution, level)]


@pytest.mark.parametrize("channels", [1, 3])
def test_input_times_gradient_foretells_every_patch_of_a_linear_classifier_filled_with_black(made, channels):
    images = made.drawn(channels=channels)
    classifier = made.linear(images)
    result = ga.fidelity(classifier, images, made.input_times_gradient, fill="zero", patches=4, **ALONE)
    found = result.single_patches.iloc[0]
    assert found["spearman"] == pytest.approx(1)
    assert (found["images"], found["left_out"]) == (len(images), 0)
    upside_down = ga.fidelity(classifier, images, lambda *given: -made.input_times_gradient(*given), fill="zero", **ALONE)
    assert upside_down.single_patches["spearman"][0] == pytest.approx(-1)


@pytest.mark.parametrize("features", ["pixels", "coordinates"])
def test_a_linear_classifier_has_a_closed_form(made, features):
    """Logits with a part removed: the bias, the kept weights times their values, and the other weights times the fill."""
    images = made.drawn(channels=3)
    classifier = made.linear(images)
    level, grey = 0.3, images.mean().double()
    result = ga.fidelity(
        classifier, images, made.input_times_gradient, levels=level, fill="mean", patches=0, features=features, **ALONE
    )
    weights, bias = (one.detach() for one in (classifier[1].weight, classifier[1].bias))
    weights = weights.view(-1, *images.shape)
    x = images.floats().double()
    parts = (x * weights[images.labels]).abs()
    parts = parts.sum(1, keepdim=True) if features == "pixels" else parts
    keep = round(level * parts[0].numel())
    found = {}
    for side, largest in (("top", True), ("bottom", False)):
        chosen = parts.flatten(1).topk(keep, largest=largest).indices
        mask = torch.zeros_like(parts).flatten(1).scatter(1, chosen, 1.0).view_as(parts)
        seen = mask * x + (1 - mask) * grey.view(1, -1, 1, 1)
        logits = torch.einsum("nchw,kchw->nk", seen, weights) + bias
        found[side] = float((logits.argmax(1) == images.labels).double().mean())
        found[f"log_{side}"] = float(logits.log_softmax(1).gather(1, images.labels[:, None]).mean())
    measured = result.table.iloc[0]
    for column, value in found.items():
        assert measured[column] == pytest.approx(value, abs=1e-6)
    assert measured["fidelity"] == pytest.approx(found["top"] - found["bottom"])
    assert measured["log_fidelity"] == pytest.approx(found["log_top"] - found["log_bottom"], abs=1e-6)


def test_a_classifier_that_reads_one_pixel(made):
    images, scores = made.on_one_pixel()
    result = ga.fidelity(made.OnePixel(), images, {"own": scores}, fill="zero", levels=(0.05, 0.2), patches=2, **ALONE)
    for level in (0.05, 0.2):
        found = row(result, "own", level)
        assert found["top"] == result.accuracy == 1
        assert found["bottom"] == 0.5  # black, so class 0 for all
        assert found["fidelity"] == 0.5
        assert found["low"] < 0.5 < found["high"]
    assert result.verdict.label == "used"
    assert "fidelity +0.500" in result.verdict.sentence
    upside = torch.rand(scores.shape) + 1
    upside[scores > 0] = 0
    result = ga.fidelity(made.OnePixel(), images, {"own": upside}, fill="zero", patches=0, **ALONE)
    assert result.verdict.label == "upside down"
    assert row(result, "own", 0.1)["fidelity"] == -0.5


def test_the_areas_of_a_classifier_that_reads_one_pixel(made):
    images, scores = made.on_one_pixel()
    result = ga.fidelity(made.OnePixel(), images, {"own": scores}, fill="zero", levels=(0.05, 0.2), patches=0, **ALONE)
    orders = result.orders.set_index("order")

    def sure(bright):
        return 1 / (1 + math.exp(-40 * bright))

    black = (sure(0.5) + sure(-0.5)) / 2  # half of the images have the label that black says
    whole = (sure(0.5 - 30 / 255) + sure(220 / 255 - 0.5)) / 2
    assert orders.loc["most_relevant_first", "probability"] == pytest.approx(black, abs=1e-6)
    assert orders.loc["least_relevant_first", "probability"] == pytest.approx(whole, abs=1e-6)
    assert orders.loc["most_relevant_first", "accuracy"] == 0.5
    assert orders.loc["least_relevant_first", "accuracy"] == 1


def test_a_random_ranking_has_no_fidelity(made):
    images = made.drawn(600)
    classifier = made.network(images)
    with torch.no_grad():
        labels = classifier(images.floats()).argmax(1)
    images = ga.ImageSet(images.images, labels, images.classes)
    result = ga.fidelity(classifier, images, "random", levels=(0.2, 0.4), fill="mean", **ALONE)
    for found in result.table.to_dict("records"):
        wide = found["high"] - found["low"]
        assert found["low"] - wide / 2 < 0 < found["high"] + wide / 2  # four standard errors
        assert found["top"] < 1
        assert wide < 0.15
    patched = result.single_patches.iloc[0]
    assert abs(patched["spearman"]) < 2 * (patched["high"] - patched["low"])
    assert result.verdict.label != "used"


def test_a_naive_loop_gives_the_same(made):
    images = made.drawn(7, channels=3)
    classifier, fill = made.network(images), resolve_fill("imputation", images)
    scores = torch.randn(7, *images.shape, generator=torch.Generator().manual_seed(5))
    result = ga.fidelity(classifier, images, {"own": scores}, levels=LEVELS, patches=3, **ALONE)
    expected, pixels = [], made.side**2
    ranks = rank(scores, 0, 0, "pixels") + pixels // 2
    clean, spearman = [], []
    for place in range(7):
        image, label = images.floats([place]), int(images.labels[place])

        def asked(mask, image=image, label=label):
            with torch.no_grad():
                logits = classifier(image if mask is None else fill(image, mask))[0].double()
            return int(logits.argmax()) == label, float(logits.log_softmax(0)[label]), float(logits[label])

        clean.append(asked(None))
        for level in LEVELS:
            for side in ("top", "bottom"):
                mask = torch.zeros(1, 1, made.side, made.side, dtype=torch.bool)
                for pixel in range(pixels):
                    place_in_order = ranks[place, pixel] if side == "top" else pixels - 1 - ranks[place, pixel]
                    mask.view(-1)[pixel] = bool(place_in_order < round(level * pixels))
                expected.append((place, level, side, *asked(mask)[:2]))
        sums, drops = [], []
        for patch in grid(3, images.shape):
            sums.append(float(scores[place][:, patch].sum()))
            drops.append(clean[-1][2] - asked(~patch[None, None])[2])
        spearman.append(stats.spearmanr(sums, drops).statistic)
    loop = pd.DataFrame(expected, columns=["image", "level", "side", "right", "log"])
    for level in LEVELS:
        found = row(result, "own", level)
        for side in ("top", "bottom"):
            own = loop[(loop["level"] == level) & (loop["side"] == side)]
            assert found[side] == pytest.approx(own["right"].mean())
            assert found[f"log_{side}"] == pytest.approx(own["log"].mean(), abs=1e-4)
    np.testing.assert_allclose(result.per_image("own")["spearman"], spearman, atol=1e-9)
    assert result.single_patches["spearman"][0] == pytest.approx(np.mean(spearman))
    assert result.accuracy == pytest.approx(np.mean([one[0] for one in clean]))


def test_patches_cover_the_image_once():
    for side, shape in ((4, (1, 8, 8)), (3, (3, 8, 10)), (5, (1, 2, 9)), (4, (1, 1, 10))):
        patches = grid(side, shape)
        assert len(patches) == min(side, shape[1]) * min(side, shape[2])
        assert (patches.sum(0) == 1).all()
        assert patches.flatten(1).any(1).all()
    scores = torch.randn(2, 3, 4, 4)
    sums = patch_sums(scores, grid(2, (3, 4, 4)))
    np.testing.assert_allclose(sums[1, 1], scores[1, :, :2, 2:].sum(), atol=1e-6)


def test_rank_correlations_are_scipys_and_none_where_a_row_is_constant():
    rng = np.random.default_rng(0)
    first, second = rng.integers(0, 5, (20, 9)).astype(float), rng.standard_normal((20, 9))
    first[3] = 2.0
    found = rank_correlations(first, second)
    expected = [
        np.nan if place == 3 else stats.spearmanr(*pair).statistic for place, pair in enumerate(zip(first, second, strict=True))
    ]
    np.testing.assert_allclose(found, expected)
