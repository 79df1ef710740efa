"""The trust radius on the page: verdicts, the figure, every row of its tables, and names that are no HTML."""

import re

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.markup.tables import number
from gradaudit.report import write_page

NASTY = "<two>"


def network(seed):
    torch.manual_seed(seed)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 3))


@pytest.fixture(name="results", scope="module")
def results_fixture():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (30, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images = ga.ImageSet(pixels, torch.arange(30) % 3, ("a", "b<c>", "c"))
    options = {"copies": 8, "pairs": 1, "device": "cpu"}
    return {
        "one": ga.trust_radius(network(0), images, sigma=(0.02, 0.5), **options),
        NASTY: ga.trust_radius(network(1), images[:1], sigma=(0.1,), **options),
    }


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    written = write_page(path, title="How far?", results=results, pictures=None, facts={}, command="c", seconds=1.0)
    return written.read_text(encoding="utf-8")


def test_verdicts_and_every_measurement_are_there(page, results):
    for result in results.values():
        assert result.verdict.label.capitalize() in page
        assert f"{result.radius[0]:.3g}" in page
        for row in result.table.to_dict("records"):
            for column in ("explained", "trusted", "p_mc", "p_taylor", "p_mmse", "p_moments", "p_softmax", "error_taylor"):
                assert f">{number(row[column]).text}" in page
    for words in (
        "Its L2 length",
        "Probabilities agree up to sigma",
        "Monte Carlo",
        "What it does not say",
        "8 times at each sigma",
    ):
        assert words in re.sub(r"\s+", " ", page)


def test_names_are_text(page):
    assert "<two>" not in page
    assert "&lt;two&gt;" in page


def test_the_figure_says_its_numbers(page, results):
    figure = page[page.index('aria-label="Share of the margin') :].partition('"')[2].partition('"')[0]
    share = results["one"].table["explained"][0]
    assert f"one: {100 * round(share, 3):.4g}% at 0.02" in figure
    assert page.count('id="trust-radius-reading"') == 1


def test_a_local_verdict_is_neither_good_nor_bad_and_the_legend_says_so(page, results, tmp_path):
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (40, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images = ga.ImageSet(pixels, torch.arange(40) % 3, ("a", "b", "c"))
    bent = network(0)
    with torch.no_grad():
        bent[1].weight *= 30
    local = ga.trust_radius(bent, images, sigma=(0.001, 1.0), copies=8, pairs=1, device="cpu")
    assert local.verdict.label == "local"
    path = write_page(tmp_path / "i.html", title="t", results={"one": local}, pictures=None, facts={}, command="c", seconds=None)
    text = path.read_text(encoding="utf-8")
    assert '<span class="badge neither"><span aria-hidden="true">\N{BULLET}</span> Local</span>' in text
    assert "settled, and neither" in text
    assert "local" not in {result.verdict.label for result in results.values()}
    assert "settled, and neither" not in page
