"""The page that begins with answers: cards with pictures, then a line an instrument with the numbers behind them."""

from __future__ import annotations

import re
from itertools import pairwise

import pytest
import torch
from markupsafe import Markup

from gradaudit.answering import Answer, Reading, Scale
from gradaudit.errors import InputError
from gradaudit.markup.pictures import Change, Pictures, data_uri, image_pixels, score_pixels
from gradaudit.markup.section import Finding, Section
from gradaudit.report import exhibits as shown
from gradaudit.report.answered import lines
from gradaudit.report.exhibits import SIDE, exhibits
from gradaudit.results import Verdict

SCALE = Scale(0.0, 1.0, ((0.0, 0.0), (0.5, 0.5), (1.0, 1.0)))
NAN = float("nan")


def reading(instrument="diffroar", measure="DiffROAR", value=0.25, subject="logit_gradient", weighs=True, **more):
    given = {"low": 0.1, "high": 0.4, "good": 0.2, "words": f"48 of the 60 planted maps near {value} were bad"}
    return Reading(instrument, measure, subject, value, **(given | more), weighs=weighs)


def answers(**more):
    return {
        "standard": Answer("do not trust", "its map tells no more than chance", "", (reading(),)),
        "robust": Answer("not settled", "too few images", "200 more <test> images", (reading(value=0.75),)),
        **more,
    }


@pytest.fixture(autouse=True)
def _scales(monkeypatch):
    """Only DiffROAR has been calibrated."""
    monkeypatch.setattr("gradaudit.report.answered.scale", lambda measure: SCALE if measure == "DiffROAR" else None)


@pytest.fixture(name="page")
def page_fixture(make_result, make_pictures, page_of):
    results = {"standard": make_result("standard"), "robust": make_result("robust")}
    return page_of(results, pictures=make_pictures(), answers=answers(), skipped={"leakage": "no mask"})


def words(html):
    return " ".join(re.sub(r"<[^>]+>", " ", html).split())


def test_a_card_says_the_answer_in_words_icon_and_colour(page):
    cards = re.findall(r'<article class="answer (\w+)".*?</article>', page, re.DOTALL)
    assert cards == ["bad", "open"]
    text = words(page)
    assert "standard ✕ Do not trust Its map tells no more than chance. standard: the same" in text
    assert "robust ? Not settled Too few images. What would settle it : 200 more &lt;test&gt; images. robust: the same" in text


def test_answers_come_before_the_numbers_and_those_before_all_tables(page):
    places = [page.index(one) for one in ('id="answers"', 'id="findings"', "48 of the 60", 'id="classifiers"', 'id="diffroar"')]
    assert places == sorted(places)
    assert page.index('href="#answers"') < page.index('href="#findings"') < page.index('href="#classifiers"')


def test_headings_go_down_one_step_at_a_time(page):
    levels = [int(level) for level in re.findall(r"<h(\d)[ >]", page)]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in pairwise(levels))


def test_every_classifier_has_the_same_images_with_its_own_maps(page, make_pictures):
    pictures = make_pictures()
    cards = re.findall(r'<table class="pictures exhibits">.*?</table>', page, re.DOTALL)
    images = [data_uri(image_pixels(one)) for one in pictures.images]
    for card, scores in zip(cards, pictures.scores.values(), strict=True):
        maps = [data_uri(score_pixels(one)) for one in scores]
        assert re.findall(r'src="([^"]+)"', card) == [one for pair in zip(images, maps, strict=True) for one in pair]
        assert all(re.findall(r'alt="([^"]*)"', card))
    assert "Changed" not in words(cards[0])


