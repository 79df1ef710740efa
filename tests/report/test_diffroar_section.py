"""DiffROAR and conditional DiffROAR side by side on the page, and results that were saved before there was the latter."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.section import diffroar_section
from gradaudit.results import Result

MakeResult = Callable[..., DiffROARResult]


def test_both_verdicts_are_findings(make_result: MakeResult) -> None:
    result = make_result(conditional=True)
    found = diffroar_section({"a": result}).findings
    assert [finding.subject for finding in found] == ["logit_gradient", "logit_gradient, given the mask"]
    assert [finding.verdict for finding in found] == [result.verdict, result.conditional_verdicts["logit_gradient"]]


def test_both_measures_are_drawn_and_explained(make_result: MakeResult) -> None:
    section = diffroar_section({"a": make_result(conditional=True)})
    assert section.overview.count('class="wide"') == 2
    assert "DiffROAR given the mask, bits, against the share of features kept" in section.overview
    for words in ("The bits behind the difference given the mask", "Given the mask.", "top-ranked features and their mask"):
        assert words in section.body


def test_every_number_in_bits_is_in_the_tables(make_result: MakeResult) -> None:
    result = make_result(conditional=True)
    body = str(diffroar_section({"a": result}).body)
    for column in ("both_top", "bits_mask_top", "bits_both_bottom", "diffroar_bits", "diffroar_conditional"):
        assert all(f'data-order="{float(value)!r}"' in body for value in result.table[column])
    for column in ("conditional_mean", "conditional_low", "conditional_low_all", "conditional_detectable", "bits_mean"):
        assert all(f'data-order="{float(value)!r}"' in body for value in result.summary[column])


def test_a_result_of_before_the_conditional_measure_still_shows(make_result: MakeResult, tmp_path: Path) -> None:
    older = make_result()
    assert "bits_top" not in older.table
    loaded = Result.load(older.save(tmp_path))
    assert isinstance(loaded, DiffROARResult)
    assert loaded.conditional_verdicts == {}
    assert [axes.get_title() for axes in loaded.plot().axes] == ["DiffROAR", "logit_gradient"]
    section = diffroar_section({"a": loaded})
    assert [finding.subject for finding in section.findings] == ["logit_gradient"]
    assert section.overview.count('class="wide"') == 1
    assert "given the mask</strong>" not in section.body
    assert "not run" in section.body


@pytest.mark.parametrize("order", [("old", "new"), ("new", "old")])
def test_old_and_new_side_by_side(make_result: MakeResult, order: tuple[str, str]) -> None:
    results = {name: make_result("robust", conditional=name == "new") for name in order}
    section = diffroar_section(results)
    assert [finding.subject for finding in section.findings].count("logit_gradient, given the mask") == 1
    assert "new, logit_gradient" in section.overview.partition("DiffROAR given the mask, bits")[2]
