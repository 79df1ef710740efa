"""The result: table, intervals, per-image values, pictures, figures, files."""

import json

import numpy as np
import pytest
import torch
from scipy.stats import ttest_1samp

import gradaudit as ga
from gradaudit.instruments.alignment import AlignmentResult, alignment
from gradaudit.results import read_table

OPTIONS = {"sigma": (0.2, 0.5), "gradient": ["logit", "logit_sum"], "score": ["bayes", "conditional"], "device": "cpu"}


@pytest.fixture(name="result")
def result_fixture(mixture, network):
    return alignment(network, mixture.images(), mixture.denoiser(), similarity=["cosine", "absolute_cosine"], **OPTIONS)


def test_a_row_for_everything_measured_and_every_control(result):
    assert list(result.table.columns) == ["gradient", "score", "sigma", "similarity", "value", "low", "high"]
    fixed = ("control: random", "control: edges")
    names = ("logit", "logit_sum", "control: logit of another image", "control: logit_sum of another image", *fixed)
    assert tuple(dict.fromkeys(result.table["gradient"])) == names == (*result.gradients, *result.controls)
    assert len(result.table) == 6 * 2 * 2 * 2
    assert not result.table.duplicated(["gradient", "score", "sigma", "similarity"]).any()


def test_means_and_intervals_are_those_of_the_images_values(result):
    keys = ["gradient", "score", "sigma", "similarity"]
    for key, part in result.per_image().groupby(keys):
        row = result.table.set_index(keys).loc[key]
        test = ttest_1samp(part["value"], 0).confidence_interval(0.95)
        assert (row["value"], row["low"], row["high"]) == pytest.approx((part["value"].mean(), test.low, test.high), abs=1e-12)
        assert part["image"].tolist() == list(range(30))
        assert part["label"].tolist() == ["a", "b", "c"] * 10


def test_absolute_cosines_are_the_magnitudes(result):
    wide = result.per_image().pivot_table("value", ["image", "gradient", "score", "sigma"], "similarity")
    np.testing.assert_allclose(wide["cosine"].abs(), wide["absolute_cosine"], atol=1e-12)


def test_files_give_the_result_back(result, tmp_path):
    folder = result.save(tmp_path)
    found = ga.load_result(folder)
    assert isinstance(found, AlignmentResult)
    assert found.to_json() == result.to_json()
    assert read_table(folder / "alignment.csv")["value"].tolist() == result.table["value"].tolist()
    assert (folder / "alignment.svg").stat().st_size > 1000


def test_settings_tell_what_was_compared(result, mixture):
    images, found = mixture.images(), json.loads(json.dumps(result.settings))
    assert (found["images_fingerprint"], found["images"]) == (images.fingerprint, 30)
    assert found["denoiser"]["kind"] == "exact"
    assert (found["sigma"], found["similarities"]) == ([0.2, 0.5], ["cosine", "absolute_cosine"])


def test_pictures_are_the_maps_themselves(mixture, linear, constant):
    images, module = mixture.images(), linear()
    direction = torch.linspace(-1, 2, 20).reshape(1, 4, 5)
    shown = alignment(module, images, constant(direction), device="cpu").pictures
    assert shown.images.shape == (8, 1, 4, 5)
    assert set(shown.labels) == {"a", "b", "c"}
    slopes = module[1].weight.detach()[["abc".index(label) for label in shown.labels]].reshape(8, 1, 4, 5)
    for found, expected in ((shown.gradients["logit"], slopes), (shown.scores["unconditional"], direction.expand(8, 1, 4, 5))):
        expected = expected / expected.abs().amax(dim=(1, 2, 3), keepdim=True)
        assert torch.allclose(found, expected, atol=0.5 / 127 + 1e-5)
    pixels = images.floats()
    assert all(any(torch.allclose(image, other) for other in pixels) for image in shown.images)


def test_few_pictures_of_large_images(monkeypatch, mixture, network):
    monkeypatch.setattr("gradaudit.instruments.alignment.examples.BUDGET", 5 * 20 * 2)
    assert len(alignment(network, mixture.images(), mixture.denoiser(), device="cpu").pictures.labels) == 5


def test_figures_show_every_curve_and_every_map(result):
    figure = result.plot()
    assert [axes.get_ylabel() for axes in figure.axes] == ["cosine", "absolute_cosine"]
    assert [len(axes.containers) for axes in figure.axes] == [12, 12]
    gallery = result.gallery()
    assert len(gallery.axes) == 8 * (1 + 2 + 2)
    assert gallery.axes[1].get_title() == "logit"
