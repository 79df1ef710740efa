"""The two controls that are made of another attribution: untrained, and blurred."""

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.attributions import named_controls, resolve_attribution, what_lacks
from gradaudit.attributions.blurred import blurred
from gradaudit.attributions.edges import edges
from gradaudit.attributions.integrated_gradients import integrated_gradients
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.attributions.smoothgrad import smoothgrad
from gradaudit.attributions.untrained import untrained
from gradaudit.classifiers import untrained_copy
from gradaudit.errors import InputError
from gradaudit.report import gallery

IMAGES = torch.rand(4, 2, 9, 8, generator=torch.Generator().manual_seed(0))
TARGETS = torch.tensor([0, 1, 2, 1])


def network(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(168, 3))


def linear(seed=0):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(144, 3))


def test_untrained_is_the_attribution_of_the_untrained_copy():
    for of, function in (("logit_gradient", logit_gradient), ("integrated-gradients(steps=3)", None)):
        scores = untrained(network(), IMAGES, TARGETS, of=of, seed=4)
        fresh = untrained_copy(network(), 4)
        expected = integrated_gradients(fresh, IMAGES, TARGETS, steps=3) if function is None else function(fresh, IMAGES, TARGETS)
        torch.testing.assert_close(scores, expected)


def test_an_untrained_linear_classifiers_gradient_is_noise():
    # Trained or not, image or not: the label's row of the weights that were drawn, and nothing else.
    scores = untrained(linear(0), IMAGES, TARGETS, seed=7)
    trained = linear(1)
    with torch.no_grad():
        trained[1].weight.add_(10 * torch.rand(3, 144))
    assert torch.equal(untrained(trained, 1 - IMAGES, TARGETS, seed=7), scores)
    assert torch.equal(scores[1], scores[3])
    maps = torch.stack([untrained(trained, IMAGES[:1], TARGETS[:1], seed=seed).flatten() for seed in range(40)])
    own = logit_gradient(trained, IMAGES[:1], TARGETS[:1]).flatten()
    correlations = [float(torch.corrcoef(torch.stack([one, own]))[0, 1]) for one in maps]
    assert abs(np.mean(correlations)) < 4 / np.sqrt(40 * 144)


def test_an_untrained_control_lies_at_chance_where_the_classifier_does_not():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (200, 1, 12, 12), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(200, 12, 12, dtype=torch.bool)
    mask[:, :6] = True
    images = ga.ImageSet(pixels, torch.arange(200) % 3, ("a", "b", "c"), mask)
    torch.manual_seed(0)
    looking = nn.Sequential(nn.Flatten(), nn.Linear(144, 3))
    looking[1].weight.data.view(3, 12, 12)[:, 6:] = 0
    result = ga.leakage(looking, images, controls=("random", "untrained"), top=(0.1,), device="cpu")
    values = result.rows("null_top_0.1")["value"]
    assert values["logit_gradient"] == 0
    assert abs(values["untrained"] - 0.5) < 4 * np.sqrt(0.25 / (3 * 14))  # three maps of 14 top features
    assert result.controls == ("random", "untrained")


def test_no_blur_leaves_the_magnitudes():
    scores = blurred(network(), IMAGES, TARGETS, sigma=0)
    assert torch.equal(scores, logit_gradient(network(), IMAGES, TARGETS).abs())


