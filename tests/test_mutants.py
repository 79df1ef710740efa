"""The list of faults stays true as the code moves; `mutants.py` runs them, which takes longer."""

import ast
import importlib
from collections import Counter
from pathlib import Path

import pytest

TESTS = Path(__file__).parent


@pytest.fixture(scope="module", name="mutants")
def mutants_fixture():
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(TESTS)
        yield importlib.import_module("mutants")


@pytest.fixture(name="fault")
def fault_fixture(mutants):
    """What makes a fault in the rankings, some of it changed."""
    sound = {"name": "ours", "file": "attributions/_ranking.py", "old": "import numpy as np", "new": "", "why": "", "tests": ()}
    return lambda **changed: mutants.Fault(**(sound | changed))


def test_every_text_is_found_once_and_every_test_exists(mutants):
    assert mutants.stale(mutants.FAULTS) == []


def test_every_fault_is_another_text_that_parses(mutants):
    for fault in mutants.FAULTS:
        assert fault.old.split() != fault.new.split(), fault.name
        ast.parse(fault.applied(fault.path.read_text("utf-8")), fault.name)


def test_every_name_is_given_once(mutants):
    assert [name for name, count in Counter(fault.name for fault in mutants.FAULTS).items() if count > 1] == []


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"old": "no such text"}, "found 0 times in attributions/_ranking.py"),
        ({"old": "import"}, "times in attributions/_ranking.py, not once"),
        ({"tests": ("attributions/test_none.py",)}, "no such test: attributions/test_none.py"),
        ({"tests": ("attributions/test_ranking.py", "test_mutants.py::test_none")}, "no such test: test_mutants.py::test_none"),
        ({"file": "attributions/none.py"}, "no such file"),
    ],
)
def test_an_entry_that_is_no_longer_true_ends_the_run_before_it_begins(mutants, fault, changed, words, capsys):
    assert mutants.check([fault(**changed)]) == 1
    assert words in capsys.readouterr().out


def test_only_a_test_that_failed_has_noticed(mutants):
    summary = "F\n=== short test summary info ===\nFAILED tests/base/test_a.py::test_b[0.5-x] - AssertionError: 1 - 2\n"
    killed = mutants.Outcome(1, 2.0, summary)
    assert (killed.verdict, killed.noticed) == ("killed", "base/test_a.py::test_b[0.5-x]")
    assert mutants.Outcome(0, 2.0, "...").verdict == "SURVIVED"
    # Python itself ends with 1 as well, and pytest with 2 or more where tests can't be collected.
    for status in (1, 2, 4, 5, None):
        assert mutants.Outcome(status, 2.0, "Traceback ...").verdict == "NOT RUN"


def test_the_list_names_file_and_replacement_and_runs_nothing(mutants, capsys):
    fault = mutants.FAULTS[0]
    assert mutants.main(["--list", "--only", fault.name]) == 0
    out = capsys.readouterr().out
    assert all(part in out for part in (fault.name, fault.file, fault.old, fault.new, *fault.tests))
    assert mutants.FAULTS[1].name not in out
