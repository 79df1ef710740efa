"""Flips by region on the page: verdicts, the figure, every row of both tables, how to read them, and names that are no HTML."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.markup.tables import number
from gradaudit.report import write_page

NASTY = "<two>"


@pytest.fixture(name="results", scope="module")
def results_fixture():
    pixels = torch.randint(0, 256, (12, 1, 6, 6), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images = ga.ImageSet(pixels, torch.arange(12) % 3, ("a", "b<c>", "c"))

    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(36, 16), nn.Tanh(), nn.Linear(16, 3))

    options = {"method": "apgd(steps=3)", "controls": ("random",), "device": "cpu", "store": "memory://section"}
    return {
        "one": ga.region_flips(network(0), images, {"two": network(1)}, levels=(0.2, 0.5), **options),
        NASTY: ga.region_flips(network(1), images, {"one": network(0)}, attribution="loss_gradient", **options),
    }


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    written = write_page(path, title="Where?", results=results, pictures=None, facts={}, command="c", seconds=1.0)
    return written.read_text(encoding="utf-8")


def test_verdicts_and_every_measurement_are_there(page, results):
    for result in results.values():
        assert result.verdict.label.capitalize() in page
        for row in result.table.to_dict("records"):
            assert number(row["top"]).text in page
            assert number(row["difference"], signed=True).text in page
        assert all(number(value).text in page for value in result.whole["value"])
    for words in (
        "Flips alone flatter gradients",
        "apgd(steps=3); two asked to confirm",
        "What it does not say",
        "not tried on maps",
    ):
        assert words in page


def test_names_are_text(page):
    assert NASTY not in page
    assert "&lt;two&gt;" in page


def test_the_figure_says_its_numbers(page, results):
    figure = page[page.index('aria-label="confirmed flips') :].partition('"')[2].partition('"')[0]
    assert "against the share of pixels that may change" in figure
    for name in ("one, logit_gradient", "one, random (control)", "&lt;two&gt;, loss_gradient"):
        assert name in figure
    assert page.count('id="region-flips-reading"') == 1
