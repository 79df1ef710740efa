"""What every instrument that trains asks of its images, its seeds and its learner, before any work."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import seeded
from gradaudit.errors import InputError, is_whole, require
from gradaudit.images import ImageSet
from gradaudit.training.named import named_recipe
from gradaudit.training.recipe import Recipe


def check_alike(train: Any, test: Any) -> None:
    """Raise `InputError` unless both are image sets, of one shape and the same classes."""
    for argument, images in (("train", train), ("test", test)):
        require(isinstance(images, ImageSet), argument, type(images).__name__, "an ImageSet; load_images makes one")
    require(train.shape == test.shape, "test", test, f"of images like the training ones, {train.shape}")
    require(train.classes == test.classes, "test", test.classes, f"of the training images' classes, {train.classes}")


def check_sets(train: Any, test: Any) -> None:
    """Raise `InputError` unless learners of labels can be fitted on the one set and measured on the other."""
    check_alike(train, test)
    require(int((train.labels.bincount() > 0).sum()) > 1, "train", train, "of at least two classes that occur")


def shared_caveat(shared: int, test_images: int) -> str:
    """What a reader must know where so many of the test images, 1 or more, stand in the training set."""
    some = f"{shared:,} of the {test_images:,} test images ({shared / test_images:.1%}) {'stands' if shared == 1 else 'stand'}"
    return f"{some} in the training set too, pixel for pixel: there, what was learned by heart counts as learned"


def check_seeds(seeds: int | Sequence[int], first: int) -> tuple[int, ...]:
    """The seeds of the fits: those given, or as many as given from `first` on.

    Raises:
        InputError: neither a number above 0 nor a list of different whole numbers.
    """
    if is_whole(seeds) and seeds >= 0:
        require(seeds >= 1, "seeds", seeds, "at least 1; an interval needs at least 2")
        return tuple(range(first, first + seeds))
    expected = "a number of seeds above 0, or a list of different whole numbers, 0 or more"
    found = tuple(seeds) if isinstance(seeds, Iterable) else ()
    whole = all(is_whole(one) and 0 <= one < 2**63 for one in found)
    require(len(found) > 0 and whole and len(set(found)) == len(found), "seeds", seeds, expected)
    return tuple(int(one) for one in found)


def read_learner(learner: Any, **fields: Any) -> Recipe:
    """The recipe given, that of the name given, or the default one with the network given.

    Args:
        learner: a Recipe; the name of one, such as `"learners/fast-convnet"`; or the spec of a network.
        fields: of a `Recipe`, in the place of its own.

    Raises:
        InputError: it is none of these, or a field is out of its range.
    """
    if isinstance(learner, Recipe):
        return learner.with_(**fields)
    if isinstance(learner, str) and _names_recipe(learner):
        return named_recipe(learner, **fields)
    return Recipe(network=learner, **fields)


def check_recipe(learner: Any, images: ImageSet, argument: str = "learner") -> tuple[Recipe, str]:
    """The recipe that is meant, as `read_learner`, and the fingerprint of the network that it builds.

    A user's own network may change under the same name: the fingerprint tells its fits in the store apart.

    Raises:
        InputError: no recipe, name of one or spec of a network; or a network that can't take these images.
    """
    try:
        recipe = read_learner(learner)
        with seeded(recipe.seed):
            network = recipe.build(images.shape, len(images.classes))
    except InputError as error:
        expected = f"a Recipe, the name of one or a network, for images of {images.shape} ({error})"
        raise InputError(argument, learner, expected) from None
    check_classifier(network, images, argument)
    return recipe, classifier_fingerprint(network)


def _names_recipe(text: str) -> bool:
    # Networks have no slash in their names, but options and the names of other libraries' networks may.
    name = text.partition("(")[0]
    return "/" in name and ":" not in name
