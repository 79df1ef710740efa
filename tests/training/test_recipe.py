"""Recipes: checked, canonical, frozen, and the same after a round trip."""

import functools
import importlib
import json
import pickle
import sys

import cloudpickle
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from gradaudit.devices import resolve_precision, seeded
from gradaudit.errors import InputError
from gradaudit.training.recipe import OBJECTIVES, Recipe

recipes = st.builds(
    Recipe,
    network=st.sampled_from(["mlp", "mlp(width=64)", "linear", "lenet5", {"name": "mlp", "depth": 3, "activation": "silu"}]),
    objective=st.sampled_from(["standard", "adversarial(norm=linf, eps=0.1)", {"name": "adversarial", "step_size": None}]),
    normalisation=st.sampled_from(["none", "mnist", "0.5/0.25"]),
    epochs=st.integers(1, 99),
    batch_size=st.integers(1, 4096),
    optimizer=st.sampled_from(["sgd", "adamw", "muon", "muon(others=2.0)"]),
    learning_rate=st.floats(1e-9, 1e9),
    weight_decay=st.floats(0, 1),
    warmup=st.floats(0, 1, exclude_max=True),
    precision=st.sampled_from(["auto", "fp32", "bf16"]),
    seed=st.integers(0, 2**63 - 1),
)


@given(recipes)
def test_a_recipe_comes_back_from_what_it_says(recipe):
    assert Recipe(**recipe.model_dump()) == recipe
    assert Recipe(**json.loads(json.dumps(recipe.model_dump()))) == recipe
    assert Recipe.model_validate_json(recipe.model_dump_json()) == recipe
    assert pickle.loads(pickle.dumps(recipe)) == recipe
    assert hash(recipe.with_()) == hash(recipe)
    assert recipe.with_() == recipe


@pytest.mark.parametrize(
    ("field", "written", "canonical"),
    [
        ("network", {"name": "mlp", "width": 64}, "mlp(width=64)"),
        ("network", {"width": np.int64(64), "name": "mlp"}, "mlp(width=64)"),
        ("network", "mlp( depth=3,width = 64 )", "mlp(depth=3, width=64)"),
        ("network", "my.networks:build(width=3)", "my.networks:build(width=3)"),
        ("objective", {"name": "adversarial", "norm": "l2", "eps": 2.0}, "adversarial(eps=2.0, norm=l2)"),
        ("objective", 'adversarial(norm="l2", eps=2.0)', "adversarial(eps=2.0, norm=l2)"),
        ("normalisation", None, "none"),
        ("normalisation", "none", "none"),
    ],
)
def test_a_spec_is_kept_in_its_canonical_form(field, written, canonical):
    recipe = Recipe(**{field: written})
    assert getattr(recipe, field) == canonical
    assert recipe == Recipe(**{field: canonical})


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("network", "mlpp", r"the name of a network: .*did you mean 'mlp'"),
        ("network", "mlp(breadth=3)", r"given options that mlp has: .*width=512"),
        ("network", "mlp(", r'written like "name\(option=value'),
        ("network", 3, "a name such as"),
        ("network", {"name": "mlp", "activation": torch.nn.ReLU}, "given options that can be written down"),
        ("network", {"name": "mlp", "width": float("inf")}, "given options that can be written down"),
        ("objective", "adversial", r"the name of an objective: .*did you mean 'adversarial'"),
        ("objective", "adversarial(epsilon=1)", r"given options that adversarial has: norm='l2', eps=1.0"),
        ("objective", None, "a name such as"),
        ("normalisation", "cifar", "one of none, mnist"),
        ("epochs", 0, "greater than or equal to 1$"),
        ("epochs", 1.5, "integer"),
        ("epochs", "many", "integer"),
        ("batch_size", 0, "greater than or equal to 1$"),
        ("optimizer", "adam", r"the name of an optimizer: adamw, muon, sgd \(did you mean 'adamw'\?\)$"),
        ("optimizer", "sgd(momentum=0.5)", "given options that sgd has: none$"),
        ("optimizer", None, "a name such as"),
        ("learning_rate", 0, "greater than 0$"),
        ("learning_rate", float("nan"), "finite"),
        ("learning_rate", float("inf"), "finite"),
        ("weight_decay", -1e-4, "greater than or equal to 0$"),
        ("warmup", 1, "less than 1$"),
        ("warmup", -0.1, "greater than or equal to 0$"),
        ("precision", "fp16", "'auto', 'fp32' or 'bf16'$"),
        ("seed", -1, "greater than or equal to 0$"),
        ("seed", 2**63, "less than"),
        ("lr", 0.1, r"left out: a recipe has only network, objective, .*seed$"),
    ],
)
def test_a_bad_field_is_named(field, value, words):
    with pytest.raises(InputError, match=rf"^`{field}` \(=.*\) must be .*({words})") as caught:
        Recipe(**{field: value})
    assert caught.value.argument == field


