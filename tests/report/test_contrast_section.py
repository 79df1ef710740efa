"""Contrast on the page: verdicts, the figure, every row of its table, how to read it, and names that are no HTML."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.contrast.result import OTHER
from gradaudit.markup.tables import number
from gradaudit.report import write_page

NASTY = "<two>"


@pytest.fixture(name="results", scope="module")
def results_fixture():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 60, (150, 1, 8, 8), generator=generator, dtype=torch.uint8)
    labels = torch.arange(150) % 3
    pixels[torch.arange(150), 0, 2 * labels] += 180
    images = ga.ImageSet(pixels, labels, ("a", "b<c>", "c"))

    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 3))

    options = {"controls": ("random", "edges"), "device": "cpu"}
    attributions = ["logit_gradient", "loss_gradient"]
    return {
        "one": ga.contrast(network(0), images[40:], images[:40], attributions, neighbours=7, **options),
        NASTY: ga.contrast(network(1), images[40:], images[:40], attributions[:1], neighbours=9, **options),
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
            assert number(row["value"], signed=row["measure"] == "signed").text in page
    for words in ("Contrast of every map", "the 7 or 9 nearest", "What it does not say", "Their\nmajority is right for"):
        assert words in page


def test_names_are_text(page):
    assert NASTY not in page
    assert "&lt;two&gt;" in page
    assert "b<c>" not in page


def test_the_figure_says_its_numbers_and_what_chance_gives(page, results):
    figure = page[page.index('aria-label="Cosine of the magnitudes') :].partition('"')[2].partition('"')[0]
    for name in ("one, logit_gradient", "one, loss_gradient", "one, edges (control)", "random (control)"):
        assert name in figure
    for result in results.values():
        rows = result.rows()["value"]
        assert f"{rows['logit_gradient']:.3f}" in figure
        assert f"{rows[OTHER]:.3f}" in figure.partition("by chance")[2]
    assert page.count('id="contrast-reading"') == 1
