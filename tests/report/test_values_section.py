"""DiffROAR of values on the page, alone, beside results of retraining, and beside those that older versions saved."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from html import unescape
from pathlib import Path

import numpy as np
import pytest

from gradaudit.instruments.counterfactual_differences.result import (
    DIFFERENCES,
    CounterfactualDifferencesResult,
    of_differences,
)
from gradaudit.instruments.counterfactual_differences.section import differences_section
from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.section import diffroar_section
from gradaudit.markup.section import Section
from gradaudit.results import Result

MakeResult = Callable[..., DiffROARResult]
WritePage = Callable[..., str]

PARTS = ("mean", "low", "low_all", "detectable")
BOUNDS = ("swap_top", "swap_bottom", "as_read_top", "as_read_bottom")
MADE = {"method": "svce(steps=8)", "targets": "second", "left_their_class": 0.99}


def orders(text: str) -> Counter[str]:
    """What sorts the cells of a page's tables."""
    return Counter(re.findall(r'data-order="([^"]*)"', text))


def heads(text: str, caption: str) -> list[str]:
    """The headings of the table with this caption."""
    return re.findall(r"<th scope=\"col\"[^>]*>([^<]*)</th>", text.partition(f"<caption>{caption}")[2].partition("</thead>")[0])


def minus(text: str) -> str:
    return text.replace("-", "\N{MINUS SIGN}")


@pytest.mark.parametrize(
    ("kind", "label", "badge"),
    [
        ("standard", "more than edges", '<span class="badge good"><span aria-hidden="true">✓</span> More than edges</span>'),
        ("robust", "no more than edges", '<span class="badge bad"><span aria-hidden="true">✕</span> No more than edges</span>'),
        ("violating", "upside down", '<span class="badge bad"><span aria-hidden="true">✕</span> Upside down</span>'),
    ],
)
def test_the_verdict_is_the_one_finding_and_has_its_badge(
    make_values: MakeResult, page_of: WritePage, kind: str, label: str, badge: str
) -> None:
    result = make_values(kind)
    section = diffroar_section({"a": result})
    assert [(finding.subject, finding.verdict) for finding in section.findings] == [("logit_gradient", result.verdict)]
    assert result.verdict.label == label
    assert badge in section.body
    assert page_of({"a": result}).count(badge) == 2  # among the verdicts, and at its figure


def test_a_single_evaluator_settles_nothing_and_has_words_for_it(make_values: MakeResult, page_of: WritePage) -> None:
    page = page_of({"a": make_values(seeds=1)})
    for words in ("? Not settled", "one seed", "A curve from a single seed has no interval."):
        assert words in " ".join(re.sub(r"<[^>]+>", " ", page).split())
    assert not re.search(r"\bnan\b", re.sub(r'src="data:[^"]*"', "", page), re.IGNORECASE)


def test_every_number_of_the_values_is_in_the_tables(make_values: MakeResult) -> None:
    result = make_values(selection=True)
    body = str(diffroar_section({"a": result}).body)
    found, text = orders(body), body.replace("\N{MINUS SIGN}", "-")
    sides = [f"{kind}_{side}" for kind in ("values", "selection") for side in ("top", "bottom")]
    for column in ("values", *sides, *BOUNDS, "top", "bottom", "bits_top", "bits_both_bottom", "both_top"):
        for value in result.table[column]:
            assert found[repr(float(value))] > 0
            assert f"{abs(value):.4f}" in text
    for column in (*(f"values_{part}" for part in PARTS), *(f"{column}_mean" for column in (*sides, *BOUNDS)), "top", "bottom"):
        for value in result.summary[column]:
            assert found[repr(float(value))] > 0
            assert f"{abs(value):.3f}" in text


def test_what_stands_in_a_column_is_what_its_heading_says(make_values: MakeResult) -> None:
    result = make_values(selection=True)
    body = str(diffroar_section({"a": result}).body)
    caption = "DiffROAR of values by ranking and level, in bits: means over seeds and intervals"
    named = heads(body, caption)
    first = body.partition(f"<caption>{caption}")[2].partition("<tbody>")[2].partition("</tr>")[0]
    cells = dict(zip(named, re.findall(r"<t[hd][^>]*>([^<]*)</t[hd]>", first), strict=True))
    row = result.summary.iloc[0]
    expected = {
        "Values, bits": "values",
        "Top, bits": "values_top",
        "Bottom, bits": "values_bottom",
        "Selection, top": "selection_top",
        "Selection, bottom": "selection_bottom",
        "Read from the choice, top": "swap_top",
        "Read from the choice, bottom": "swap_bottom",
        "As read, top": "as_read_top",
        "As read, bottom": "as_read_bottom",
    }
    assert {head: cells[head] for head in expected} == {
        head: minus(f"{row[f'{column}_mean']:+.3f}") for head, column in expected.items()
    }
    assert (cells["Accuracy, top"], cells["Accuracy, bottom"]) == (f"{row['top']:.3f}", f"{row['bottom']:.3f}")
    assert (cells["Ranking"], cells["Features kept"], cells["Seeds"]) == ("logit_gradient", "2%", "3")


