"""Robustness on the page."""

import re

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.report import write_page


@pytest.fixture(name="results", scope="module")
def results_fixture(tmp_path_factory):
    store = tmp_path_factory.mktemp("store")
    generator = torch.Generator().manual_seed(0)
    images = ga.ImageSet(
        torch.randint(0, 255, (30, 1, 6, 6), generator=generator, dtype=torch.uint8), torch.arange(30) % 3, ("a", "b", "c")
    )
    torch.manual_seed(0)
    linear = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    torch.manual_seed(1)
    other = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    attacks = ["pgd", "pgd(steps=2)", "smoothing(n=30)", "gaussian(samples=4)"]
    options = {"eps": (0.0, 0.05), "device": "cpu", "store": store}
    return {"one": ga.robustness(linear, images, attack=attacks, **options), "<two>": ga.robustness(other, images, **options)}


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, title="Robust?", results=results, pictures=None, facts={}, command="gradaudit robustness", seconds=1.0)
    return path.read_text(encoding="utf-8")


def test_verdicts_caveats_and_every_row_of_the_tables_are_there(page, results):
    for name, result in results.items():
        assert result.verdict.label.capitalize() in page
        for caveat in result.verdict.caveats:
            assert caveat[1:].split("%")[0] in page
        for row in result.table.to_dict("records"):
            shown = [row["attack"], row["norm"], f"{row['eps']:.4f}", f"{row['accuracy']:.3f}", f"{row['low']:.3f}"]
            cells = r"</td><td[^>]*>".join(re.escape(word) for word in shown)
            assert re.search(cells, page), (name, shown)
    assert "<two>" not in page


def test_every_curve_is_drawn_and_told_in_words(page, results):
    label = re.search(r'aria-label="(Share of images[^"]*)"', page).group(1)
    for name, result in results.items():
        for attack in result.rows:
            assert f"{name.replace('<', '&lt;').replace('>', '&gt;')}, {attack}: " in label
    assert page.count('class="figure"') == 2


def test_the_reading_follows_what_was_measured(page, results, tmp_path):
    assert all(
        words in page for words in ("A certificate bounds it", "The average case", "withstand every attack", "share the axis")
    )
    alone = write_page(
        tmp_path / "p.html", title="t", results={"x": results["<two>"]}, pictures=None, facts={}, command="c", seconds=None
    ).read_text(encoding="utf-8")
    assert not any(
        words in alone for words in ("A certificate bounds it", "The average case", "withstand every attack", "share the axis")
    )
