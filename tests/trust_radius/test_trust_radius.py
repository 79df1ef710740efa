"""The trust radius: a naive loop, draws and batches, verdicts and their caveats, few classes followed, bad input."""

import numpy as np
import pandas as pd
import pytest
import torch

import gradaudit as ga
from gradaudit.instruments.trust_radius.surroundings import explained
from gradaudit.noise import generators, normal


def test_a_naive_loop_gives_the_same(made):
    images = made.drawn(5, channels=3)
    classifier, sigma, copies = made.network(images).double(), 0.1, 10
    found = ga.trust_radius(classifier, images, sigma=(sigma,), copies=copies, seed=4, **made.options).per_image()
    for place in range(5):
        x = images.floats([place]).double().requires_grad_()
        logits = classifier(x)[0]
        own = int(logits.argmax())
        margins = {rival: logits[own] - logits[rival] for rival in range(3) if rival != own}
        slopes = {rival: torch.autograd.grad(margin, x, retain_graph=True)[0] for rival, margin in margins.items()}
        near = min(margins, key=lambda rival: float(margins[rival].detach() / slopes[rival].norm()))
        source = generators(images.floats([place]), 4)
        noise = normal(source, images.floats([place])[:, None].expand(-1, copies, -1, -1, -1))[0].double()
        missed = changed = kept = 0.0
        for one in noise:
            there = classifier(x.detach() + sigma * one)[0]
            change = float((there[own] - there[near] - margins[near]).detach())
            missed += (change - sigma * float((slopes[near][0] * one).sum())) ** 2
            changed += change**2
            kept += float(there.argmax() == own)
        row = found.iloc[place]
        assert (row["predicted"], row["nearest"]) == (own, near)
        assert row["explained_0.1"] == pytest.approx(max(0.0, 1 - missed / changed), abs=1e-6)
        assert row["p_mc_0.1"] == pytest.approx(kept / copies)
        assert row["p_softmax"] == pytest.approx(float(logits.softmax(0)[own].detach()))


def test_the_batch_changes_nothing(made):
    images = made.drawn(20)
    classifier = made.network(images).double()
    one, other = (ga.trust_radius(classifier, images, batch_size=size, **made.options) for size in (1, 64))
    pd.testing.assert_frame_equal(one.per_image(), other.per_image(), rtol=0, atol=1e-9)


def test_an_image_keeps_its_numbers_among_others(made):
    images = made.drawn(80)  # more than are taken at once
    classifier = made.network(images).double()
    every = ga.trust_radius(classifier, images, sigma=(0.1,), copies=8, pairs=1, **made.options).per_image()
    order = torch.randperm(80, generator=torch.Generator().manual_seed(0))[:9]
    some = ga.trust_radius(classifier, images[order], sigma=(0.1,), copies=8, pairs=1, **made.options).per_image()
    pd.testing.assert_frame_equal(some, every.iloc[order.numpy()].reset_index(drop=True), rtol=0, atol=1e-9)


def test_another_seed_draws_other_noise(made):
    images = made.drawn(20)
    first, other = (ga.trust_radius(made.network(images), images, seed=seed, **made.options) for seed in (0, 1))
    assert (first.table["explained"] != other.table["explained"]).any()
    np.testing.assert_allclose(first.table["explained"], other.table["explained"], atol=0.1)


def test_the_length_counts_the_coordinates(made):
    images = made.drawn(30, channels=3)
    result = ga.trust_radius(made.network(images), images, **made.options)
    np.testing.assert_allclose(result.table["length"], result.table["sigma"] * np.sqrt(3 * 64))
    np.testing.assert_allclose(result.length, np.array(result.radius) * np.sqrt(3 * 64))
    found = result.per_image()
    np.testing.assert_allclose(found["length"], found["radius"] * np.sqrt(3 * 64))
    assert (result.table["images"] == 30).all()


