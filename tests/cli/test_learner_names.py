"""A learner that DiffROAR retrains, by the name of a recipe."""

import json

import pytest

from gradaudit.training import named_recipe

SMALL = ("--levels", "0.3", "--seeds", 1, "--controls", "none", "--device", "cpu", "--workers", 1, "--json")
QUICK = ("--evaluate", "retrain", "--no-mask-only", *SMALL)


@pytest.mark.parametrize(
    ("options", "fields"), [((), {}), (("--epochs", 1, "--learning-rate", 0.01), {"epochs": 1, "learning_rate": 0.01})]
)
def test_a_recipes_name_brings_all_of_it_but_what_is_said_beside(cli, images, trained, options, fields):
    found = cli("diffroar", trained, images, "--learner", "learners/fast-mlp", *options, *QUICK)
    assert found.status == 0, found.err
    expected = named_recipe("learners/fast-mlp", **fields).model_dump(exclude={"seed"})
    assert json.loads(found.out)["settings"]["learner"] == expected


def test_a_network_has_the_default_recipe(cli, images, trained):
    found = cli("diffroar", trained, images, "--learner", "linear", *QUICK)
    learner = json.loads(found.out)["settings"]["learner"]
    assert (learner["network"], learner["epochs"], learner["batch_size"], learner["learning_rate"]) == ("linear", 5, 128, 0.1)


def test_a_misspelt_name_is_told_the_right_one(cli, images, trained):
    found = cli("diffroar", trained, images, "--learner", "learners/fast-mpl", *QUICK)
    assert found.status != 0
    assert "did you mean 'learners/fast-mlp'?" in " ".join(found.err.split())


def test_an_evaluator_by_the_name_of_its_recipe_or_its_network(cli, images, trained):
    for name, epochs in (("evaluators/mlp", 100), ("mlp(width=8)", 5)):
        found = cli("diffroar", trained, images, "--evaluator", name, *SMALL)
        assert found.status == 0, found.err
        assert json.loads(found.out)["settings"]["evaluator"]["epochs"] == epochs
