"""Edge cases give right answers, bad input gives an error that names the argument."""

import json
import time

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.results import Result


def nothing(classifier, images, labels, *, norm, eps):
    return images


def far(classifier, images, labels, *, norm, eps):
    return images + 2 * eps * (0.5 - images).sign()


def outside(classifier, images, labels, *, norm, eps):
    return images - 2


def undefined(classifier, images, labels, *, norm, eps):
    return images * float("nan")


def flat(classifier, images, labels, *, norm, eps):
    return images.flatten(1)


def failing(classifier, images, labels, *, norm, eps):
    raise RuntimeError("no memory for this")


def other_form(classifier, images):
    return images


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("images", torch.zeros(2, 1, 6, 6)),
        ("classifier", "lenet5"),
        ("norm", "l1"),
        ("norm", ["linf"]),
        ("eps", ()),
        ("eps", "0.1"),
        ("eps", (0.0, -0.1)),
        ("eps", (0.3, 0.1)),
        ("eps", (0.1, 0.1)),
        ("eps", (0.0, float("nan"))),
        ("eps", (0.0, float("inf"))),
        ("eps", (True,)),
        ("attack", "pdg"),
        ("attack", []),
        ("attack", 3),
        ("attack", ["pgd", "pgd"]),
        ("attack", "pgd(stesp=3)"),
        ("attack", "pgd(eps=0.1)"),
        ("attack", "nowhere:attack"),
        ("attack", far),
        ("attack", outside),
        ("attack", undefined),
        ("attack", flat),
        ("attack", failing),
        ("attack", other_form),
        ("steps", 0),
        ("steps", 2.5),
        ("step_size", 0.0),
        ("step_size", "long"),
        ("restarts", 0),
        ("restarts", True),
        ("eot", 0),
        ("seed", -1),
        ("seed", 0.5),
        ("batch_size", 0),
        ("batch_size", "all"),
        ("device", "abacus"),
        ("store", 3),
    ],
)
def test_a_bad_argument_is_named(linear, argument, value):
    given = {"classifier": linear.classifier(), "images": linear.images(6), "device": "cpu"} | {argument: value}
    with pytest.raises(InputError, match=rf"^`{argument}` \(="):
        ga.robustness(given.pop("classifier"), given.pop("images"), **given)


@pytest.mark.parametrize(
    ("attack", "argument"),
    [
        ("smoothing(sigma=0)", "sigma"),
        ("smoothing(n=0)", "n"),
        ("smoothing(n0=1.5)", "n0"),
        ("smoothing(alpha=0.7)", "alpha"),
        ("gaussian(samples=0)", "samples"),
        ("autoattack(queries=0)", "queries"),
        ("autoattack(iterations=0)", "iterations"),
        ("pgd(steps=0)", "steps"),
        ("pgd(restarts=0)", "restarts"),
    ],
)
def test_a_bad_option_is_named_before_any_work(linear, attack, argument, tmp_path):
    with pytest.raises(InputError, match=rf"^`{argument}` \(="):
        ga.robustness(linear.classifier(), linear.images(6), attack=["pgd", attack], store=tmp_path / "s", device="cpu")
    assert not list((tmp_path / "s").rglob("*.json"))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("count", [1, 2, 9])
def test_a_radius_of_zero_is_the_clean_accuracy(linear, dtype, channels, count):
    shape = (channels, 6, 6)
    module, images = linear.classifier(shape).to(dtype), linear.images(count, shape)
    expected = (module(images.floats().to(dtype)).argmax(1) == images.labels).double().mean().item()
    result = ga.robustness(module, images, eps=0, attack=["pgd", nothing], batch_size=1, device="cpu")
    assert result.table["accuracy"].tolist() == [expected] * 3
    assert result.clean_accuracy == expected
    assert result.verdict.label == "inconclusive"


def test_clean_accuracy_is_known_without_a_radius_of_zero(linear):
    module, images = linear.classifier(), linear.images(30)
    assert ga.robustness(module, images, eps=0.05, device="cpu").clean_accuracy == ga.measure_accuracy(module, images, device="cpu")


def test_more_logits_than_classes_and_more_classes_than_occur(linear):
    module = linear.classifier(classes=8)
    images = linear.images(20, labels=torch.arange(20) % 2)
    assert len(images.classes) == 2
    table = ga.robustness(module, images, attack=["pgd", "smoothing(n=50)", "gaussian(samples=5)"], device="cpu").table
    assert table["accuracy"].between(0, 1).all()


def test_double_precision_stays_double(linear):
    seen = []

    def watch(classifier, images, labels, *, norm, eps):
        seen.append(images.dtype)
        return images

    ga.robustness(linear.classifier().double(), linear.images(3), eps=0.1, attack=watch, device="cpu")
    assert set(seen) == {torch.float64}


def test_a_users_attack_is_given_the_shared_options_that_it_has(linear):
    def own(classifier, images, labels, *, norm, eps, steps, restarts=7, seed=None):
        assert (norm, steps, restarts, seed) == ("l2", 5, 2, 11)
        return images

    ga.robustness(linear.classifier(), linear.images(3), norm="l2", eps=0.1, attack=own, steps=5, restarts=2, seed=11, device="cpu")


# Interrupted runs