def test_a_bent_network_is_trusted_close_by_and_not_beyond(made):
    images = made.drawn(60)
    result = ga.trust_radius(made.network(images), images, **made.options)
    assert result.verdict.label == "local"
    value, low, high = result.radius
    assert 0.003 < low < value < high < 0.3
    table = result.table
    assert (np.diff(table["explained"]) < 0).all()
    inside, outside = table[table["sigma"] <= low], table[table["sigma"] >= high]
    assert (inside["explained_low"] >= 0.5).all()
    assert (outside["explained_high"] <= 0.5).all()
    assert f"within {value:.2g} of it" in result.verdict.sentence
    assert f"L2 about {value * 8:.2g}" in result.verdict.sentence
    single = result.per_image()
    assert single["radius"].between(0, 0.3).all()
    assert single["radius"].nunique() > 30
    for sigma, share in zip(table["sigma"], table["trusted"], strict=True):
        assert share == (single[f"explained_{sigma:g}"] >= 0.5).mean()


def test_a_gradient_that_predicts_nothing_is_trusted_nowhere(made):
    """A ripple far finer than the noise: the gradient is large, and of the wrong sign half of the time."""
    images = made.drawn(40, classes=2)
    classifier = made.against_zero(lambda flat: 3 + torch.sin(4000 * flat).sum(1))
    result = ga.trust_radius(classifier, images, **made.options)
    assert result.verdict.label == "nowhere"
    assert result.radius == (0, 0, 0)
    assert "not half" in result.verdict.sentence
    assert (result.per_image()["radius"] == 0).all()


def test_where_half_lies_within_the_interval_it_is_inconclusive(made):
    """Two kinds of images, linear around the one and a ripple around the other."""
    images = made.drawn(12, classes=2)
    pixels = images.images.clone()
    pixels[:, 0, 0, 0] = (torch.arange(12) % 2 * 255).to(torch.uint8)
    images = ga.ImageSet(pixels, images.labels, images.classes)

    def margin(flat):
        return torch.where(flat[:, 0] > 0.5, flat[:, 1], torch.sin(4000 * flat[:, 1]))

    result = ga.trust_radius(made.against_zero(margin), images, sigma=(0.01, 0.02), **made.options)
    assert result.table["explained_low"][0] < 0.5 < result.table["explained_high"][0]
    assert result.verdict.label == "inconclusive"
    assert "not settled" in result.verdict.sentence
    assert any("12 images are few" in caveat for caveat in result.verdict.caveats)
    assert any("kinks" in caveat for caveat in result.verdict.caveats)


def test_an_end_that_may_lie_beyond_all_that_was_tried_is_inconclusive(made):
    images = made.drawn(60)
    whole = ga.trust_radius(made.network(images), images, **made.options)
    middle = whole.radius[0]
    result = ga.trust_radius(made.network(images), images, sigma=(0.01, middle), **made.options)
    assert result.table["explained_low"][1] < 0.5 < result.table["explained_high"][1]
    assert result.verdict.label == "inconclusive"
    assert f"perhaps to {middle:g}" in result.verdict.sentence


def test_one_image_has_no_interval(made):
    images = made.drawn(1)
    result = ga.trust_radius(made.network(images), images, **made.options)
    assert np.isnan(result.radius[1:]).all()
    assert result.radius[0] == pytest.approx(result.per_image()["radius"][0])
    assert result.verdict.label == "inconclusive"
    assert any("1 images are few" in caveat for caveat in result.verdict.caveats)
    result.plot()


def test_classes_beyond_those_followed_are_missed_and_said(made):
    images = made.drawn(60, classes=10)
    classifier = made.linear(images)
    every, few = (ga.trust_radius(classifier, images, sigma=(0.5,), classes=most, **made.options) for most in (9, 1))
    assert few.table["p_taylor"][0] > every.table["p_taylor"][0] + 0.05
    assert any("beyond the 1 rivals" in caveat for caveat in few.verdict.caveats)
    assert not any("beyond" in caveat for caveat in every.verdict.caveats)
    too_high = few.table["p_taylor"][0] - every.table["p_taylor"][0]
    assert too_high < few.left_out["taylor"][0]
    assert few.table["p_mc"][0] == every.table["p_mc"][0]


