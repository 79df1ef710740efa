"""The arguments of `diffroar`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from gradaudit.attributions import Attribution, each_named, resolve_attribution
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import seeded
from gradaudit.errors import InputError, first_line, require
from gradaudit.evaluator import build_with_mask
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar.options import DiffROAROptions
from gradaudit.instruments.diffroar.unmasking import Content
from gradaudit.training.learners import check_sets
from gradaudit.training.recipe import Recipe

SPLITS = ("train", "test")


def named_attributions(attribution: Any, seed: int) -> dict[str, dict[str, Attribution]]:
    """The audited attributions by name, each resolved for training and test images; scores that are no pair for test images alone.

    Raises:
        InputError: there is none, one of them is not an attribution, or two have one name.
    """
    several = isinstance(attribution, (list, tuple)) and not _is_pair(attribution)
    named: dict[str, dict[str, Attribution]] = {}
    for name, value in each_named(attribution if several else [attribution]):
        resolved = _for_each_split(value, seed)
        label = name or resolved["test"].name
        require(label not in named, "attribution", label, "named differently from the other attributions")
        named[label] = resolved
    require(len(named) > 0, "attribution", attribution, "at least one attribution")
    return named


def check_images(train: ImageSet, test: ImageSet) -> None:
    """Raise `InputError` unless learners can be fitted on the ranked features of the one set and measured on the other."""
    check_sets(train, test)
    require(train.shape[1] * train.shape[2] > 1, "train", train, "of images of at least two pixels")
    require(len(test) > 1, "test", test, "at least two images: half of them calibrates the learners for the other half")


def check_learner_of_both(recipe: Recipe, images: ImageSet, mask_channels: int) -> str:
    """The fingerprint of the recipe's network for these images with a mask as further channels.

    Raises:
        InputError: the network can't take these.
    """
    channels, height, width = images.shape
    seen = torch.zeros(2, channels + mask_channels, height, width)
    try:
        with seeded(recipe.seed), torch.no_grad():
            network = build_with_mask(recipe, images.shape, mask_channels, len(images.classes)).eval()
            network(seen)
    except Exception as error:  # a user's module may raise anything
        expected = (
            f"one for any number of channels, such as the {seen.shape[1]} of an image with its mask; or give conditional=False"
            f" ({type(error).__name__}: {first_line(error)})"
        )
        raise InputError("learner", recipe.network, expected) from error
    return classifier_fingerprint(network)


def resolve_contents(options: DiffROAROptions) -> dict[str, Content]:
    """What learners see besides whole images, by the prefix of its columns in the table; nothing where none is fitted.

    Raises:
        InputError: selection is asked for where learners are retrained; or the conditional measure without the mask-only learners
            that it compares with.
    """
    if options.evaluate == "values":
        return {"both_": "both"} if options.selection else {}
    require(not options.selection, "selection", True, 'False with evaluate="retrain", which has mask and pixels anyway')
    conditional = options.conditional
    require(options.mask_only or not conditional, "conditional", conditional, "left out, or False, without mask_only")
    contents: dict[str, Content] = {"": "image"}
    if options.mask_only:
        contents["mask_"] = "mask"
        if conditional is not False:
            contents["both_"] = "both"
    return contents


def _for_each_split(value: Any, seed: int) -> dict[str, Attribution]:
    if _is_scores(value):
        return {"test": resolve_attribution(value, seed=seed)}
    pair = value if isinstance(value, tuple) else (value, value)
    expected = "a pair where scores are given: those of the training and those of the test images"
    require(_is_pair(pair) if any(map(_is_scores, pair)) else not isinstance(value, tuple), "attribution", value, expected)
    return {part: resolve_attribution(half, seed=seed) for part, half in zip(SPLITS, pair, strict=True)}


def _is_pair(value: Sequence[Any]) -> bool:
    return isinstance(value, tuple) and len(value) == 2 and all(map(_is_scores, value))


def _is_scores(value: Any) -> bool:
    if isinstance(value, Attribution):
        return value.scores is not None
    return isinstance(value, (Tensor, np.ndarray, os.PathLike)) or (isinstance(value, str) and value.endswith(".npy"))


def check_pairs(attributions: Mapping[str, Mapping[str, Attribution]]) -> None:
    """Raise `InputError` where scores of the test images alone are given, and training images are to be ranked as well."""
    expected = "a pair of scores, of the training and the test images: learners are fitted on ranked training images as well"
    for name, parts in attributions.items():
        require(set(parts) == set(SPLITS), "attribution", name, expected)
