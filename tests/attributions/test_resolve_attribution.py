"""Names and fingerprints: the same for the same scores, different for different ones."""

import functools
import linecache

import numpy as np
import pytest
import torch

from gradaudit.attributions import resolve_attribution
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.errors import InputError
from gradaudit.registry import parse_spec


@pytest.mark.parametrize(
    ("spec", "name"),
    [
        ("logit_gradient", "logit_gradient"),
        ("logit-gradient", "logit_gradient"),
        ("logit_gradient(times_input=False)", "logit_gradient"),
        ("smoothgrad(50, noise=0.15)", "smoothgrad(samples=50)"),
        ({"name": "smoothgrad", "of": "loss", "samples": 3}, "smoothgrad(of=loss, samples=3)"),
        ("random(seed=3)", "random(seed=3)"),
        ("random(seed=0)", "random(seed=0)"),
        ("random(0)", "random(seed=0)"),
        ("captum(Occlusion, strides=2)", "captum(method=Occlusion, strides=2)"),
    ],
)
def test_names_are_canonical_and_parse_back(spec, name):
    found = resolve_attribution(spec, seed=0)
    assert found.name == name
    assert resolve_attribution(parse_spec("attribution", name)).fingerprint == found.fingerprint


def test_one_that_is_resolved_stays_as_it_is():
    found = resolve_attribution("edges")
    assert resolve_attribution(found, seed=9) is found


def test_the_seed_counts_where_something_is_drawn():
    assert resolve_attribution("random", seed=0).fingerprint != resolve_attribution("random", seed=1).fingerprint
    assert resolve_attribution("random", seed=0).name == resolve_attribution("random", seed=1).name
    assert resolve_attribution("edges", seed=0).fingerprint == resolve_attribution("edges", seed=1).fingerprint


def test_options_count():
    prints = {resolve_attribution(f"smoothgrad(samples={n}, of={of})").fingerprint for n in (2, 3) for of in ("logit", "loss")}
    assert len(prints) == 4
    layers = {resolve_attribution({"name": "captum", "method": "DeepLift", "baselines": torch.full((1,), v)}).name for v in (0, 1)}
    assert len(layers) == 2


def make(factor, kind=None):
    def own(classifier, images, targets, *, power=2):
        return factor * images**power

    return own


def other(classifier, images, targets):
    return images


class Scaled:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, classifier, images, targets):
        return self.factor * images

    def method(self, classifier, images, targets):
        return self.factor * images


def test_users_functions_are_told_apart_by_source_closure_and_options():
    functions = [
        make(1),
        make(2),
        make(torch.tensor(1.0)),
        make(torch.tensor(2.0)),
        make(make(1)),
        make(make(2)),
        make([1, 2]),
        make((1, 2)),
        make({"a": 1}),
        make(torch.nn.Linear(1, 1)),
        functools.partial(make(1), power=3),
        other,
        lambda classifier, images, targets: images,
        lambda classifier, images, targets: -images,
        Scaled(1),
        Scaled(2),
        Scaled(1).method,
        Scaled(2).method,
    ]
    assert len({resolve_attribution(function).fingerprint for function in functions}) == len(functions)
    for again in (lambda: make(1), lambda: Scaled(2), lambda: Scaled(1).method, lambda: functools.partial(make(1), power=3)):
        assert resolve_attribution(again()).fingerprint == resolve_attribution(again()).fingerprint


@pytest.mark.parametrize("program", [None, "a program after -c"])
def test_functions_without_a_source_file_are_told_apart(monkeypatch, program):
    monkeypatch.delitem(linecache.cache, "<string>", raising=False)
    if program is not None:  # as Python 3.13 does
        monkeypatch.setitem(linecache.cache, "<string>", (len(program), None, [program + "\n"], "<string>"))
    spaces = [{} for _ in range(3)]
    for space, body in zip(spaces, ("x", "-x", "x + 3"), strict=True):
        exec(f"def own(c, x, y): return {body}", space)
    assert len({resolve_attribution(space["own"]).fingerprint for space in spaces}) == 3


def test_names_of_users_functions():
    assert resolve_attribution(other).name == "other"
    assert resolve_attribution(make(1)).name == "own"
    assert resolve_attribution(functools.partial(make(1), power=3)).name == "own(power=3)"
    assert resolve_attribution(Scaled(1)).name == "Scaled"


def test_a_users_function_is_found_by_its_path(tmp_path, monkeypatch, run_program):
    (tmp_path / "own_attributions.py").write_text(
        "def twice(classifier, images, targets, *, factor=2):\n    return factor * images\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    found = resolve_attribution("own_attributions:twice(factor=3)")
    assert found.name == "own_attributions:twice(factor=3)"
    assert found.needs_classifier
    assert torch.equal(found.function(None, torch.ones(1, 1, 2, 2), None), torch.full((1, 1, 2, 2), 3.0))
    assert found.fingerprint != resolve_attribution("own_attributions:twice").fingerprint
    script = "from gradaudit.attributions import resolve_attribution as r; print(r('own_attributions:twice(factor=3)').fingerprint)"
    assert run_program(script, cwd=tmp_path).stdout.strip() == found.fingerprint


def test_a_path_to_something_else_is_named(tmp_path, monkeypatch):
    (tmp_path / "own_values.py").write_text("value = 3\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(InputError, match=r"`attribution` \(='own_values:value'\) must be a function"):
        resolve_attribution("own_values:value")


def test_precomputed_scores_are_told_apart_by_their_values(tmp_path):
    scores = np.arange(24.0, dtype=np.float32).reshape(2, 1, 3, 4)
    np.save(tmp_path / "mine.npy", scores)
    from_file = resolve_attribution(tmp_path / "mine.npy")
    assert (from_file.name, from_file.needs_classifier) == ("mine", False)
    assert from_file.fingerprint == resolve_attribution(scores).fingerprint == resolve_attribution(torch.tensor(scores)).fingerprint
    assert from_file.fingerprint != resolve_attribution(scores + 1).fingerprint


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00", b"not an array"])
def test_a_broken_file_is_named(tmp_path, content):
    (tmp_path / "broken.npy").write_bytes(content)
    with pytest.raises(InputError, match=r"`attribution`.*broken\.npy.*readable"):
        resolve_attribution(tmp_path / "broken.npy")


def test_a_pickle_in_a_file_is_not_run(tmp_path):
    np.save(tmp_path / "objects.npy", np.array([print], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match=r"`attribution`.*readable"):
        resolve_attribution(tmp_path / "objects.npy")


def test_a_control_given_as_a_function_stays_a_control():
    from gradaudit.attributions.random import random

    assert not resolve_attribution(random).needs_classifier
    assert resolve_attribution(random, seed=1).fingerprint != resolve_attribution(random, seed=2).fingerprint
    assert resolve_attribution(logit_gradient).needs_classifier