@pytest.mark.parametrize(("curvature", "missed"), [(0.0, False), (0.6, True)])
def test_decisions_that_the_gradient_misses_within_the_radius_are_said(made, curvature, missed):
    """A margin that bends so that its mean under the noise falls: the change is explained, but not on which side it ends."""
    images = made.drawn(60, classes=2)
    images = ga.ImageSet(120 + images.images % 16, images.labels, images.classes)  # all near grey
    slope = torch.ones(64, dtype=torch.float64) / 8

    def margin(flat):
        return 0.06 + (flat - 0.5) @ slope - curvature / 6.4 * (flat - 0.5).square().sum(1)

    result = ga.trust_radius(made.against_zero(margin), images, sigma=(0.02, 0.1), **made.options)
    assert result.table["explained_low"][1] > 0.5
    assert (result.agreement[0] < 0.1) == missed
    assert (result.table["error_taylor"][1] > 0.15) == missed
    assert any("probabilities are off" in caveat for caveat in result.verdict.caveats) == missed


def test_a_share_is_what_is_predicted_of_the_change():
    change = torch.tensor([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0], [1e-9, 0.0], [0.0, 0.0], [1.0, 1.0]], dtype=torch.float64)
    said = torch.tensor([[1.0, -1.0], [0.5, -0.5], [-1.0, 1.0], [0.0, 1e-9], [1.0, 0.0], [1.0, -1.0]], dtype=torch.float64)
    found = explained(change, said, torch.full((6,), 1e-6, dtype=torch.float64))
    assert found.tolist() == [1.0, 0.75, 0.0, 1.0, 0.0, 0.0]


def test_a_randomised_classifier_explains_less_and_is_named(made):
    images = made.drawn(40)

    class Moody(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = made.network(images)

        def forward(self, given):
            return self.inner(given) + 0.05 * torch.randn(len(given), 3)

    torch.manual_seed(0)
    result = ga.trust_radius(Moody(), images, sigma=(0.003, 0.01), **made.options)
    assert result.table["explained"][0] < 0.5
    assert any("randomised" in caveat for caveat in result.verdict.caveats)


def test_it_is_saved_and_comes_back(made, tmp_path):
    images = made.drawn(30)
    result = ga.trust_radius(made.network(images), images, **made.options)
    again = ga.load_result(result.save(tmp_path))
    assert again.to_json() == result.to_json()
    assert again.radius == result.radius
    pd.testing.assert_frame_equal(again.per_image(), result.per_image())
    assert (tmp_path / "trust_radius.svg").read_bytes()
    assert len(pd.read_csv(tmp_path / "trust_radius.csv")) == 5


def test_the_classifier_is_left_as_it_was(made):
    images = made.drawn(10)
    classifier = made.network(images).train()
    before = {name: weight.clone() for name, weight in classifier.state_dict().items()}
    ga.trust_radius(classifier, images, sigma=(0.1,), copies=8, **made.options)
    assert classifier.training
    assert all(weight.requires_grad and weight.grad is None for weight in classifier.parameters())
    assert all(torch.equal(before[name], weight) for name, weight in classifier.state_dict().items())


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"sigma": (0.0, 0.1)}, "sigma"),
        ({"sigma": (0.2, 0.1)}, "sigma"),
        ({"sigma": ()}, "sigma"),
        ({"copies": 7}, "copies"),
        ({"pairs": 0}, "pairs"),
        ({"classes": 0}, "classes"),
        ({"batch_size": 0}, "batch_size"),
        ({"device": "nowhere"}, "device"),
        ({"seed": -1}, "seed"),
    ],
)
def test_bad_options_are_named(made, options, named):
    images = made.drawn(4)
    with pytest.raises(ga.InputError, match=rf"^`{named}` "):
        ga.trust_radius(made.network(images), images, **{**made.options, **options})


def test_bad_images_and_classifiers_are_named(made):
    images = made.drawn(4)
    with pytest.raises(ga.InputError, match=r"^`images` "):
        ga.trust_radius(made.network(images), images.floats(), **made.options)
    with pytest.raises(ga.InputError, match=r"^`classifier` "):
        ga.trust_radius(torch.nn.Flatten(1, 2), images, **made.options)
    only_inside = made.Logits(lambda flat: torch.where((flat < 0).any(1), float("nan"), 1.0)[:, None] * flat[:, :3])
    with pytest.raises(ga.InputError, match="finite logits at noisy images"):
        ga.trust_radius(only_inside, images, **made.options)