class Switch:
    """Counts the calls of an attack and interrupts one of them."""

    calls, last = 0, -1


def interrupted(switch):
    def attack(classifier, images, labels, *, norm, eps):
        switch.calls += 1
        if switch.calls == switch.last:
            raise KeyboardInterrupt
        return ga.pgd(classifier, images, labels, norm=norm, eps=eps, steps=3, seed=0)

    return attack


def test_an_interrupted_run_continues_where_it_was(linear, tmp_path):
    module, images = linear.classifier(), linear.images(300)  # three groups at each of two radii
    switch = Switch()
    options = {"eps": (0.01, 0.03), "attack": interrupted(switch), "store": tmp_path / "s", "device": "cpu"}
    switch.last = 5  # the first call is the trial
    with pytest.raises(KeyboardInterrupt):
        ga.robustness(module, images, **options)
    switch.calls, switch.last = 0, -1
    result = ga.robustness(module, images, **options)
    assert switch.calls == 1 + 3
    whole = ga.robustness(module, images, **(options | {"store": tmp_path / "other"}))
    assert result.to_json() == whole.to_json()


KILLED = """
import sys, torch, gradaudit as ga
from torch import nn
torch.manual_seed(0)
module = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
images = ga.ImageSet(torch.randint(0, 255, (390, 1, 6, 6), dtype=torch.uint8), torch.arange(390) % 3, "abc")
result = ga.robustness(module, images, eps=(0.0, 0.05), steps=int(sys.argv[2]), store=sys.argv[1], device="cpu")
result.save(sys.argv[3])
"""


def test_a_killed_run_continues_and_ends_in_the_same_file(tmp_path, start_program):
    def start(store, out):
        return start_program(KILLED.replace('"abc"', 'tuple("abc")'), store, 800, out)

    store = tmp_path / "killed"
    first = start(store, tmp_path / "one")
    while first.poll() is None and len(list(store.rglob("*.json"))) < 6:  # four of clean accuracy, two of PGD
        time.sleep(0.005)
    first.kill()
    kept = {path: path.stat().st_mtime_ns for path in store.rglob("*.json")}
    assert not (tmp_path / "one").exists()
    assert start(store, tmp_path / "one").wait().returncode == 0
    assert kept.items() <= {path: path.stat().st_mtime_ns for path in store.rglob("*.json")}.items()
    assert start(tmp_path / "fresh", tmp_path / "two").wait().returncode == 0
    files = ["results.json", "robustness.csv", "robustness.svg"]
    assert all((tmp_path / "one" / file).read_bytes() == (tmp_path / "two" / file).read_bytes() for file in files)


@pytest.mark.parametrize(
    "changed",
    [
        {"steps": 4},
        {"step_size": 0.01},
        {"restarts": 2},
        {"seed": 1},
        {"eot": 2},
        {"norm": "l2"},
        {"attack": "pgd(random_start=false)"},
    ],
)
def test_whatever_decides_an_outcome_is_in_its_key(linear, tmp_path, changed):
    options = {"eps": 0.03, "steps": 3, "store": tmp_path / "s", "device": "cpu"}
    ga.robustness(linear.classifier(), linear.images(9), **options)
    before = set((tmp_path / "s").rglob("*.json"))
    ga.robustness(linear.classifier(), linear.images(9), **(options | changed))
    assert set((tmp_path / "s").rglob("*.json")) - before


# The result


def test_a_saved_result_comes_back_whole(linear, tmp_path):
    attacks = ["pgd", nothing, "smoothing(n=50)", "gaussian(samples=5)"]
    result = ga.robustness(linear.classifier(), linear.images(20), attack=attacks, device="cpu")
    loaded = ga.load_result(result.save(tmp_path / "out"))
    assert loaded.to_json() == result.to_json() == Result.from_json(json.loads(json.dumps(result.to_json()))).to_json()
    assert np.array_equal(loaded.withstood("worst", 0.1), result.withstood("worst", 0.1))
    pd.testing.assert_frame_equal(loaded.table, result.table)
    pd.testing.assert_frame_equal(pd.read_csv(tmp_path / "out" / "robustness.csv"), result.table, check_dtype=False)
    words = (tmp_path / "out" / "robustness.svg").read_text(encoding="utf-8")
    assert all(f"<!-- {name}" in words for name in ("pgd", "worst", "smoothing", "gaussian"))


def test_what_was_not_measured_is_said(linear):
    result = ga.robustness(linear.classifier(), linear.images(4), device="cpu")
    for argument, ask in (
        ("attack", lambda: result.withstood("autoattack", 0.1)),
        ("eps", lambda: result.withstood("pgd", 0.2)),
        ("measure", lambda: result.certificates()),
    ):
        with pytest.raises(InputError, match=rf"^`{argument}`"):
            ask()


def test_the_mean_of_passes_is_the_mean_of_logits():
    from gradaudit.instruments.robustness.subject import Averaged

    inner = nn.Sequential(nn.Flatten(), nn.Linear(4, 3), nn.Dropout(0.5)).train()
    images = torch.rand(2, 1, 2, 2)
    torch.manual_seed(0)
    found = Averaged(inner, 5)(images)
    torch.manual_seed(0)
    assert torch.allclose(found, torch.stack([inner(images) for _ in range(5)]).mean(0))
