"""What instruments that train ask of their images, seeds and learner."""

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit import ImageSet, Recipe
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.errors import InputError
from gradaudit.training import named_recipe
from gradaudit.training.learners import check_alike, check_recipe, check_seeds, check_sets, read_learner, shared_caveat


def images(labels=(0, 1, 1), shape=(1, 4, 4), classes=("a", "b")) -> ImageSet:
    return ImageSet(torch.zeros(len(labels), *shape, dtype=torch.uint8), torch.tensor(labels), classes)


@pytest.mark.parametrize("check", [check_alike, check_sets])
@pytest.mark.parametrize(
    ("train", "test", "argument"),
    [
        ([1], images(), "train"),
        (images(), None, "test"),
        (images(), images(shape=(3, 4, 4)), "test"),
        (images(), images(classes=("a", "c")), "test"),
    ],
)
def test_sets_that_do_not_go_together_are_refused(check, train, test, argument):
    with pytest.raises(InputError, match=f"^`{argument}`"):
        check(train, test)


def test_one_class_alone_teaches_no_labels():
    one = images(labels=(1, 1))
    check_alike(one, images())
    check_sets(images(), one)
    with pytest.raises(InputError, match=r"^`train`.*two classes that occur"):
        check_sets(one, images())


def test_seeds_count_from_the_first_or_are_those_given():
    assert check_seeds(3, 5) == (5, 6, 7)
    assert check_seeds([4, np.int64(2)], 5) == (4, 2)


@pytest.mark.parametrize("seeds", [0, -1, True, 1.5, (), (1, 1), (1, -2), (1, True), (2**63,), "12", None])
def test_other_seeds_are_refused(seeds):
    with pytest.raises(InputError, match=r"^`seeds`"):
        check_seeds(seeds, 0)


def test_a_learner_is_a_recipe_or_a_network_and_its_fingerprint_is_that_of_the_network_it_starts_as():
    recipe, network = check_recipe("linear", images())
    assert recipe == Recipe(network="linear")
    torch.manual_seed(recipe.seed)
    assert network == classifier_fingerprint(recipe.build((1, 4, 4), 2))
    again, other = check_recipe(recipe.with_(seed=1), images())
    assert again.seed == 1
    assert other != network


def test_a_learner_may_be_a_recipes_name():
    recipe, network = check_recipe("learners/fast-mlp", images())
    assert recipe == named_recipe("learners/fast-mlp")
    assert network == check_recipe(recipe, images())[1]


@pytest.mark.parametrize("learner", ["mlp(width=8)", "learners/fast-mlp", Recipe(network="linear", learning_rate=3)])
def test_fields_take_the_place_of_the_learners_own(learner):
    plain = read_learner(learner)
    assert read_learner(learner, epochs=7) == plain.with_(epochs=7) != plain


def test_a_network_with_a_slash_in_its_options_is_no_recipes_name():
    assert read_learner("linear").network == "linear"
    with pytest.raises(InputError, match=r"^`network` .*the name of a network"):
        read_learner("lineal(name='a/b')")


def one_logit(shape, classes):
    return nn.Sequential(nn.Flatten(), nn.Linear(16, 1))


@pytest.mark.parametrize("learner", [3, "no_such_network", "learners/no_such", f"{__name__}:one_logit"])
def test_other_learners_are_refused_under_the_name_that_the_caller_knows(learner):
    with pytest.raises(InputError, match=r"^`base`"):
        check_recipe(learner, images(), "base")


def test_a_misspelt_name_of_a_recipe_is_told_the_right_one():
    with pytest.raises(InputError, match=r"^`learner`.*\(did you mean 'learners/fast-mlp'\?\)"):
        check_recipe("learners/fast_mlp", images())


@pytest.mark.parametrize(("shared", "words"), [(1, "1 of the 2,000 test images (0.1%) stands in"), (900, "(45.0%) stand in")])
def test_shared_images_are_told(shared: int, words: str) -> None:
    assert words in shared_caveat(shared, 2000)