def test_what_bounds_the_error_is_explained(make_values: MakeResult) -> None:
    body = unescape(str(diffroar_section({"a": make_values()}).body))
    for words in (
        "<em>Read from the choice</em>: another image is shown under an image's mask",
        "<em>As read</em>: the values to a reader who does not",
        "random pixels, smooth random fields, logit_gradient of other images",
        "convnet(width=32, batch_norm=true)",
        "the training images' mean",
    ):
        assert words in body


@pytest.mark.parametrize("selection", [True, False])
def test_selection_is_there_where_it_was_measured(make_values: MakeResult, selection: bool) -> None:
    body = str(diffroar_section({"a": make_values(selection=selection)}).body)
    assert ("<strong>Selection.</strong>" in body) == selection
    assert ("Selection, top" in heads(body, "DiffROAR of values by ranking")) == selection
    assert ("Selection top" in heads(body, "Every measurement")) == selection
    assert "not run" not in body
    beside = str(diffroar_section({"a": make_values(selection=selection), "b": make_values("robust")}).body)
    assert ("not run" in beside) == selection


def test_the_gap_has_a_table_with_its_numbers(make_values: MakeResult) -> None:
    result = make_values()
    body = str(diffroar_section({"a": result}).body)
    table = body.partition("<caption>The evaluator against networks of one kind of mask")[2].partition("</table>")[0]
    assert len(result.details["gap"]) == 2
    for gap in result.details["gap"]:
        ends = f"[{gap['low']:+.3f}, {gap['high']:+.3f}]"
        for words in (f"{100 * gap['level']:.4g}%", f"{gap['alone']:.3f}", minus(f"{gap['mean']:+.3f}"), minus(ends)):
            assert f">{words}</t" in table
    assert "<em>The gap</em>" in body


def test_without_a_gap_the_page_does_not_speak_of_it(make_values: MakeResult) -> None:
    body = str(diffroar_section({"a": make_values(gap=False)}).body)
    assert "The evaluator against" not in body
    assert "The gap" not in body
    some = str(diffroar_section({"a": make_values(gap=False), "b": make_values("robust")}).body)
    table = some.partition("<caption>The evaluator against networks of one kind of mask")[2].partition("</table>")[0]
    assert (table.count('<th scope="row">b</th>'), table.count('<th scope="row">a</th>')) == (2, 0)


def test_figures_are_of_bits_and_have_words(make_values: MakeResult) -> None:
    result = make_values()
    section = diffroar_section({"a": result})
    assert section.overview.count('class="wide"') == 1
    ylabel = "values of top \N{MINUS SIGN} values of bottom, bits"
    assert f"{ylabel}, against the share of features kept. a, logit_gradient:" in section.overview
    assert "DiffROAR of values, every classifier and control." in section.overview
    row = result.summary.iloc[0]
    label = f"2%: top {row['values_top_mean']:.3f}, bottom {row['values_bottom_mean']:.3f}"
    assert label in section.body
    whole = result.details["nothing"] - np.mean(result.details["whole_bits"])
    assert f"whole images, {whole:.3f}" in section.body


def test_a_result_of_values_is_plotted_in_bits(make_values: MakeResult) -> None:
    difference, sides = make_values().plot().axes
    assert (difference.get_title(), difference.get_ylabel()) == ("DiffROAR of values", "values, top - bottom, bits")
    assert (sides.get_title(), sides.get_ylabel()) == ("logit_gradient", "bits of values")


def test_a_saved_result_of_values_gives_the_same_page(make_values: MakeResult, page_of: WritePage, tmp_path: Path) -> None:
    for result in (make_values(selection=True), make_values(seeds=1, gap=False)):
        loaded = DiffROARResult.load(result.save(tmp_path / "saved"))
        assert page_of({"a": loaded}) == page_of({"a": result})