def test_a_number_stands_with_interval_scale_and_words(page):
    text = words(page)
    assert "DiffROAR logit_gradient standard 0.250 [0.100, 0.400] 48 of the 60 planted maps near 0.25 were bad." in text
    labels = re.findall(r'class="bar"[^>]*aria-label="([^"]*)"', page)
    share = "20% of the maps of known quality with such numbers were good"
    assert labels == [
        f"{name}: DiffROAR {value} [0.100, 0.400], on a scale from 0 to 1; {share}"
        for name, value in (("standard", "0.250"), ("robust", "0.750"))
    ]


def test_verdict_and_caveats_stand_under_their_instrument_alone(page, make_result):
    line = page.split('<div class="measured-line">')[1]
    text = words(line)
    for place, kind in enumerate(("standard", "robust"), start=1):
        verdict = make_result(kind).verdict
        caveats = words(line.split(f'id="caveats-diffroar-{place}"')[1].split("</ul>")[0])
        for one in verdict.caveats:
            assert one[1:] in caveats.replace("&#39;", "'")
            assert words(page).count(one[1:]) == 1
        assert verdict.sentence[1:] in text
    assert "<details>" in line
    assert 'id="caveats"' not in page
    assert '<ul class="findings">' not in page.split('<div class="measured-line">')[0]


def test_figures_stand_in_their_sections_and_what_was_left_out_after_the_numbers(page):
    section = page.split('<section id="diffroar"')[1].split("</section>")[0]
    assert section.count('id="figure-diffroar"') == 1
    assert page.count('class="overview"') == 1
    assert page.index("48 of the 60") < page.index("<strong>Not run</strong>: No mask.") < page.index('id="classifiers"')


def test_answers_must_be_those_of_the_classifiers(make_result, page_of):
    results = {"standard": make_result(), "other": make_result()}
    with pytest.raises(InputError, match=r"`answers`.*standard, other"):
        page_of(results, answers=answers())


def test_names_and_words_are_escaped(make_result, page_of):
    nasty = "<script>alert(1)</script>"
    readings = (reading(measure=nasty, subject=nasty, words=nasty),)
    page = page_of({nasty: make_result()}, answers={nasty: Answer("not settled", nasty, nasty, readings)})
    assert "<script>alert" not in page


def section(kind, *classifiers):
    verdict = Verdict("holds", "it does")
    return Section(kind, kind, "Does it?", tuple(Finding(name, "all", verdict) for name in classifiers), Markup(""), Markup(""))


def test_instruments_on_which_an_answer_rests_come_first_in_the_order_of_their_weight():
    sections = {kind: section(kind, "a", "b") for kind in ("one", "two", "three", "four")}
    sections["together"] = section("together")
    given = {
        "a": Answer("trust", "so", "", (reading("four"), reading("one", weighs=False))),
        "b": Answer("trust", "so", "", (reading("two"),)),
    }
    found = lines(sections, given)
    assert [(line.section.anchor, line.weighs) for line in found] == [
        ("four", True),
        ("two", True),
        ("one", False),
        ("three", False),
    ]
    silent = {line.section.anchor: [finding.classifier for finding in line.silent] for line in found}
    assert silent == {"four": ["b"], "two": ["a"], "one": ["b"], "three": ["a", "b"]}


def test_a_measure_of_each_attribution_has_its_rows_and_one_without_a_scale_its_words():
    given = {
        name: Answer("trust", "so", "", (reading(subject=name), reading(subject="both"), reading(measure="other", good=NAN)))
        for name in ("a", "b")
    }
    (line,) = lines({"diffroar": section("diffroar", "a", "b")}, given)
    assert [(group.measure, group.subject, [row.classifier for row in group.rows]) for group in line.groups] == [
        ("DiffROAR", "a", ["a"]),
        ("DiffROAR", "both", ["a", "b"]),
        ("other", "logit_gradient", ["a", "b"]),
        ("DiffROAR", "b", ["b"]),
    ]
    assert [group.ends for group in line.groups] == [("0", "1"), ("0", "1"), None, ("0", "1")]
    assert [bool(row.drawing) for group in line.groups for row in group.rows] == [True, True, True, False, False, True]
    names = re.findall(r'linearGradient id="([^"]+)"', "".join(row.drawing for group in line.groups for row in group.rows))
    assert len(names) == len(set(names)) == 4


