"""Cells and tables: what is read, what sorts, and words where nothing was measured."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.markup.rendering import sentence
from gradaudit.markup.tables import Cell, compared, number, percent, span

MINUS = "\N{MINUS SIGN}"


@given(st.floats(-1, 1))
def test_a_number_reads_back_within_its_digits_and_sorts_exactly(value: float) -> None:
    cell = number(value, digits=3, signed=True)
    assert float(cell.text.replace(MINUS, "-")) == pytest.approx(value, abs=0.0005 + 1e-12)
    assert float(cell.order) == value


@pytest.mark.parametrize(
    ("value", "text"), [(0.8141, "+0.814"), (-0.0194, f"{MINUS}0.019"), (-0.0004, "0.000"), (0.0, "0.000"), (-1, f"{MINUS}1.000")]
)
def test_signs(value: float, text: str) -> None:
    assert number(value, signed=True).text == text


def test_nan_becomes_words_and_has_no_order() -> None:
    assert number(math.nan, missing="not run") == Cell("not run", "", "missing")
    assert span(math.nan, 0.1, missing="one seed") == Cell("one seed", "", "missing")


def test_an_interval_shows_both_ends_and_sorts_by_the_lower() -> None:
    cell = span(-0.0123, 0.4, missing="")
    assert (cell.text, float(cell.order)) == (f"[{MINUS}0.012, +0.400]", -0.0123)


@pytest.mark.parametrize(("share", "text"), [(0.05, "5%"), (0.005, "0.5%"), (0.29, "29%"), (1 / 3, "33.33%")])
def test_percent(share: float, text: str) -> None:
    assert percent(share) == text


def test_compared_joins_what_is_shared_and_flattens_what_is_nested() -> None:
    table = compared(
        "c",
        "Setting",
        {
            "a": {"fill": "zero", "train_images": 20000, "learner": {"network": "mlp"}, "seeds": [0, 1], "only": True},
            "b": {"fill": "mean", "train_images": 20000, "learner": {"network": "mlp"}, "seeds": []},
        },
    )
    assert table.columns == ("Setting", "a", "b")
    assert {row[0].text: [cell.text for cell in row[1:]] for row in table.rows} == {
        "fill": ["zero", "mean"],
        "train images": ["20,000"],
        "learner: network": ["mlp"],
        "seeds": ["0, 1", "none"],
        "only": ["true", "not given"],
    }
    assert all(sum(cell.span for cell in row) == 3 for row in table.rows)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("one seed; use 2", "One seed; use 2."),
        ("(DiffROAR -0.019 [-0.03, -0.01])", f"(DiffROAR {MINUS}0.019 [{MINUS}0.03, {MINUS}0.01])."),
        ("resnet-20 holds.", "Resnet-20 holds."),
    ],
)
def test_sentence(text: str, expected: str) -> None:
    assert sentence(text) == expected