def test_with_checks_too_and_leaves_the_original():
    recipe = Recipe()
    assert recipe.with_(epochs=7, network={"name": "mlp", "width": 8}).network == "mlp(width=8)"
    assert recipe == Recipe()
    with pytest.raises(InputError, match="`epochs`"):
        recipe.with_(epochs=0)


def test_a_recipe_cannot_be_changed():
    recipe = Recipe()
    with pytest.raises(ValidationError, match="frozen"):
        recipe.epochs = 3
    assert recipe.epochs == 5


def test_a_recipe_builds_its_network_behind_its_normalisation():
    images = torch.rand(4, 1, 8, 8)
    recipe = Recipe(network="linear", normalisation="0.5/0.25")
    with seeded(3):
        built = recipe.build((1, 8, 8), 5)
    with seeded(3):
        plain = recipe.with_(normalisation="none").build((1, 8, 8), 5)
    assert torch.allclose(built(images), plain((images - 0.5) / 0.25), atol=1e-6)
    with seeded(4):
        other = recipe.build((1, 8, 8), 5)
    assert not torch.equal(other(images), built(images))


def test_a_network_that_cannot_take_the_images_is_an_error():
    with pytest.raises(InputError):
        Recipe(network="lenet5").build((1, 2, 2), 10)
    with pytest.raises(InputError, match="normalisation"):
        Recipe(normalisation="cifar10").build((1, 28, 28), 10)
    with pytest.raises(InputError, match="width"):
        Recipe(network="mlp(width=0)").build((1, 28, 28), 10)


def test_the_objectives_are_found_by_name():
    assert {"standard", "adversarial"} <= set(OBJECTIVES.names())
    assert OBJECTIVES.summary("standard") == "Mean cross-entropy of the labels."


OWN = """
from torch.nn import functional as F

SCALE = 1.0

def smoothed(classifier, images, labels, *, amount=0.1):
    return scaled(F.cross_entropy(classifier(images), labels, label_smoothing=amount))

def scaled(loss):
    return SCALE * loss
"""


def test_a_key_says_precision_and_the_code_of_a_users_own_functions(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    device, found = torch.device("cpu"), []
    assert Recipe().key(device) == Recipe().model_dump() | {"precision": resolve_precision("auto", device)}
    for text in (OWN, OWN, OWN.replace("SCALE = 1.0", "SCALE = 2.50")):
        (tmp_path / "held_objectives.py").write_text(text)
        monkeypatch.delitem(sys.modules, "held_objectives", raising=False)
        importlib.invalidate_caches()
        module = importlib.import_module("held_objectives")
        recipe = Recipe(objective=functools.partial(module.smoothed, amount=0.2))
        assert recipe.objective == "held_objectives:smoothed(amount=0.2)"
        found.append(recipe.key(device))
    assert found[0] == found[1] != found[2]
    assert [*found[0]["own"]] == ["held_objectives:smoothed"]
    monkeypatch.delitem(sys.modules, "held_objectives")


def test_another_librarys_network_is_no_users_own():
    assert "own" not in Recipe(network="timm:resnet18").key(torch.device("cpu"))


def test_a_recipe_takes_a_scripts_functions_to_a_process_that_lacks_them(monkeypatch):
    main = sys.modules["__main__"]
    monkeypatch.setattr("gradaudit.registry._CARRIED", {})
    monkeypatch.setattr(main, "brought", lambda shape, classes: torch.nn.Flatten(), raising=False)
    recipe = Recipe(network="__main__:brought")
    sent = cloudpickle.dumps(recipe)
    monkeypatch.delattr(main, "brought")
    with pytest.raises(InputError, match="must be importable"):
        recipe.build((1, 2, 2), 2)
    assert pickle.loads(sent) == recipe
    assert isinstance(recipe.build((1, 2, 2), 2), torch.nn.Flatten)
