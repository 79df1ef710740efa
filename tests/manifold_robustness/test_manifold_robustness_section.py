"""Manifold robustness on the page."""

import re

import pytest

from gradaudit.report import write_page


@pytest.fixture(name="results", scope="module")
def results_fixture(linear, measured):
    images, spaces = linear.images(40), linear.bases(40)
    along = spaces[0].sum(dim=0)
    aligned = measured(linear.classifier(along), images, spaces[:1].expand(40, -1, -1), radius=(0.5, 2.0))
    return {"one": measured(linear.classifier(), images, spaces, radius=(0.5, 2.0)), "<two>": aligned}


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(path, title="Off?", results=results, pictures=None, facts={}, command="gradaudit", seconds=1.0)
    return path.read_text(encoding="utf-8")


def test_verdicts_caveats_and_every_row_of_the_tables_are_there(page, results):
    for result in results.values():
        assert result.verdict.label.capitalize() in page
        for caveat in result.verdict.caveats:
            assert caveat[1:].split("(")[0] in page
        for row in result.table.to_dict("records"):
            shown = [row["direction"], f"{row['radius']:.3f}", f"{row['change']:.4f}", f"{row['low']:.4f}", f"{row['high']:.4f}"]
            assert re.search(r"</td><td[^>]*>".join(map(re.escape, shown)), page), shown
        assert f"{result.details['dimensions']} dimensions" in page
    assert f"{results['one'].ratio().value:.3f}" in page
    assert "<two>" not in page


def test_every_curve_is_drawn_and_told_in_words(page):
    label = re.search(r'aria-label="(Change of the softmax[^"]*)"', page).group(1)
    for name in ("one", "&lt;two&gt;"):
        for direction in ("on", "off"):
            assert f"{name}, {direction} the manifold: " in label
    assert page.count('class="figure"') == 2
