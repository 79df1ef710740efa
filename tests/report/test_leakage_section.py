"""Leakage on the page, alone and beside other instruments; the signal outlined in the pictures."""

import re
from html.parser import HTMLParser

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

import gradaudit as ga
from gradaudit.instruments.leakage import leakage
from gradaudit.markup.pictures import outline
from gradaudit.report import Pictures, gallery, write_page

NASTY = "<two>"


@pytest.fixture(name="images", scope="module")
def images_fixture():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (30, 1, 8, 4), generator=generator, dtype=torch.uint8)
    mask = torch.zeros(30, 8, 4, dtype=torch.bool)
    mask[::2, :4], mask[1::2, 4:] = True, True
    return ga.ImageSet(pixels, torch.arange(30) % 3, ("a", "b", "c"), mask)


@pytest.fixture(name="classifiers", scope="module")
def classifiers_fixture():
    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(32, 16), nn.Tanh(), nn.Linear(16, 3))

    return {"one": network(0), NASTY: network(1)}


@pytest.fixture(name="results", scope="module")
def results_fixture(classifiers, images):
    options = {"attribution": ["logit_gradient", "loss_gradient"], "controls": ("random", "edges"), "device": "cpu"}
    return {name: leakage(classifier, images, **options) for name, classifier in classifiers.items()}


def page_of(path, results, pictures=None):
    written = write_page(path, title="Leaks?", results=results, pictures=pictures, facts={}, command="c", seconds=1.0)
    return written.read_text(encoding="utf-8")


@pytest.fixture(name="page", scope="module")
def page_fixture(results, classifiers, images, tmp_path_factory):
    pictures = gallery(classifiers, images, controls=("edges",), count=4)
    return page_of(tmp_path_factory.mktemp("page") / "index.html", results, pictures)


def test_verdicts_caveats_and_every_row_of_the_table_are_there(page, results):
    for result in results.values():
        assert result.verdict.label.capitalize() in page
        assert all(caveat[1:].split("%")[0] in page for caveat in result.verdict.caveats)
        for row in result.table.to_dict("records"):
            numbers = (f"{row[column]:.3f}".replace("-", "\N{MINUS SIGN}") for column in ("value", "low", "high", "chance"))
            cells = r"</td><td[^>]*>".join(re.escape(number) for number in numbers)
            assert re.search(cells, page), row
    assert NASTY not in page
    for words in ("Top 10% outside", "Pointing game", "AUROC", "loss_gradient", "edges (control)"):
        assert words in page


def test_every_mark_is_drawn_and_told_in_words_and_shared_controls_once(page):
    label = re.search(r'aria-label="(Share of the top-ranked[^"]*)"', page).group(1)
    assert label.count("logit_gradient") == label.count("loss_gradient") == 2
    assert label.count("every classifier, edges (control): ") == label.count("every classifier, random (control): ") == 1
    assert label.endswith("chance: 50%")
    assert page.count('class="figure"') == 2


def test_controls_that_differ_are_told_apart(results, classifiers, images, tmp_path):
    fewer = leakage(classifiers["one"], images[:20], controls=("edges",), device="cpu")
    label = re.search(r'aria-label="(Share of the top-ranked[^"]*)"', page_of(tmp_path / "p.html", results | {"c": fewer})).group(1)
    assert "one, edges (control): " in label
    assert "c, edges (control): " in label
    assert "every classifier, random (control): " in label


def test_the_signal_is_outlined_in_every_picture(page, images):
    assert page.count("<img ") == page.count('class="outline"') == 4 * 4
    assert "green outline" in page
    for mask in (images.signal_mask[0], images.signal_mask[1]):
        assert f'd="{outline(mask.numpy())}"' in page


def test_without_a_mask_nothing_is_outlined(results, classifiers, images, tmp_path):
    plain = ga.ImageSet(images.images, images.labels, images.classes)
    page = page_of(tmp_path / "p.html", results, gallery(classifiers, plain, count=2))
    assert page.count("<img ") == 2 * 3
    assert 'class="outline"' not in page
    assert "green outline" not in page


def test_several_instruments_on_one_page(results, classifiers, images, tmp_path):
    robust = ga.robustness(classifiers["one"], images, eps=(0.1,), attack="pgd(steps=2)", device="cpu", store=tmp_path / "store")
    both = {"one": [robust, results["one"]], NASTY: results[NASTY]}
    page = page_of(tmp_path / "p.html", both, gallery(classifiers, images, count=1))
    for words in ('id="robustness"', 'id="leakage"', "Settings that decided the numbers of Leakage", "numbers of Robustness"):
        assert words in page
    assert page.count('<span class="subject">logit_gradient</span>') == 2  # whichever instrument comes first

    class Ids(HTMLParser):
        found: list

        def handle_starttag(self, tag, attrs):
            self.found += [value for name, value in attrs if name == "id"]

    parser = Ids()
    parser.found = []
    parser.feed(page)
    assert len(parser.found) == len(set(parser.found))


@pytest.mark.parametrize("given", [[], "leaks", ["leaks"]])
def test_what_is_no_result_is_named(given, tmp_path):
    with pytest.raises(ga.InputError, match=r"^`results\['a'\]`"):
        page_of(tmp_path / "p.html", {"a": given})


def test_two_results_of_one_instrument_are_refused(results, tmp_path):
    with pytest.raises(ga.InputError, match=r"^`results\['a'\]`.*different instruments"):
        page_of(tmp_path / "p.html", {"a": [results["one"], results["one"]]})


@pytest.mark.parametrize("mask", [torch.ones(2, 4, 5), torch.ones(2, 4, 5, dtype=torch.bool), torch.ones(4, 4, dtype=torch.bool)])
def test_a_mask_that_does_not_fit_the_pictures_is_refused(mask):
    images = torch.rand(2, 1, 4, 4)
    with pytest.raises(ga.InputError, match=r"^`signal_mask`"):
        Pictures(images, ["1", "2"], {"a": images}, {}, mask)


@settings(deadline=None, max_examples=60)
@given(st.integers(1, 6), st.integers(1, 6), st.integers(0, 2**16))
def test_an_outline_parts_inside_from_outside_and_nothing_else(height, width, seed):
    mask = np.random.default_rng(seed).random((height, width)) < 0.5
    drawn = set()
    for x, y, way, end in re.findall(r"M(\d+) (\d+)([HV])(\d+)", outline(mask)):
        column, row, stop = int(x), int(y), int(end)
        if way == "H":
            drawn |= {(row, place, "across") for place in range(column, stop)}
        else:
            drawn |= {(place, column, "down") for place in range(row, stop)}

    def inside(row, column):
        return 0 <= row < height and 0 <= column < width and bool(mask[row, column])

    for row in range(height + 1):
        for column in range(width + 1):
            assert ((row, column, "across") in drawn) == (inside(row - 1, column) != inside(row, column))
            assert ((row, column, "down") in drawn) == (inside(row, column - 1) != inside(row, column))
