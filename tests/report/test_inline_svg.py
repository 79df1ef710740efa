"""Figures in the page: ids of their own, text as text, colours from the style sheet, nothing loaded."""

from __future__ import annotations

import re

import matplotlib as mpl
import pytest
from markupsafe import Markup, escape
from matplotlib.figure import Figure

from gradaudit.markup.inline_svg import figure_style, inline_svg
from gradaudit.markup.strokes import MARKS, Stroke, control_stroke, series_stroke


def drawn(name: str, label: str = "a line") -> Markup:
    with figure_style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.errorbar([1, 2], [0.1, -0.2], yerr=[0.1, 0.1], **series_stroke(0, 0).options())
        axes.set(xlabel="features kept, %")
        return inline_svg(figure, name, label)


def test_ids_of_two_figures_never_meet_and_every_reference_resolves() -> None:
    found = [drawn("one"), drawn("two")]
    ids = [identity for text in found for identity in re.findall(r'\bid="([^"]+)"', text)]
    assert len(ids) == len(set(ids)) > 20
    references = {target for text in found for target in re.findall(r'(?:href="#|url\(#)([^")]+)', text)}
    assert references
    assert references <= set(ids)


def test_text_stays_text_in_the_page_s_font() -> None:
    text = drawn("one")
    assert "features kept, %</text>" in text
    assert "DejaVu" not in text
    assert "var(--sans)" in text


def test_colours_come_from_the_style_sheet() -> None:
    text = drawn("one")
    assert {"var(--s1)", "var(--soft)", "var(--line)"} <= set(re.findall(r"var\(--\w+\)", text))
    assert not re.findall(r"(?:stroke|fill): #", text)


def test_nothing_points_outside_and_the_label_is_escaped() -> None:
    text = drawn("one", '"><script>')
    assert "http" not in text
    assert "<script>" not in text


def test_the_same_figure_gives_the_same_bytes_whatever_the_user_s_style() -> None:
    before = drawn("one")
    with mpl.rc_context({"font.size": 30, "axes.facecolor": "red", "svg.fonttype": "path", "lines.linewidth": 9}):
        settings = dict(mpl.rcParams)
        assert drawn("one") == before
        assert dict(mpl.rcParams) == settings


@pytest.mark.parametrize("count", [6, 12])
def test_strokes_differ_by_more_than_colour(count: int) -> None:
    looks = {(stroke.mark, stroke.dashes, stroke.hollow) for stroke in (series_stroke(0, turn) for turn in range(4))}
    assert len(looks) == 4
    assert len({series_stroke(place, 0) for place in range(count)}) == count
    assert all(control_stroke(place).dashes for place in range(count))


def test_a_swatch_shows_colour_dashes_and_mark() -> None:
    swatch = Stroke("top", (4, 2), "v", hollow=True).swatch()
    assert "var(--top)" in swatch
    assert 'stroke-dasharray="4 2"' in swatch
    assert MARKS["v"] in swatch


@pytest.mark.parametrize("name", ["猫", "ねこ", "고양이", "قطة", "🐱", "$100 $a_b$", "<b>"])
def test_a_name_in_any_script_is_text_for_the_browser_without_a_warning(name: str) -> None:
    with figure_style():
        figure = Figure(figsize=(3, 2))
        axes = figure.subplots()
        axes.set_title(name)
        axes.set_yticks([0, 1], labels=[name, "dog"])
        text = inline_svg(figure, "one", "names")
    assert text.count(f">{escape(name)}</text>") == 2
