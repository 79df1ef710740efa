"""Contrast in worlds whose Bayes gradient is known: its cosines, its verdict and what that must not say; arguments and files."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.instruments.contrast import ContrastResult
from gradaudit.instruments.contrast.audit import another
from gradaudit.instruments.contrast.instrument import INSTRUMENT
from gradaudit.instruments.contrast.result import OTHER

CPU = {"device": "cpu"}
ALONE = {"controls": (), "neighbours": 10, "device": "cpu"}


@pytest.fixture(scope="module", name="world")
def world_fixture(made):
    """Two places where classes may differ: an image differs at one of them."""
    mixture = made.mixture(2)
    return mixture, mixture.sample(300, 0), mixture.sample(80, 1)


@pytest.fixture(scope="module", name="result")
def result_fixture(made, world):
    mixture, train, test = world
    bayes = mixture.bayes_gradient(test.floats(), test.labels)
    maps = [{"bayes": bayes}, {"noise": made.noise(test)}, {"nothing": torch.zeros_like(bayes)}]
    return ga.contrast(made.network(), train, test, maps, **CPU)


def test_the_cosines_are_those_of_each_map_and_contrast(made, world, result):
    mixture, train, test = world
    found = ga.class_contrasts(test, train, neighbours=30)
    bayes, maps = mixture.bayes_gradient(test.floats(), test.labels).flatten(1).double(), found.maps.flatten(1).double()
    bayes = bayes / bayes.norm(dim=1, keepdim=True)
    measured = result.per_image("bayes")
    np.testing.assert_allclose(measured["signed"], F.cosine_similarity(bayes, maps), atol=1e-6)
    np.testing.assert_allclose(measured["magnitudes"], F.cosine_similarity(bayes.abs(), maps.abs()), atol=1e-6)
    assert measured["target"].tolist() == test.labels.tolist()
    row = result.rows().loc["bayes"]
    assert row["value"] == pytest.approx(measured["magnitudes"].mean(), abs=1e-6)
    assert row["high"] - row["value"] == pytest.approx(1.990 * measured["magnitudes"].std() / np.sqrt(80), rel=1e-3)
    assert result.voted == pytest.approx(float((found.voted == test.labels).double().mean()))


def test_the_bayes_gradient_lies_where_classes_differ(result):
    assert result.verdict.label == "where classes differ"
    signed, magnitudes = result.rows("signed")["value"], result.rows()["value"]
    assert signed["bayes"] > 0.7
    assert magnitudes["bayes"] > magnitudes[OTHER] + 0.1
    assert abs(signed["noise"]) < 0.05


def test_a_linear_world_has_a_high_cosine_and_differs_at_the_same_place_everywhere(made):
    """The Bayes gradient is one map for all images, so that the contrast of another image is as good: the verdict is open."""
    mixture = made.mixture(1)
    train, test = mixture.sample(300, 0), mixture.sample(60, 1)
    result = ga.contrast(made.linear(mixture), train, test, "logit_gradient", controls=("random", "untrained"), **CPU)
    assert result.rows("signed")["value"]["logit_gradient"] > 0.9
    assert result.rows()["value"]["logit_gradient"] == pytest.approx(result.rows()["value"][OTHER], abs=1e-6)
    assert result.rows()["value"]["logit_gradient"] > result.rows()["value"]["random"] + 0.2
    assert result.verdict.label == "inconclusive"


def test_the_gradient_of_the_wrong_class_points_the_other_way(made):
    mixture = made.mixture(1)
    train, test = mixture.sample(300, 0), mixture.sample(20, 1)
    right, wrong = (lambda model, images, targets, sign=sign: sign * mixture.bayes_gradient(images, targets) for sign in (1, -1))
    rows = [ga.contrast(made.linear(mixture), train, test, {"own": one}, **ALONE).rows("signed") for one in (right, wrong)]
    assert rows[0]["value"]["own"] == pytest.approx(-rows[1]["value"]["own"], abs=1e-6)
    assert rows[0]["value"]["own"] > 0.8


def test_what_knows_nothing_is_open(made, world):
    mixture, train, test = world
    bayes = mixture.bayes_gradient(test.floats(), test.labels)
    drawn = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))
    for name, maps in {"noise": made.noise(test), "another's": bayes[drawn], "nothing": torch.zeros_like(bayes)}.items():
        result = ga.contrast(made.network(), train, test, {name: maps}, **CPU)
        assert result.verdict.label != "where classes differ", name


def test_maps_at_the_other_place_lie_elsewhere(made, world):
    mixture, train, test = world
    bayes = mixture.bayes_gradient(test.floats(), test.labels)
    result = ga.contrast(made.network(), train, test, {"own": bayes.roll((4, 4), (2, 3))}, **CPU)
    assert result.verdict.label == "elsewhere"
    assert result.rows()["value"]["own"] < result.rows()["value"][OTHER]


def test_a_map_below_a_control_alone_is_not_called_elsewhere(made, world):
    """One pixel, the same for all images: it knows nothing, and its cosine is below that of any map that is spread."""
    _, train, test = world
    one = torch.zeros(len(test), *test.shape)
    one[:, 0, 0, 7] = 1
    result = ga.contrast(made.network(), train, test, {"own": one}, **CPU)
    assert result.rows()["high"]["own"] < result.rows()["low"]["random"]
    assert result.verdict.label == "inconclusive"


def test_random_maps_must_be_beaten_as_well(made, world):
    """One pixel, where the contrast is largest: better than the same beside another image, far below any map that is spread."""
    _, train, test = world
    found = ga.class_contrasts(test, train).maps.flatten(1).abs()
    maps = torch.zeros_like(found).scatter(1, found.argmax(1, keepdim=True), 1.0).view(-1, *test.shape)
    alone, beside = (ga.contrast(made.network(), train, test, {"own": maps}, controls=one, **CPU) for one in ((), ("random",)))
    assert (alone.verdict.label, beside.verdict.label) == ("where classes differ", "inconclusive")


def test_the_other_image_is_of_the_same_class():
    targets = torch.tensor([0, 1, 0, 2, 1, 0])
    assert another(targets).tolist() == [2, 4, 5, 4, 1, 0]  # of class 2 there is none but one


def test_what_a_map_owes_to_its_class_is_no_lead(made, world):
    """One map for each class, by whatever luck: of another image of the class it says just as much."""
    _, train, test = world
    drawn = torch.randn(2, *test.shape, generator=torch.Generator().manual_seed(0))
    result = ga.contrast(made.network(), train, test, {"own": drawn[test.labels]}, **ALONE)
    assert result.rows()["value"]["own"] == pytest.approx(result.rows()["value"][OTHER], abs=1e-6)
    assert result.verdict.label == "inconclusive"


def test_the_scale_of_a_map_does_not_matter(made, world, result):
    mixture, train, test = world
    bayes = mixture.bayes_gradient(test.floats(), test.labels).double()
    size = 10.0 ** -torch.arange(len(test)).mul(0.4)  # down to a saturated probability's, 1e-32
    tiny = (bayes / bayes.flatten(1).norm(dim=1)[:, None, None, None] * size[:, None, None, None]).float()
    found = ga.contrast(made.network(), train, test, {"bayes": tiny}, controls=(), **CPU)
    pd.testing.assert_frame_equal(found.per_image("bayes"), result.per_image("bayes"), atol=1e-5, rtol=0)


def test_maps_of_zeros_have_a_cosine_of_zero(result):
    for measure in ("magnitudes", "signed"):
        assert result.rows(measure).loc["nothing", ["value", "low", "high"]].tolist() == [0, 0, 0]


def test_the_predicted_class_may_be_asked_for(made, world):
    _, train, test = world
    model = made.network()
    with torch.no_grad():
        predicted = model(test.floats()).argmax(1)
    asked = ga.contrast(model, train, test, target="predicted", **ALONE)
    relabelled = ga.contrast(model, train, ga.ImageSet(test.images, predicted, test.classes), **ALONE)
    assert asked.per_image("logit_gradient")["target"].tolist() == predicted.tolist()
    assert asked.table.equals(relabelled.table)
    assert not asked.table.equals(ga.contrast(model, train, test, **ALONE).table)


def test_batch_size_and_seed(made, world):
    _, train, test = world
    few, many = (ga.contrast(made.network(), train, test, batch_size=size, neighbours=10, **CPU) for size in (7, 80))
    pd.testing.assert_frame_equal(few.table, many.table, atol=1e-6, rtol=0)
    other = ga.contrast(made.network(), train, test, seed=1, neighbours=10, **CPU)
    assert few.rows().loc["random", "value"] != other.rows().loc["random", "value"]
    assert few.rows().loc["edges", "value"] == pytest.approx(other.rows().loc["edges", "value"], abs=1e-6)


def test_a_saved_result_comes_back_whole(result, tmp_path):
    loaded = ga.load_result(result.save(tmp_path))
    assert isinstance(loaded, ContrastResult)
    assert loaded.to_json() == result.to_json()
    assert loaded.per_image("edges").equals(result.per_image("edges"))
    with pytest.raises(ga.InputError, match="`attribution`"):
        loaded.per_image("nobody")


def test_the_figure_has_every_map_and_chance(result):
    (axes,) = result.plot().axes
    names = [label.get_text() for label in axes.get_yticklabels()]
    assert names == ["bayes", "noise", "nothing", *(f"{one} (control)" for one in result.controls)]
    assert axes.lines[0].get_xdata()[0] == pytest.approx(result.rows()["value"][OTHER])


def test_where_neighbours_mean_nothing_there_is_no_verdict_and_no_evidence(made, world):
    _, train, test = world
    order = torch.randperm(len(train), generator=torch.Generator().manual_seed(0))
    blind = ga.ImageSet(train.images, train.labels[order], train.classes)
    result = ga.contrast(made.network(), blind, test, {"own": made.noise(test)}, **CPU)
    assert result.verdict.label == "inconclusive"
    assert any("pixel distances mean nothing here" in caveat for caveat in result.verdict.caveats)
    assert INSTRUMENT.evidence(result) == []


def test_evidence_is_of_every_audited_map_by_as_many_neighbours_as_planted_maps_had(made, world, result):
    found = INSTRUMENT.evidence(result)
    assert [one.subject for one in found] == ["bayes", "noise", "nothing"]
    assert {one.measure for one in found} == {"contrast"}
    assert found[0].score.value == result.rows()["value"]["bayes"]
    assert found[0].images == 80
    _, train, test = world
    fewer = ga.contrast(made.network(), train, test, {"bayes": made.noise(test)}, **ALONE)
    assert INSTRUMENT.evidence(fewer) == []


def test_a_control_that_does_as_well_is_named():
    """Digits: edges lie where classes differ, more than the gradient of a network that was trained on clean images alone."""
    train, test = ga.load_images("mnist5k")
    said = {}
    for name in ("standard", "robust"):
        result = ga.contrast(
            ga.load_classifier(f"zoo:mnist/{name}"), train, test[:300], "loss_gradient", controls=("edges",), **CPU
        )
        assert result.verdict.label == "where classes differ"
        said[name] = [caveat for caveat in result.verdict.caveats if caveat.startswith("the control edges")]
    assert [len(said[name]) for name in ("standard", "robust")] == [1, 0]
    assert "does as well" in said["standard"][0]


def test_few_images_are_said(made, world):
    _, train, test = world
    caveats = [ga.contrast(made.network(), train, part, **ALONE).verdict.caveats for part in (test[:20], test)]
    assert [any("images are few" in caveat for caveat in one) for one in caveats] == [True, False]


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("attribution", "no_such"),
        ("attribution", []),
        ("neighbours", 0),
        ("neighbours", 200),
        ("controls", ("logit_gradient",)),
        ("target", "random"),
        ("batch_size", 0),
        ("seed", -1),
        ("device", "abacus"),
    ],
)
def test_bad_arguments_are_named(made, world, argument, value):
    _, train, test = world
    named = "train" if (argument, value) == ("neighbours", 200) else argument
    with pytest.raises(ga.InputError, match=f"`{named}`"):
        ga.contrast(made.network(), train, test, **{argument: value, **({} if argument == "device" else CPU)})


def test_bad_images_are_named(made, world):
    _, train, test = world
    with pytest.raises(ga.InputError, match="`test`"):
        ga.contrast(made.network(), train, test[:1], **CPU)
    with pytest.raises(ga.InputError, match="`train`"):
        ga.contrast(made.network(), train.floats(), test, **CPU)
