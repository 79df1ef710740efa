"""Results: saved and loaded without loss; what is damaged is one clear error."""

import json
import os
from typing import ClassVar

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from gradaudit.errors import InputError, StoreError
from gradaudit.results import Result, Verdict, versions

FLOATS = [0.1, 1 / 3, 5e-324, 1.7976931348623157e308, -0.0, float("nan"), float("inf"), float("-inf")]


class Temperature(Result):
    kind: ClassVar[str] = "temperature"

    def plot(self):
        figure = Figure(figsize=(2, 2))
        axes = figure.subplots()
        axes.plot([0, 1], [0, 1], label="é")
        axes.fill_between([0, 1], [0, 1], hatch="/")  # a hatch has an id that is random unless salted
        axes.legend()
        return figure


def result(**changes):
    count = len(FLOATS)
    table = pd.DataFrame(
        {
            "name": ["a", "é ∂", 'quote " comma,', "line\nbreak", "", "nan", "None", "1"],
            "seed": np.arange(count) * 2**60 // 3,
            "small": np.arange(count, dtype=np.uint8),
            "value": FLOATS,
            "single": np.array(FLOATS, dtype=np.float64).clip(-3e38, 3e38).astype(np.float32),
            "flag": np.arange(count) % 2 == 0,
        }
    )
    given = {
        "table": table,
        "verdict": Verdict("holds", "It is 21 °C.", ("indoors", "in May")),
        "settings": {"levels": [0.1, 1 / 3], "learner": "mlp", "note": "é", "none": None},
        "details": {"whole": {"0": [0.1 + 0.2]}},
    }
    return Temperature(**(given | changes))


def assert_equal(first, second):
    assert type(first) is type(second)
    pd.testing.assert_frame_equal(first.table, second.table, check_exact=True)
    for name in ("value", "single"):
        assert first.table[name].to_numpy().tobytes() == second.table[name].to_numpy().tobytes()
    assert first.verdict == second.verdict
    assert (first.settings, first.details, first.versions) == (second.settings, second.details, second.versions)


# Lossless


def test_a_saved_result_comes_back_bit_by_bit(tmp_path):
    saved = result()
    folder = saved.save(tmp_path / "new" / "out")
    assert sorted(os.listdir(folder)) == ["results.json", "temperature.csv", "temperature.svg"]
    assert_equal(Result.load(folder), saved)
    assert_equal(Result.load(folder / "results.json"), saved)


def test_a_loaded_result_saves_the_same_bytes(tmp_path):
    first, second = result().save(tmp_path / "a"), Result.load(tmp_path / "a").save(tmp_path / "b")
    result().save(tmp_path / "b")
    for name in os.listdir(first):
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


floats = st.floats(allow_nan=False) | st.just(float("nan"))  # the sign of a NaN says nothing


@given(st.lists(st.tuples(floats, st.integers(-(2**63), 2**63 - 1), st.text()), min_size=1, max_size=20))
def test_any_table_comes_back(rows):
    saved = result(table=pd.DataFrame(rows, columns=["value", "seed", "name"]).assign(single=np.float32(0.1)))
    assert_equal(Result.from_json(json.loads(json.dumps(saved.to_json(), allow_nan=False))), saved)


def test_a_table_without_rows_comes_back():
    saved = result(table=result().table.iloc[:0])
    assert_equal(Result.from_json(json.loads(json.dumps(saved.to_json()))), saved)


def test_the_csv_is_the_table(tmp_path):
    table = result().table
    read = pd.read_csv(result().save(tmp_path) / "temperature.csv", keep_default_na=False)
    assert read["name"].tolist() == table["name"].tolist()
    assert read["seed"].tolist() == table["seed"].tolist()


@pytest.mark.parametrize("text", ["=1+1", "+cmd", "-x", "@SUM(A1)", "\tx", "\rx", '=HYPERLINK("http://a","b")'])
def test_no_text_is_a_formula_in_a_spreadsheet(tmp_path, text):
    table = pd.DataFrame({"name": [text, "cat", None], text: [-1.5, 2.0, float("nan")], "kept": ["-1.5", "+2", "-"]})
    saved = result(table=table)
    read = pd.read_csv(saved.save(tmp_path) / "temperature.csv", dtype=str, keep_default_na=False)
    shown = f"'{text}".replace("\r", "\n")
    assert read.columns.tolist() == ["name", shown, "kept"]
    assert read["name"].tolist() == [shown, "cat", ""]
    assert read[shown].tolist() == ["-1.5", "2.0", ""]
    assert read["kept"].tolist() == ["-1.5", "+2", "'-"], "numbers stay numbers"
    pd.testing.assert_frame_equal(Result.load(tmp_path).table, table)


def test_versions_name_what_computes():
    assert {"python", "gradaudit", "numpy"} <= versions().keys()
    assert versions()["torch"] == torch.__version__
    assert result().versions == versions()
    assert str(Verdict("holds", "It does.")) == "holds: It does."


# Errors


def test_a_number_that_json_lacks_leaves_the_old_files(tmp_path):
    result().save(tmp_path)
    before = {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)}
    with pytest.raises(ValueError, match="JSON"):
        result(table=result().table[:2], settings={"a": float("nan")}).save(tmp_path)
    assert {name: (tmp_path / name).read_bytes() for name in os.listdir(tmp_path)} == before


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"`folder` .* a folder that can be written"):
        result().save(tmp_path / "file" / "out")


def test_a_full_disk(tmp_path, monkeypatch):
    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*temperature.csv: No space left on device"):
        result().save(tmp_path)
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", "`folder` .* a readable results.json"),
        ("{", "`folder` .* a readable results.json"),
        ("[]", "`data` .* a mapping"),
        ("{}", "`schema` \\(=None\\)"),
        ('{"schema": 2, "instrument": "temperature"}', "`schema` \\(=2\\) must be 1"),
        ('{"schema": 1, "instrument": "weight"}', "`instrument` \\(='weight'\\) must be one of .*temperature"),
        ('{"schema": 1, "instrument": ["temperature"]}', "`instrument`"),
        ('{"schema": 1}', "`instrument` \\(=None\\)"),
        ('{"schema": 1, "instrument": "temperature"}', "`data` .* undamaged.*KeyError: 'table'"),
    ],
)
def test_a_file_that_is_no_result(tmp_path, text, words):
    (tmp_path / "results.json").write_text(text)
    with pytest.raises(InputError, match=words):
        Result.load(tmp_path)


@pytest.mark.parametrize("part", ["table", "verdict", "settings", "details", "versions"])
@pytest.mark.parametrize("damage", ["missing", "of another kind"])
def test_a_result_with_a_damaged_part(tmp_path, part, damage):
    data = json.loads((result().save(tmp_path) / "results.json").read_text())
    if damage == "missing":
        del data[part]
    else:
        data[part] = ["x"]
    (tmp_path / "results.json").write_text(json.dumps(data))
    with pytest.raises(InputError, match="undamaged"):
        Result.load(tmp_path)


def test_a_table_with_a_damaged_column(tmp_path):
    data = result().to_json()
    data["table"]["seed"]["values"][0] = "many"
    with pytest.raises(InputError, match="undamaged"):
        Result.from_json(data)


def test_there_is_no_file(tmp_path):
    with pytest.raises(InputError, match=r"`folder` \(='.*nowhere'\)"):
        Result.load(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"a folder with a readable results.json"):
        Result.load(tmp_path)
