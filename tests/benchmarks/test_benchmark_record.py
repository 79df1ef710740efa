"""What a benchmark says: rows, their bounds, the record that is kept, and ways timed in turn."""

import argparse
import json
import math
import statistics

import pytest
from hypothesis import given
from hypothesis import strategies as st


@pytest.mark.parametrize(
    ("fields", "needed", "reached"),
    [
        ({"value": 3.0, "unit": "s", "at_most": 3.0}, "at most 3 s", "yes"),
        ({"value": 3.1, "unit": "s", "at_most": 3.0}, "at most 3 s", "no"),
        ({"value": 3.1, "unit": "s", "ratio": 2.0, "at_least": 2.5}, "at least 2.5 times", "no"),
        ({"value": 0.1, "unit": "s", "ratio": 2.5, "at_least": 2.5}, "at least 2.5 times", "yes"),
        ({"value": 0.8, "at_least": 0.9, "at_most": 1.1}, "at least 0.9 and at most 1.1", "no"),
        ({"value": 1.2, "at_least": 0.9, "at_most": 1.1}, "at least 0.9 and at most 1.1", "no"),
        ({"value": 5e-5, "at_most": 1e-4}, "at most 1e-4", "yes"),
        ({"value": 1.0}, "", ""),
        ({"why": "no GPU", "at_least": 2.0, "unit": "GB"}, "at least 2 GB", "not measured"),
    ],
)
def test_a_bound_belongs_to_the_ratio_where_there_is_one(script, fields, needed, reached):
    row = script("_record").Row("what", **fields)
    assert (row.needed, row.reached) == (needed, reached)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.123456, "0.123"),
        (12.345, "12.3"),
        (1811.2, "1,811"),
        (6.3e-8, "6.3e-8"),
        (1e-4, "1e-4"),
        (2e9, "2e9"),
        (-0.5, "-0.5"),
    ],
)
def test_numbers_are_short(script, value, text):
    assert script("_record").number(value) == text


def test_a_record_comes_back_as_it_was(script, tmp_path):
    module = script("_record")
    rows = (
        module.Row("a", 1.5, "s", "b", 2.0, (1.5, 2.5), at_least=1.9),
        module.Row("c", why="no GPU"),
    )
    record = module.record_of("name", "the claim", rows, 0.5, 12.3, False, "python benchmarks/name.py")
    path = record.save(tmp_path)
    assert module.Record.load_from(path) == record
    written = json.loads(path.read_text())
    assert [(row["needed"], row["reached"]) for row in written["rows"]] == [("at least 1.9 times", "yes"), ("", "not measured")]
    assert not record.missed
    assert written["machine"]["cores"] >= 1
    assert written["machine"]["processor"]
    assert "torch" in written["versions"]


def run(script, folder, short, fails=False):
    module = script("_record")
    arguments = argparse.Namespace(short=short, results=folder)
    with module.recording("benchmarks/name.py", "Claim: it is\nfast.\n\nMore.\nRun: `x`", arguments) as rows:
        rows.append(module.Row("a", 1.0))
        if fails:
            raise ZeroDivisionError
    return folder / "name.json" if folder else None


def test_a_run_is_kept_with_its_claim(script, tmp_path):
    record = script("_record").Record.load_from(run(script, tmp_path, short=False))
    assert (record.name, record.claim, record.short) == ("name", "it is fast.", False)
    assert [row.what for row in record.rows] == ["a"]


def test_a_run_that_fails_keeps_nothing(script, tmp_path):
    with pytest.raises(ZeroDivisionError):
        run(script, tmp_path, short=False, fails=True)
    assert list(tmp_path.iterdir()) == []


def test_a_trial_is_kept_only_where_it_was_asked_for(script, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(script("_record"), "RESULTS", tmp_path)
    run(script, None, short=True)
    assert list(tmp_path.iterdir()) == []
    assert "nothing is kept" in capsys.readouterr().out


def test_a_command_names_no_folder_of_this_machine(script, monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    words = ["/home/somebody/benchmarks/name.py", "--data-dir", "/home/somebody/data", "--rounds", "3"]
    found = script("_record").command_of(words)
    assert found == "OMP_NUM_THREADS=1 python benchmarks/name.py --data-dir data --rounds 3"


def test_ways_take_turns(script):
    calls = []
    ways = {name: lambda number, name=name: calls.append((number, name)) or name for name in "ab"}
    seconds, found = script("_timing").in_turn(ways, 2)
    assert calls == [(0, "a"), (0, "b"), (1, "a"), (1, "b")]
    assert found == {"a": ["a", "a"], "b": ["b", "b"]}
    assert all(len(spent) == 2 and min(spent) >= 0 for spent in seconds.values())


@given(pairs=st.lists(st.tuples(st.floats(0.1, 10), st.floats(0.1, 10)), min_size=2, max_size=8))
def test_a_ratio_is_the_median_within_rounds(script, pairs):
    compared = script("_timing").compared
    above, below = ([pair[side] for pair in pairs] for side in (0, 1))
    found = compared(above, below, times=2)
    ratios = [one / other / 2 for one, other in pairs]
    assert math.isclose(found["ratio"], statistics.median(ratios))
    assert found["spread"][0] <= found["ratio"] <= found["spread"][1]
    assert math.isclose(found["spread"][0], min(ratios))
    assert compared(above[:1], below[:1])["spread"] is None
