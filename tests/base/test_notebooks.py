"""Results and progress as a notebook shows them."""

import base64
import sys
import types
from typing import ClassVar

import pandas as pd
import pytest
from markupsafe import escape
from matplotlib.figure import Figure

from gradaudit.answering import Answer
from gradaudit.auditing import AuditResult
from gradaudit.instruments.counterfactual import CounterfactualResult
from gradaudit.instruments.sweep import SweepResult
from gradaudit.notebooks import ROWS
from gradaudit.progress import progress
from gradaudit.results import Result, Verdict

SCRIPT = "<script>alert(1)</script>"


class Weight(Result):
    kind: ClassVar[str] = "grams"

    def plot(self):
        figure = Figure(figsize=(1, 1))
        figure.suptitle(SCRIPT)
        return figure


def weight(count=3):
    table = pd.DataFrame({"name": [SCRIPT] * count, "grams": range(count)})
    return Weight(table, Verdict("holds", f"It is {SCRIPT}.", (f"on {SCRIPT}", "in May")), {}, {"images": "x" * 10_000})


@pytest.fixture(autouse=True)
def only_here():
    yield
    Result.kinds.pop("grams", None)


class Shown:
    def __init__(self, html):
        self.found = [html]

    def update(self, html):
        self.found.append(html)


@pytest.fixture(name="shown")
def shown_fixture(monkeypatch):
    """A notebook, as IPython has it; what was displayed, with the HTML of each update."""
    found = []

    def display(html, display_id):
        assert display_id
        found.append(Shown(html))
        return found[-1]

    library = types.ModuleType("IPython")
    library.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    library.display = types.ModuleType("IPython.display")
    library.display.display, library.display.HTML = display, str
    monkeypatch.setitem(sys.modules, "IPython", library)
    monkeypatch.setitem(sys.modules, "IPython.display", library.display)
    return found


def test_a_result_shows_verdict_caveats_table_and_figure_and_escapes_what_is_named():
    html = weight()._repr_html_()
    assert SCRIPT not in html
    assert html.count("&lt;script&gt;alert(1)&lt;/script&gt;") == 2 + 3
    assert "<li>but in May</li>" in html
    _, _, source = html.partition('src="data:image/svg+xml;base64,')
    assert b"<svg" in base64.b64decode(source.partition('"')[0])


def test_of_a_long_table_it_shows_the_beginning_and_says_so():
    html = weight(ROWS + 1000)._repr_html_()
    assert html.count("<tr>") == ROWS
    assert f"{ROWS} of {ROWS + 1000:,} rows" in html


def test_a_result_in_a_terminal_is_one_line_and_not_all_its_images():
    assert repr(weight()) == f"Weight(holds: It is {SCRIPT}.)"


def test_a_verdict_shows_itself():
    assert Verdict("holds", "a < b")._repr_html_() == "<p><strong>holds</strong>: a &lt; b</p>"


def test_every_instrument_shows_itself():
    assert SweepResult.brief is not Result.brief
    assert CounterfactualResult.brief is not Result.brief
    assert all(kind.__repr__ is Result.__repr__ for kind in Result.kinds.values())


def test_an_audit_shows_what_to_look_into_its_numbers_and_every_verdict():
    stored = {SCRIPT: Answer("not settled", f"{SCRIPT} is heavy", f"more of {SCRIPT}")}
    audit = AuditResult({SCRIPT: {"grams": weight()}}, {}, {}, {}, caveats=(f"is {SCRIPT} right?",), stored=stored)
    html = audit._repr_html_()
    assert SCRIPT not in html
    told = html.partition("</p>")[0].replace(str(escape(SCRIPT)), "it")
    assert told == "<p><strong>it: not settled</strong>. it is heavy. What would settle it: More of it."
    assert "Look into this first" in html
    assert "grams: holds</summary>" in html
    assert "<li>but in May</li>" in html
    assert repr(audit) == f"AuditResult({SCRIPT}: not settled; {SCRIPT}, grams: holds)"


def test_progress_in_a_notebook_is_one_bar_that_grows(shown, capsys):
    with progress(f"training {SCRIPT}", 2) as advance:
        advance(note="loss 0.5")
        advance()
    assert capsys.readouterr() == ("", "")
    (bar,) = shown
    assert '<progress max="2" value="0.0">' in bar.found[0]
    assert '<progress max="2" value="2.0">' in bar.found[-1]
    assert "2/2" in bar.found[-1]
    assert SCRIPT not in "".join(bar.found)


def test_ipython_in_a_terminal_is_no_notebook(shown, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: types.SimpleNamespace())
    with progress("training", 1) as advance:
        advance()
    assert shown == []
