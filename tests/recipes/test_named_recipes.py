"""Recipes by name: each is whole, runs, and can be overridden."""

import re

import pytest
import torch

import gradaudit as ga
from gradaudit.devices import seeded
from gradaudit.errors import InputError
from gradaudit.training import OBJECTIVES, Recipe, named_recipe, recipe_summaries

SHAPES = {"mnist": (1, 28, 28), "fashion-mnist": (1, 28, 28), "cifar10": (3, 32, 32)} | dict.fromkeys(
    ("learners", "evaluators"), (2, 12, 12)
)


@pytest.mark.parametrize("name", recipe_summaries())
def test_a_recipe_builds_its_network_and_its_objective_gives_a_loss(name):
    recipe = named_recipe(name)
    shape = SHAPES[name.partition("/")[0]]
    with seeded(0):
        classifier = recipe.build(shape, 10)
        images, labels = torch.rand(2, *shape), torch.tensor([3, 7])
        loss = OBJECTIVES.bind("objective", recipe.objective)(classifier, images, labels)
    assert bool(loss.isfinite())
    assert recipe_summaries()[name].endswith(".")
    assert recipe.seed == 0


def test_the_radius_in_a_name_is_the_objectives():
    checked = 0
    for name in recipe_summaries():
        found = re.fullmatch(r"[\w-]+/(?:trades-)?(l2|linf|noise)-([\d.]+)", name)
        if found:
            _, value = named_recipe(name).strength()
            radius = float(found[2])
            assert value == (radius / 255 if radius > 3 else radius), name
            assert found[1] in named_recipe(name).objective
            checked += 1
    assert checked >= 14


def test_the_recipes_that_were_promised_are_there():
    assert {"mnist/standard", "mnist/l2-2", "mnist/linf-0.3", "mnist/gradient-penalty", "mnist/noise-0.25"} <= set(
        recipe_summaries()
    )
    assert {"fashion-mnist/standard", "cifar10/standard", "cifar10/l2-0.25", "cifar10/l2-0.5"} <= set(recipe_summaries())
    assert {"cifar10/l2-1.0", "cifar10/linf-8"} <= set(recipe_summaries())


def test_a_gradient_penalty_comes_with_a_smooth_activation():
    for name in recipe_summaries():
        if "gradient_penalty" in named_recipe(name).objective:
            assert "activation=silu" in named_recipe(name).network


def test_fields_override_the_recipes():
    recipe = ga.named_recipe("mnist/l2-2", epochs=3, network={"name": "mlp", "width": 8})
    assert recipe == named_recipe("mnist/l2-2").with_(epochs=3, network="mlp(width=8)")
    assert recipe.objective == "adversarial(eps=2.0, norm=l2, steps=7)"
    assert named_recipe("mnist/standard").objective == "standard"
    assert isinstance(recipe, Recipe)


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("mnist/l2", r"the name of a recipe: .*cifar10/standard.*\(did you mean 'mnist/l2-2'\?\)"),
        ("nothing", r"the name of a recipe: "),
        (3, "a name such as"),
    ],
)
def test_an_unknown_name_is_refused(name, words):
    with pytest.raises(InputError, match=rf"^`recipe` \(={name!r}\) must be {words}"):
        named_recipe(name)


def test_an_override_out_of_range_is_named():
    with pytest.raises(InputError, match="`epochs`"):
        named_recipe("mnist/standard", epochs=0)
    with pytest.raises(InputError, match="`about`"):
        named_recipe("mnist/standard", about="mine")


@pytest.mark.parametrize(("prefix", "least"), [("learners/", 3), ("evaluators/", 3)])
def test_what_sees_masked_images_takes_every_image_as_it_is(prefix, least):
    found = [named_recipe(name) for name in recipe_summaries() if name.startswith(prefix)]
    assert len(found) >= least
    # A mirrored or moved image keeps other features than the mask kept.
    assert {(one.objective, one.augment, one.normalisation) for one in found} == {("standard", "none", "none")}