def test_a_number_that_is_none_has_words():
    (line,) = lines({"diffroar": section("diffroar", "a")}, {"a": Answer("not settled", "so", "", (reading(value=NAN),))})
    row = line.groups[0].rows[0]
    assert (row.text, row.drawing) == ("not measured", "")


@pytest.fixture(name="changed")
def changed_fixture(monkeypatch):
    """As if each result were a list of changes."""

    class Instrument:
        def changes(self, result):
            return result.changes

    class Changed:
        kind = "counterfactual"

        def __init__(self, *changes):
            self.changes = changes

    monkeypatch.setattr(shown, "instrument", lambda kind: Instrument())
    return Changed


def grey(value, side=4):
    return torch.full((1, side, side), value, dtype=torch.uint8)


def test_changes_stand_beside_the_image_that_was_changed(changed):
    pictures = Pictures(torch.stack([grey(value) for value in (10, 20, 30)]) / 255, ["a", "b", "c"], {"m": torch.ones(3, 1, 4, 4)})
    made = changed(
        Change(grey(20), grey(200), "b", "c", True),
        Change(grey(30), grey(210), "c", "a", False),
        Change(grey(99), grey(1), "a", "b", True),
    )
    found = exhibits({"m": [made], "n": [changed(Change(grey(20), None, "b", "c", False))]}, pictures, 10**6)
    assert [one.words for one in found["m"]] == ["", "becomes c", "not yet a"]
    assert [one.changed and one.changed.source for one in found["m"]] == [
        None,
        *(data_uri(image_pixels(grey(value) / 255)) for value in (200, 210)),
    ]
    assert [one.label for one in found["n"]] == ["a", "b", "c"]
    assert [one.words for one in found["n"]] == ["", "no way to c", ""]
    assert [one.map for one in found["n"]] == [None] * 3


def test_of_several_targets_classifiers_show_the_same_where_they_can(changed):
    first = changed(Change(grey(20), grey(1), "b", "c", True), Change(grey(20), grey(2), "b", "d", True))
    second = changed(Change(grey(20), grey(3), "b", "a", True), Change(grey(20), grey(4), "b", "c", True))
    third = changed(Change(grey(20), grey(5), "b", "a", True))
    found = exhibits({"m": [first], "n": [second], "o": [third]}, None, 10**6)
    assert [found[name][0].words for name in "mno"] == ["becomes c", "becomes c", "becomes a"]


def test_without_pictures_the_first_that_were_changed_are_shown_and_without_either_none(changed):
    made = changed(*(Change(grey(value), grey(255 - value), "a", "b", True) for value in (1, 2, 3, 4)))
    found = exhibits({"n": [changed()], "m": [made]}, None, 10**6)
    assert [(one.label, one.words, one.map) for one in found["m"]] == [("a", "becomes b", None)] * 3
    assert [one.words for one in found["n"]] == [""] * 3
    assert exhibits({"n": [changed()]}, None, 10**6) == {"n": ()}


def test_large_images_are_made_small_and_pictures_keep_to_the_budget(changed):
    noise = torch.rand(3, 3, 2 * SIDE, SIDE, generator=torch.Generator().manual_seed(0))
    pictures = Pictures(noise, ["a", "b", "c"], {"m": noise - 0.5})
    whole = exhibits({"m": [changed()]}, pictures, 10**7)["m"]
    assert [one.size for one in whole] == [(SIDE, SIDE // 2)] * 3
    row = sum(len(one.source) for one in whole[0].pictures)
    assert len(exhibits({"m": [changed()]}, pictures, int(2.5 * row))["m"]) == 2
    assert len(exhibits({"m": [changed()]}, pictures, 1)["m"]) == 1