@pytest.mark.parametrize("order", [("read", "retrained"), ("retrained", "read")])
def test_values_and_retraining_on_one_page(
    make_result: MakeResult, make_values: MakeResult, page_of: WritePage, order: tuple[str, str]
) -> None:
    made = {"read": make_values(), "retrained": make_result("robust", conditional=True)}
    results = {name: made[name] for name in order}
    section = diffroar_section(results)
    subjects = [(finding.classifier, finding.subject, finding.verdict.label) for finding in section.findings]
    assert sorted(subjects) == [
        ("read", "logit_gradient", "more than edges"),
        ("retrained", "logit_gradient", "holds"),
        ("retrained", "logit_gradient, given the mask", made["retrained"].conditional_verdicts["logit_gradient"].label),
    ]
    assert section.overview.count('class="wide"') == 3
    curves = re.findall(r'aria-label="(\S+) [^"]*\. (read|retrained), logit_gradient:', str(section.overview))
    assert sorted(set(curves)) == [("DiffROAR", "retrained"), ("values", "read")]
    page = page_of(results)
    ids = re.findall(r'\sid="([^"]+)"', page)
    assert sorted({one for one in ids if ids.count(one) > 1}) == []
    found = orders(page)
    for result, columns in ((made["read"], ("values", "swap_top")), (made["retrained"], ("diffroar", "both_top"))):
        assert all(found[repr(float(value))] > 0 for column in columns for value in result.table[column])
    assert not re.search(r"\bnan\b", re.sub(r'src="data:[^"]*"', "", page), re.IGNORECASE)


def test_each_protocol_says_what_it_does_and_no_more(make_result: MakeResult, make_values: MakeResult) -> None:
    read, retrained = (str(diffroar_section({"a": result}).body) for result in (make_values(), make_result(conditional=True)))
    assert "Why not retrain" in read
    assert "trained from scratch" not in read
    assert "trained from scratch" in retrained
    assert "evaluator" not in retrained


@pytest.mark.parametrize("conditional", [True, False])
def test_a_result_of_an_older_version_loads_is_plotted_and_on_the_page(
    make_result: MakeResult,
    make_values: MakeResult,
    as_older: Callable[[DiffROARResult], DiffROARResult],
    page_of: WritePage,
    tmp_path: Path,
    conditional: bool,
) -> None:
    result = make_result(conditional=conditional)
    older = as_older(result)
    assert not {"values", "values_top", "swap_top", "as_read_bottom", "selection_top"} & set(older.table)
    assert "evaluate" not in older.settings
    loaded = Result.load(older.save(tmp_path / "older"))
    assert isinstance(loaded, DiffROARResult)
    assert not loaded.of_values
    assert loaded.verdicts == result.verdicts
    assert [axes.get_title() for axes in loaded.plot().axes] == (
        ["DiffROAR", "given the mask", "logit_gradient"] if conditional else ["DiffROAR", "logit_gradient"]
    )
    assert page_of({"a": loaded}) == page_of({"a": result})
    page = page_of({"a": loaded, "b": make_values()})
    found = orders(page)
    assert all(found[repr(float(value))] > 0 for value in loaded.table["top"])
    assert "Holds" in page


def differences_of(result: DiffROARResult) -> CounterfactualDifferencesResult:
    return of_differences(result, MADE)


def both_of(make: MakeResult, **options: object) -> CounterfactualDifferencesResult:
    return differences_of(make(attributions=(DIFFERENCES, "logit_gradient"), **options))


def words_of(section: Section) -> str:
    return " ".join(str(section.body).split())


def test_values_of_counterfactual_differences_need_no_training_images(make_values: MakeResult) -> None:
    result = both_of(make_values)
    section = differences_section({"a": result})
    assert [(finding.subject, finding.verdict.label) for finding in section.findings] == [(DIFFERENCES, "more than edges")]
    assert "svce(steps=8), 10,000 test images; 99% of the test images" in words_of(section)
    assert "training and" not in section.body
    assert "so it reads the values of the pixels and not the choice" in words_of(section)
    assert result.verdict.caveats == make_values(attributions=(DIFFERENCES, "logit_gradient")).verdict.caveats
    found = orders(str(section.body))
    assert all(found[repr(float(value))] > 0 for column in ("values_mean", "swap_top_mean") for value in result.summary[column])
    assert f"a, {DIFFERENCES}:" in section.overview
    assert "a, logit_gradient:" in section.overview


def test_differences_of_both_protocols_each_have_their_table(make_result: MakeResult, make_values: MakeResult) -> None:
    results = {"read": both_of(make_values), "retrained": both_of(make_result, conditional=True)}
    section = differences_section(results)
    assert section.body.count("<caption>") == 2
    assert "10,000 test images" in words_of(section)
    assert "20,000 training and 10,000 test images" in words_of(section)
    assert [finding.classifier for finding in section.findings] == ["read", "retrained", "retrained"]
