"""Fidelity's controls that are made of the audited attribution: an untrained network's, and the map under a blur."""

import pytest
import torch
from torch import nn

import gradaudit as ga

CPU = {"patches": 0, "fill": "zero", "device": "cpu"}
OF_AUDITED = ("untrained", "blurred")


def test_they_are_of_the_first_audited_attribution_unless_they_say_otherwise(made):
    images = made.drawn()
    classifier = made.network(images)
    default = ga.fidelity(classifier, images, **CPU)
    assert default.controls == ("random", "blurred_random", "edges", "untrained", "blurred")
    named = ["smoothgrad(samples=2)", "loss_gradient"]
    found = ga.fidelity(classifier, images, named, controls=(*OF_AUDITED, "blurred(sigma=2)"), **CPU)
    assert found.controls == ("untrained(of='smoothgrad(samples=2)')", "blurred(of='smoothgrad(samples=2)')", "blurred(sigma=2)")
    spelled = ga.fidelity(classifier, images, named, controls=found.controls, **CPU)
    assert spelled.table.equals(found.table)


class Fixed(nn.Module):
    """A layer that nobody can initialise anew."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.randn(3, 64))

    def forward(self, images):
        return images.flatten(1) @ self.weight.T


def test_what_cannot_be_made_is_left_out_with_its_reason(made):
    images = made.drawn()
    fixed = ga.fidelity(Fixed(), images, controls=("random", *OF_AUDITED), **CPU)
    assert fixed.controls == ("random", "blurred")
    assert fixed.table["attribution"].unique().tolist() == ["logit_gradient", "random", "blurred"]
    assert "`weight` would stay" in fixed.settings["left_out"]["untrained"]
    scores = torch.rand(len(images), *images.shape)
    given = ga.fidelity(made.network(images), images, {"own": scores}, controls=("edges", *OF_AUDITED), **CPU)
    assert given.controls == ("edges",)
    assert [*given.settings["left_out"]] == [*OF_AUDITED]
    assert not any("untrained" in caveat or "blur" in caveat for caveat in given.verdict.caveats)
    beside = ga.fidelity(made.network(images), images, ["logit_gradient", "blurred"], controls=("edges", *OF_AUDITED), **CPU)
    assert beside.controls == ("edges", "untrained")
    assert [*beside.settings["left_out"]] == ["blurred"]
    with pytest.raises(ga.InputError, match="controls"):
        ga.fidelity(made.network(images), images, controls=("untrained(of=no_such)",), **CPU)


def ramp(classifier, images, targets):
    """Ranks pixels by their column, whatever the classifier; a blur does not change that."""
    return torch.linspace(2, 1, images.shape[3]).expand_as(images).contiguous()


class FirstColumns(nn.Module):
    """Reads the first two columns, with weights that can be drawn anew."""

    def __init__(self):
        super().__init__()
        self.last = nn.Linear(16, 2)
        self.last.weight.data = 20 * torch.tensor([[-1.0], [1.0]]).expand(2, 16).clone()
        self.last.bias.data = torch.tensor([160.0, -160.0])

    def forward(self, images):
        return self.last(images[..., :2].flatten(1))


def bright_or_dark(made):
    images = made.drawn(60, classes=2)
    pixels = torch.where(images.labels[:, None, None, None] == 1, 200, 20) + images.images // 8
    return ga.ImageSet(pixels.to(torch.uint8), images.labels, images.classes)


def test_the_verdict_says_what_the_map_does_not_beat(made):
    result = ga.fidelity(FirstColumns(), bright_or_dark(made), ramp, levels=0.3, controls=OF_AUDITED, **CPU)
    assert result.verdict.label == "used"
    said = result.verdict.caveats
    assert any(one.startswith("it is not surely above the same of the network before any training (untrained(") for one in said)
    assert any(one.startswith("the map under a blur (blurred(") and "nothing that blur would take away" in one for one in said)
    assert any("the lead over it is +0.000" in one for one in said)


def test_the_verdict_is_silent_on_what_the_map_beats(made):
    """Fine stripes are read: a blur, or weights drawn anew, lose them."""
    images = made.drawn(200, classes=2)
    pixels = images.images // 4
    pixels[..., ::4, ::4] = torch.where(images.labels == 1, 255, 0).view(-1, 1, 1, 1).to(torch.uint8)
    images = ga.ImageSet(pixels, images.labels, images.classes)
    linear = nn.Linear(64, 2)
    weights = torch.full((8, 8), 0.01)
    weights[::4, ::4] = 1.0
    linear.weight.data = torch.stack([-weights, weights]).flatten(1)
    linear.bias.data = torch.tensor([0.5, -0.5])
    classifier = nn.Sequential(nn.Flatten(), linear)
    result = ga.fidelity(classifier, images, levels=0.05, controls=("untrained",), **CPU)
    assert result.verdict.label == "used"
    assert not any("before any training" in one for one in result.verdict.caveats)


def test_an_untrained_network_is_named_whatever_the_label(made):
    images = made.drawn(60)
    result = ga.fidelity(made.network(images), images, controls=OF_AUDITED, **CPU)
    assert result.verdict.label != "used"
    assert any("before any training" in one for one in result.verdict.caveats)
    assert not any("blur" in one for one in result.verdict.caveats)
