"""Progress: lines with the time left where nobody watches a terminal, silence where not wanted."""

import sys

import pytest

from gradaudit import progress as module
from gradaudit.progress import duration, progress


class Clock:
    """A clock that a test sets; the real one would make it wait."""

    def __init__(self, monkeypatch):
        self.now = 100.0
        monkeypatch.setattr(module.time, "monotonic", lambda: self.now)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (0, "0.0 s"),
        (1.26, "1.3 s"),
        (9.9, "9.9 s"),
        (10.4, "10 s"),
        (59.4, "59 s"),
        (59.6, "1 min 0 s"),
        (200, "3 min 20 s"),
        (3599.6, "1 h 0 min"),
        (7500, "2 h 5 min"),
        (90000, "25 h 0 min"),
        (float("nan"), "unknown"),
    ],
)
def test_durations(seconds, words):
    assert duration(seconds) == words


def test_lines_tell_what_is_done_and_left(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    with progress("training", 4) as advance:
        clock.now += 5
        advance()  # too soon for a line
        clock.now += 15
        advance(note="loss 0.5")
        clock.now += 20
        advance(2, "loss 0.2")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        "training: 2/4, 20 s spent, 20 s left, loss 0.5",
        "training: 4/4, 40 s spent, loss 0.2",
    ]


def test_work_that_is_soon_done_says_nothing(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    with progress("training", 2) as advance:
        clock.now += 4
        advance()
        clock.now += 4
        advance()
    assert capsys.readouterr().err == ""


def test_nothing_done_yet_has_an_unknown_end(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    with progress("grid", 2) as advance:
        clock.now += 11
        advance(0)
    assert capsys.readouterr().err == "grid: 0/2, 11 s spent, unknown left\n"


def test_silence(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    with progress("training", 2, show=False) as advance:
        clock.now += 100
        advance()
        advance(1, "loss")
        advance(note="loss")
    assert capsys.readouterr() == ("", "")


@pytest.mark.parametrize("terminal", [True, False])
def test_an_error_inside_comes_out(monkeypatch, capsys, terminal):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: terminal, raising=False)
    with pytest.raises(TypeError), progress("training", 2) as advance:
        advance("one")


def test_a_terminal_has_a_live_line(monkeypatch, capsys):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    with progress("training", 3) as advance:
        advance(2)
        advance(1, "loss 0.5")
    out, err = capsys.readouterr()
    assert out == ""
    assert "training" in err
    assert "3/3" in err
    assert "loss 0.5" in err


@pytest.mark.parametrize("terminal", ["dumb", "unknown"])
def test_a_terminal_that_writes_no_line_anew_has_lines(monkeypatch, capsys, terminal):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("TERM", terminal)
    with progress("training", 2) as advance:
        clock.now += 20
        advance(2)
    assert capsys.readouterr().err == "training: 2/2, 20 s spent\n"


def test_without_a_standard_error_it_is_silent_and_standard_output_stays_clean(monkeypatch, capsys):
    clock = Clock(monkeypatch)
    monkeypatch.setattr(sys, "stderr", None)
    with progress("training", 1) as advance:
        clock.now += 20
        advance()
    assert capsys.readouterr().out == ""


def test_a_standard_error_that_is_closed_stops_nothing(monkeypatch, tmp_path):
    clock = Clock(monkeypatch)
    with open(tmp_path / "errors", "w") as closed:
        monkeypatch.setattr(sys, "stderr", closed)
    with progress("training", 1) as advance:
        clock.now += 20
        advance()
