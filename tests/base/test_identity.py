"""What tells a user's function or class from another."""

import functools
import importlib
import sys
import types

import joblib
import numpy as np
import pytest
import torch

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.files import fingerprint
from gradaudit.identity import identity, of_a_user

FUNCTION = """
import torch
from torch import nn

SCALE = 2.0
PARTS = {"weights": torch.ones(2)}

def helper(values):
    return values * SCALE

def twice(values):
    return twice(helper(values)) if values is None else helper(helper(values)) + PARTS["weights"]

class Base:
    width = 3

    def __call__(self, values):
        return twice(values)

class Callable(Base):
    @staticmethod
    def first(values):
        return values

    @property
    def second(self):
        return [lambda value: value in {"a", "b"} for _ in range(2)]

class Network(nn.Module):
    def __init__(self):
        super().__init__()
        self.last = nn.Linear(4, 2)

    def forward(self, images):
        return self.last(torch.relu(helper(images)).flatten(1))
"""
EDITS = [
    ("SCALE = 2.0", "SCALE = 3.0"),
    ("values * SCALE", "values + SCALE"),
    ("torch.ones(2)", "torch.zeros(2)"),
    ("helper(helper(values)) +", "helper(values) +"),
]
IN_CLASSES = [("width = 3", "width = 4"), ("return values\n", "return -values\n"), ('"b"}', '"c"}'), ("range(2)", "range(3)")]


def cell(code):
    """The names of a program without a file, such as a notebook's cells."""
    names = {"__name__": "__main__"}
    exec(compile(code, "/no/such/file.py", "exec"), names)
    return types.SimpleNamespace(**names)


def mark(code, name):
    return fingerprint(*identity(getattr(cell(code), name)))


def network(code):
    torch.manual_seed(0)
    return cell(code).Network()


@pytest.mark.parametrize(("old", "new"), EDITS)
def test_a_function_of_a_notebook_is_another_when_what_it_calls_or_names_was_edited(old, new):
    assert mark(FUNCTION, "twice") == mark(FUNCTION, "twice")
    assert mark(FUNCTION.replace(old, new), "twice") != mark(FUNCTION, "twice")


@pytest.mark.parametrize(("old", "new"), [*EDITS, *IN_CLASSES])
def test_a_callable_of_a_notebook_is_another_when_a_method_or_a_base_was_edited(old, new):
    first, same, other = (cell(code).Callable() for code in (FUNCTION, FUNCTION, FUNCTION.replace(old, new)))
    assert fingerprint(*identity(first)) == fingerprint(*identity(same)) != fingerprint(*identity(other))


@pytest.mark.parametrize(("old", "new"), [("torch.relu", "torch.tanh"), ("values * SCALE", "values + SCALE")])
def test_a_classifier_of_a_notebook_is_another_when_its_forward_or_what_that_calls_was_edited(old, new):
    before = classifier_fingerprint(network(FUNCTION))
    assert classifier_fingerprint(network(FUNCTION)) == before
    assert classifier_fingerprint(torch.nn.Sequential(network(FUNCTION))) != before
    assert classifier_fingerprint(network(FUNCTION.replace(old, new))) != before


def test_a_comment_or_a_name_that_it_does_not_use_does_not_count_in_a_notebook():
    edited = FUNCTION.replace("SCALE = 2.0", "OTHER = 1  # not used\nSCALE = 2.0")
    assert mark(edited, "twice") == mark(FUNCTION, "twice")


def test_a_name_of_an_attribute_is_no_global():
    code = "weight = {}\ndef scores(classifier):\n    return classifier.weight\n"
    assert mark(code.format(1), "scores") == mark(code.format(2), "scores")


def test_it_is_the_same_in_another_process():
    names = cell(FUNCTION)
    things = [names.twice, names.Callable(), names.Callable, functools.partial(names.twice, 3), names.Callable().__call__]
    found = joblib.Parallel(n_jobs=2)(joblib.delayed(identity)(thing) for thing in things)
    assert [fingerprint(*parts) for parts in found] == [fingerprint(*identity(thing)) for thing in things]


def test_a_module_of_a_users_counts_like_a_notebook_and_a_librarys_by_its_source_alone(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    found = []
    for folder, scale in (("own_1", 1), ("own_2", 2), ("site-packages", 1)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "held.py").write_text(f"SCALE = {scale}\n\ndef scores(classifier):\n    return SCALE\n")
        monkeypatch.setattr(sys, "path", [str(tmp_path / folder), *sys.path])
        monkeypatch.delitem(sys.modules, "held", raising=False)
        import held

        found.append((of_a_user(held.scores), fingerprint(*identity(held.scores))))
    monkeypatch.delitem(sys.modules, "held")
    assert [own for own, _ in found] == [True, True, False]
    assert len({mark for _, mark in found}) == 3


def test_what_is_called_by_a_users_modules_name_counts_and_a_file_that_was_edited_once_it_is_imported(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(str(tmp_path))
    function, found = None, []
    for text in ("def inner(classifier):\n    return 1\n", "def inner(classifier):\n    return 1 + 1 + classifier\n"):
        (tmp_path / "helping.py").write_text(text)
        if function is not None:
            found.append(fingerprint(*identity(function)))  # edited, and not yet imported anew
        monkeypatch.delitem(sys.modules, "helping", raising=False)
        importlib.invalidate_caches()
        function = cell("import helping\ndef scores(classifier):\n    return helping.inner(classifier)\n").scores
        found.append(fingerprint(*identity(function)))
    monkeypatch.delitem(sys.modules, "helping")
    assert found[0] == found[1] != found[2]


def test_what_holds_itself_and_arrays_of_objects_are_read():
    names = cell("def scores(classifier):\n    return LOOP, OBJECTS\n")
    names.scores.__globals__["LOOP"] = loop = {"inner": []}
    loop["inner"].append(loop)
    names.scores.__globals__["OBJECTS"] = np.array([None, 1], dtype=object)
    assert "builtins.dict" in identity(names.scores)
    assert fingerprint(*identity(names.scores))


def test_functions_and_classes_of_libraries_and_of_this_package_are_no_users():
    assert not any(map(of_a_user, (torch.nn.Linear, fingerprint, classifier_fingerprint, functools.partial, dict)))
    assert of_a_user(cell(FUNCTION).twice)