def test_a_blur_by_hand():
    sigma, reach = 0.8, 3  # four standard deviations, rounded
    magnitudes = logit_gradient(network(), IMAGES, TARGETS).abs().double().numpy()
    weights = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    weights /= weights.sum()
    padded = np.pad(magnitudes, ((0, 0), (0, 0), (reach, reach), (reach, reach)), mode="symmetric")
    expected = np.zeros_like(magnitudes)
    for down in range(2 * reach + 1):
        for right in range(2 * reach + 1):
            expected += weights[down] * weights[right] * padded[:, :, down : down + 9, right : right + 8]
    scores = blurred(network(), IMAGES, TARGETS, of="logit_gradient", sigma=sigma)
    np.testing.assert_allclose(scores, expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(scores.sum((2, 3)), magnitudes.sum((2, 3)), rtol=1e-4)


def test_seeds_reach_the_attribution_that_draws():
    spec = "smoothgrad(samples=3)"
    scores = blurred(network(), IMAGES, TARGETS, of=spec, sigma=0, seed=2)
    assert torch.equal(scores, smoothgrad(network(), IMAGES, TARGETS, samples=3, seed=2).abs())
    fresh = untrained_copy(network(), 2)
    assert torch.equal(
        untrained(network(), IMAGES, TARGETS, of=spec, seed=2), smoothgrad(fresh, IMAGES, TARGETS, samples=3, seed=2)
    )


def test_a_function_of_the_users_can_be_blurred():
    def pixels(classifier, images, targets):
        return images.sum(1).numpy()

    scores = blurred(network(), IMAGES, TARGETS, of=pixels, sigma=0)
    torch.testing.assert_close(scores, IMAGES.sum(1, keepdim=True).expand_as(IMAGES))


def test_a_control_can_be_blurred_and_needs_no_classifier():
    found = resolve_attribution("blurred(of=edges, sigma=0)")
    assert (found.needs_classifier, found.knows_images) == (False, True)
    assert torch.equal(found.function(None, IMAGES, None), edges(None, IMAGES, None))
    assert not resolve_attribution("blurred(of=random)").knows_images


def test_what_they_know_and_their_names():
    trained, fresh = resolve_attribution("blurred(of=smoothgrad, sigma=2)"), resolve_attribution("untrained", seed=3)
    assert (trained.name, fresh.name) == ("blurred(of=smoothgrad, sigma=2)", "untrained")
    assert resolve_attribution("untrained(of='smoothgrad(samples=4)')").name == "untrained(of='smoothgrad(samples=4)')"
    assert all(one.needs_classifier and one.knows_images and one.control for one in (trained, fresh))


def test_fingerprints_follow_all_that_decides_the_scores():
    same = ["blurred", "blurred(of=logit_gradient, sigma=1.0)", "blurred(of=logit-gradient)"]
    assert len({resolve_attribution(spec).fingerprint for spec in same}) == 1
    different = ["blurred", "blurred(sigma=2)", "blurred(of=smoothgrad)", "blurred(of='smoothgrad(samples=4)')", "untrained"]
    prints = [resolve_attribution(spec).fingerprint for spec in different]
    prints += [resolve_attribution("untrained", seed=1).fingerprint, resolve_attribution("untrained(seed=2)").fingerprint]
    assert len(set(prints)) == len(prints)


def test_what_a_users_function_carries_counts():
    def times(factor):
        def mine(classifier, images, targets):
            return factor * images

        return mine

    prints = [resolve_attribution({"name": "blurred", "of": times(factor)}).fingerprint for factor in (1, 2, 2)]
    assert prints[0] != prints[1] == prints[2]


@pytest.mark.parametrize("function", [untrained, blurred])
@pytest.mark.parametrize("of", ["nothing", "smoothgrad(sampels=3)", torch.ones(4, 2, 9, 8)])
def test_what_is_no_attribution_is_named(function, of):
    with pytest.raises(InputError, match="`of`"):
        function(network(), IMAGES, TARGETS, of=of)


def test_what_is_no_attribution_is_named_before_any_work():
    with pytest.raises(InputError, match=r"`of` .*did you mean 'smoothgrad'"):
        resolve_attribution("blurred(of=smoothgard)")


def test_untrained_of_what_knows_no_classifier_is_refused():
    with pytest.raises(InputError, match=r"`of` .*looks at the classifier"):
        untrained(network(), IMAGES, TARGETS, of="edges")


@pytest.mark.parametrize("sigma", [-1.0, float("inf"), float("nan")])
def test_a_bad_blur_is_named(sigma):
    with pytest.raises(InputError, match="`sigma`"):
        blurred(network(), IMAGES, TARGETS, sigma=sigma)


def test_both_are_controls_and_other_attributions_are_not():
    named = named_controls(("untrained(of=smoothgrad)", "blurred(sigma=2)", "edges"), 0)
    assert list(named) == ["untrained(of=smoothgrad)", "blurred(sigma=2)", "edges"]
    with pytest.raises(InputError, match="the name of a control"):
        named_controls(("smoothgrad",), 0)


def test_what_a_control_lacks_in_words():
    told = {name: what_lacks(name) for name in ("edges", "blurred-random", "untrained(of=smoothgrad)", "blurred(sigma=2)", "a:b")}
    assert list(told.values()) == ["knows no classifier", "knows no classifier", "was never trained", None, "knows no classifier"]


def test_the_gallery_shows_them_for_each_classifier():
    images = ga.ImageSet(torch.randint(0, 256, (6, 1, 9, 8), dtype=torch.uint8), torch.arange(6) % 3, ("a", "b", "c"))
    one, other = (nn.Sequential(nn.Flatten(), nn.Linear(72, 3)) for _ in range(2))
    shown = gallery({"one": one}, images, controls=("edges", "untrained", "blurred(sigma=0)"), count=3)
    assert list(shown.controls) == ["edges", "untrained", "blurred(sigma=0)"]
    assert torch.equal(shown.controls["blurred(sigma=0)"], shown.scores["one"].abs())
    both = gallery({"one": one, "other": other}, images, controls=("edges", "blurred(sigma=0)"), count=3)
    assert list(both.controls) == ["edges", "blurred(sigma=0), one", "blurred(sigma=0), other"]
