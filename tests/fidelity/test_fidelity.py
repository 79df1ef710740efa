"""Fidelity's invariances, what a user may pass, its verdict with its caveats, and its files."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.fills import resolve_fill
from gradaudit.instruments.fidelity import FidelityResult
from gradaudit.intervals import paired_interval

CPU = {"device": "cpu"}
ALONE = {"controls": (), "patches": 0, "device": "cpu"}


@pytest.mark.parametrize("fill", ["imputation", "noise", "mean"])
def test_the_batch_size_does_not_change_the_result(made, fill):
    images = made.drawn(300)
    one, other = (
        ga.fidelity(made.network(images), images, levels=0.3, fill=fill, controls=("random",), batch_size=size, **CPU)
        for size in (7, 300)
    )
    assert one.table[["top", "bottom"]].equals(other.table[["top", "bottom"]])
    np.testing.assert_allclose(one.table["log_fidelity"], other.table["log_fidelity"], atol=1e-6)
    np.testing.assert_allclose(one.single_patches["spearman"], other.single_patches["spearman"], atol=1e-3)


def test_the_same_seed_gives_the_same_and_another_does_not(made):
    images = made.drawn()
    one, again, other = (
        ga.fidelity(made.network(images), images, fill="noise", controls=("random",), seed=seed, **CPU) for seed in (0, 0, 1)
    )
    assert one.to_json() == again.to_json()
    assert not one.table.equals(other.table)


def test_the_callers_random_state_is_left_alone(made):
    images = made.drawn()
    classifier = made.network(images)
    before = torch.get_rng_state()
    ga.fidelity(classifier, images, fill="noise", **ALONE)
    assert torch.equal(torch.get_rng_state(), before)


def grey(kept, mask):
    """What a user may write."""
    return torch.full_like(kept, 0.25)


def test_a_fill_by_name_by_function_and_several(made):
    images = made.drawn()
    classifier = made.network(images)
    found = ga.fidelity(classifier, images, fill=["mean", grey, resolve_fill("zero", images)], **ALONE)
    assert found.fills == ("mean", "grey", "zero")
    assert found.table["fill"].unique().tolist() == ["mean", "grey", "zero"]
    for fill in ("mean", grey, "zero"):
        alone = ga.fidelity(classifier, images, fill=fill, **ALONE)
        same = found.rows(alone.fills[0]).reset_index(drop=True)
        pd.testing.assert_frame_equal(alone.table, same)
    levels = found.rows("grey")["level"].tolist()
    assert levels == [0.05, 0.1, 0.2, 0.4]


def test_statistics_are_those_of_the_reference(made):
    images, dark = made.drawn(), made.drawn()
    dark = ga.ImageSet(dark.images // 8, dark.labels, dark.classes)
    classifier = made.network(images)
    own, same, other = (
        ga.fidelity(classifier, images, fill="mean", reference=reference, **ALONE) for reference in (None, images, dark)
    )
    assert own.table.equals(same.table)
    assert not own.table.equals(other.table)
    assert own.settings["fill_keys"] != other.settings["fill_keys"]


def test_the_predicted_class_may_be_asked_for(made):
    images = made.drawn()
    classifier = made.network(images)
    with torch.no_grad():
        predicted = classifier(images.floats()).argmax(1)
    asked = ga.fidelity(classifier, images, target="predicted", fill="mean", **CPU)
    relabelled = ga.fidelity(classifier, ga.ImageSet(images.images, predicted, images.classes), fill="mean", **CPU)
    assert asked.accuracy == 1
    assert asked.table.equals(relabelled.table)
    assert "the class that it gives them whole" in asked.verdict.sentence


def test_signs_matter_to_patches_and_not_to_ranks(made):
    images = made.drawn()
    scores = torch.randn(len(images), *images.shape, generator=torch.Generator().manual_seed(1))
    signed, absolute = (
        ga.fidelity(made.network(images), images, {"own": one}, fill="mean", controls=(), **CPU) for one in (scores, scores.abs())
    )
    assert signed.table.equals(absolute.table)
    assert signed.single_patches["spearman"][0] != absolute.single_patches["spearman"][0]


def test_maps_that_are_constant_are_left_out_and_counted(made):
    images = made.drawn()
    scores = torch.rand(len(images), *images.shape, generator=torch.Generator().manual_seed(0))
    scores[:10] = 0.0
    result = ga.fidelity(made.network(images), images, {"own": scores}, fill="mean", controls=("random",), **CPU)
    found = result.single_patches.set_index("attribution")
    assert found["left_out"].to_dict() == {"own": 10, "random": 0}
    assert found.loc["own", "images"] == 30
    assert np.isfinite(found.loc["own", ["spearman", "low", "high"]].astype(float)).all()
    assert any(caveat.startswith("25.0% of the images are left out") for caveat in result.verdict.caveats)
    nowhere = ga.fidelity(made.network(images), images, {"own": 0 * scores}, fill="mean", controls=(), **CPU)
    assert np.isnan(nowhere.single_patches["spearman"][0])


def test_both_orders_rank_a_good_and_a_bad_ranking_alike(made):
    images, scores = made.on_one_pixel()
    noisy = torch.rand(scores.shape, generator=torch.Generator().manual_seed(0))
    ranked = {"good": scores, "noise": noisy, "bad": 1 - scores + noisy}
    result = ga.fidelity(made.OnePixel(), images, ranked, fill="zero", **ALONE)
    agreement = result.order_agreement.iloc[0]
    assert agreement["attributions"] == 3
    assert agreement["spearman"] == pytest.approx(1)
    few = ga.fidelity(made.OnePixel(), images, {"good": scores}, fill="zero", **ALONE)
    assert np.isnan(few.order_agreement["spearman"][0])


def test_a_saved_result_comes_back_whole(made, tmp_path):
    images = made.drawn()
    result = ga.fidelity(made.network(images), images, fill=["mean", "zero"], controls=("random", "edges"), **CPU)
    loaded = ga.load_result(result.save(tmp_path))
    assert isinstance(loaded, FidelityResult)
    assert loaded.to_json() == result.to_json()
    for name in ("orders", "order_agreement", "single_patches"):
        pd.testing.assert_frame_equal(getattr(loaded, name), getattr(result, name))
        assert len(pd.read_csv(tmp_path / f"{name}.csv")) == len(getattr(result, name))
    found = loaded.per_image("edges", "zero")
    assert found.equals(result.per_image("edges", "zero"))
    table = result.rows("zero").set_index(["attribution", "level"]).loc["edges"]
    for level in (0.05, 0.4):
        assert found[f"right_top_{level:g}"].mean() == table.loc[level, "top"]
        assert found[f"log_bottom_{level:g}"].mean() == pytest.approx(table.loc[level, "log_bottom"], abs=1e-5)
    with pytest.raises(ga.InputError, match="`fill`"):
        result.per_image("edges", "noise")
    with pytest.raises(ga.InputError, match="`attribution`"):
        result.per_image("nothing")


class Sure(nn.Module):
    """Always the first class, with a probability near 1, and a gradient that is not zero."""

    def forward(self, images):
        first = 9 + 1e-3 * images.flatten(1).sum(1)
        return torch.stack([first, torch.zeros_like(first)], dim=1)


def test_caveats_on_the_classifier_and_the_fill(made):
    images = made.drawn(60, classes=2)
    result = ga.fidelity(Sure(), images, fill="mean", **ALONE)
    assert result.verdict.label == "inconclusive"
    said = " ".join(result.verdict.caveats)
    assert "there is nothing for it to lose" in said
    assert "the fill mean is off its data" in said


def test_a_classifier_that_reads_nothing_at_this_level_leaves_it_open(made):
    """Parity of two pixels: right on whole images, at chance wherever one of them is gone."""
    images = made.drawn(200, classes=2)
    bits = images.images[:, 0, 0, 0] > 127, images.images[:, 0, 7, 7] > 127
    images = ga.ImageSet(images.images, (bits[0] ^ bits[1]).long(), images.classes)

    class Parity(nn.Module):
        def forward(self, pixels):
            both = (pixels[:, 0, 0, 0] - 0.498) * (pixels[:, 0, 7, 7] - 0.498)
            return 500 * torch.stack([both, -both], dim=1)

    scores = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0, 0, 0], scores[:, 0, 7, 7] = 2, 0  # one at the top, one at the bottom
    result = ga.fidelity(Parity(), images, {"own": scores}, fill="zero", **ALONE)
    assert result.accuracy > 0.97
    assert result.verdict.label == "inconclusive"
    assert any("no better than chance" in caveat for caveat in result.verdict.caveats)


@pytest.mark.parametrize("turned", [False, True])
def test_labels_that_a_classifier_does_not_know_are_not_used(made, turned):
    """Maps that know the label make half of what is left answer it; as it has nothing to lose, it uses nothing."""
    images = made.drawn(200, classes=2)
    bright = images.images[:, 0, 4, 4] > 127  # of which the labels say nothing

    class OnePixel(nn.Module):
        def forward(self, pixels):
            read = pixels[:, 0, 4, 4] - 0.498
            return 500 * torch.stack([-read, read], dim=1)

    scores = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    scores[:, 0, 4, 4] = torch.where(bright == (images.labels == 1), 2.0, -0.0)  # left at the top only where it says the label
    scores = 1 / (1 + scores) if turned else scores
    result = ga.fidelity(OnePixel(), images, {"own": scores}, fill="zero", **ALONE)
    row = result.table[result.table["level"] == result.level].iloc[0]
    assert row["high"] < 0 if turned else row["low"] > 0
    assert result.verdict.label == "inconclusive"
    assert any("there is nothing for it to lose" in caveat for caveat in result.verdict.caveats)


def test_what_is_read_from_both_sides_alike_is_not_used(made):
    """A classifier whose answer lies in every row: whichever pixels are left, it is right."""
    images = made.drawn(400, classes=2)
    pixels = torch.where(images.labels[:, None, None, None] == 1, 200, 50) + images.images // 8
    images = ga.ImageSet(pixels.to(torch.uint8), images.labels, images.classes)

    class Brightness(nn.Module):
        def forward(self, pixels):
            bright = pixels.amax(dim=(1, 2, 3)) - 0.5
            return 20 * torch.stack([-bright, bright], dim=1)

    scores = torch.rand(400, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    result = ga.fidelity(Brightness(), images, {"own": scores}, fill="zero", controls=("random",), patches=0, **CPU)
    assert result.accuracy == 1
    assert result.verdict.label == "not used"


def test_a_control_that_does_as_well_is_named(made):
    images, scores = made.on_one_pixel()
    pixels = (images.images // 32).clone()
    pixels[:, 0, 4, 4] = images.images[:, 0, 4, 4]
    pixels[:, 0, 4, 3] = 255  # an edge at the pixel that is read
    images = ga.ImageSet(pixels, images.labels, images.classes)
    result = ga.fidelity(made.OnePixel(), images, {"own": scores}, levels=0.3, fill="zero", controls=("edges",), **CPU)
    assert result.verdict.label == "used"
    assert any("edges, which knows no classifier, does as well" in caveat for caveat in result.verdict.caveats)


def test_a_verdict_that_depends_on_the_fill_says_so(made):
    images, scores = made.on_one_pixel()

    def own(kept, mask):
        """Right for every image: the fill that a classifier likes best."""
        labels = images.labels[: len(kept)].view(-1, 1, 1, 1)
        return labels.to(kept).expand_as(kept)

    result = ga.fidelity(made.OnePixel(), images, {"own": scores}, fill=["zero", own], **ALONE)
    assert any(caveat.startswith("it depends on the fill: with own") for caveat in result.verdict.caveats)
    alone = ga.fidelity(made.OnePixel(), images, {"own": scores}, fill=own, **ALONE)
    assert any("far from chance" in caveat for caveat in alone.verdict.caveats)


def test_few_images_are_said(made):
    images = made.drawn(12)
    result = ga.fidelity(made.network(images), images, fill="mean", **ALONE)
    assert any("12 images are few" in caveat for caveat in result.verdict.caveats)
    one = ga.fidelity(made.network(images), images[:1], fill="mean", controls=("random",), **CPU)
    assert one.verdict.label == "inconclusive"


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("attribution", "no_such"),
        ("attribution", []),
        ("levels", (0.5, 1.0)),
        ("levels", ()),
        ("fill", "no_such"),
        ("fill", []),
        ("fill", ["mean", "mean"]),
        ("fill", lambda kept, mask: kept[:, :, 1:]),
        ("reference", "mnist5k"),
        ("controls", ("logit_gradient",)),
        ("features", "patches"),
        ("target", "random"),
        ("patches", 1),
        ("patches", -1),
        ("batch_size", 0),
        ("seed", -1),
        ("device", "abacus"),
    ],
)
def test_bad_arguments_are_named(made, argument, value):
    images = made.drawn(6)
    with pytest.raises(ga.InputError, match=f"`{argument}`"):
        ga.fidelity(made.network(images), images, **{argument: value, **({} if argument == "device" else CPU)})


def test_bad_images_and_classifiers_are_named(made):
    images = made.drawn(6)
    with pytest.raises(ga.InputError, match="`images`"):
        ga.fidelity(made.network(images), images.floats(), **CPU)
    with pytest.raises(ga.InputError, match="two pixels"):
        ga.fidelity(made.network(images), ga.ImageSet(images.images[:, :, :1, :1], images.labels, images.classes), **CPU)
    with pytest.raises(ga.InputError, match="`reference`"):
        ga.fidelity(made.network(images), images, reference=made.drawn(6, channels=3), **CPU)
    with pytest.raises(ga.InputError, match="controls"):
        ga.fidelity(made.network(images), images, "edges", controls=("edges",), **CPU)

    class Touchy(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = made.network(images)

        def forward(self, pixels):
            return self.inner(pixels) / (pixels.amax(dim=(1, 2, 3)) > 0)[:, None]

    with pytest.raises(ga.InputError, match="finite logits where features are removed"):
        ga.fidelity(Touchy(), images, fill="zero", **CPU)


def test_the_paired_interval_holds_its_mean_and_has_a_width():
    rng = np.random.default_rng(0)
    for count in (1, 2, 30, 500):
        for share in (0.0, 0.3, 1.0):
            first, second = rng.random(count) < share, rng.random(count) < 0.5
            value, low, high = paired_interval(first, second)
            assert value == pytest.approx(first.mean() - second.mean())
            assert -1 <= low <= value <= high <= 1
            assert low < high
            again = paired_interval(second, first)
            assert again == pytest.approx((-value, -high, -low))


def test_the_paired_interval_covers():
    """Three outcomes of a pair, with a true difference of 0.2: within the interval in about 95 of 100 draws."""
    rng = np.random.default_rng(1)
    inside = 0
    for _ in range(2000):
        pairs = rng.choice(3, size=60, p=[0.5, 0.35, 0.15])
        _, low, high = paired_interval(pairs == 1, pairs == 2)
        inside += low <= 0.2 <= high
    assert 0.93 < inside / 2000 < 0.98
