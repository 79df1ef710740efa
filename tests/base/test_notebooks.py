"""Results and progress as a notebook shows them."""

import base64
import re
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
from gradaudit.notebooks import ROWS, first_rows, without_widgets
from gradaudit.progress import progress, tell
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
    def __init__(self, one):
        self.found = [one]

    def update(self, one):
        self.found.append(one)


@pytest.fixture(name="shown")
def shown_fixture(monkeypatch):
    """A notebook, as IPython has it; what was displayed, with the HTML of each update."""
    found = []

    def display(one, display_id):
        assert display_id
        found.append(Shown(one))
        return found[-1]

    library = types.ModuleType("IPython")
    library.get_ipython = lambda: types.SimpleNamespace(kernel=object())
    library.display = types.ModuleType("IPython.display")
    library.display.display = display
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


def test_a_table_has_four_digits_and_neither_empty_columns_nor_nan():
    html = first_rows(
        pd.DataFrame({"share": [0.123456, 2.0], "some": [None, 0.5], "never": [float("nan")] * 2, "count": [12345, 1]})
    )
    assert "never" not in html
    assert "nan" not in html.lower()
    assert re.findall(r"<td>(.*?)</td>", html) == ["0.1235", "", "12345", "2", "0.5", "1"]


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
    html = [one._repr_html_() for one in bar.found]
    assert '<progress max="2" value="0.0">' in html[0]
    assert '<progress max="2" value="2.0">' in html[-1]
    assert "2/2" in html[-1]
    assert SCRIPT not in "".join(html)
    assert repr(bar.found[-1]).startswith(f"training {SCRIPT}: 2/2, ")


def test_a_line_in_a_notebook_is_plain_and_goes_to_its_output(shown, capsys):
    tell("[bold]Look[/bold] at 3 of 4")
    assert capsys.readouterr() == ("Look at 3 of 4\n", "")


def test_a_notebook_without_widgets_hears_nothing_of_them(shown, monkeypatch):
    names = [name for name in sys.modules if name.partition(".")[0] in ("tqdm", "ipywidgets")]
    for name in names:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr("gradaudit.notebooks.find_spec", lambda name: None)
    without_widgets()  # a warning would be an error
    assert "tqdm.auto" in sys.modules
    for name in [name for name in sys.modules if name.partition(".")[0] == "tqdm"]:
        monkeypatch.delitem(sys.modules, name)


def test_ipython_in_a_terminal_is_no_notebook(shown, monkeypatch, capsys):
    monkeypatch.setattr(sys.modules["IPython"], "get_ipython", lambda: types.SimpleNamespace())
    with progress("training", 1) as advance:
        advance()
    assert shown == []
