"""What makes an evaluator: a recipe, or a network of the user's that is fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gradaudit.classifiers import check_classifier, classifier_fingerprint
from gradaudit.devices import seeded
from gradaudit.errors import InputError, first_line, require
from gradaudit.evaluator.network import SeesMask, build_with_mask
from gradaudit.images import ImageSet
from gradaudit.training.learners import read_learner
from gradaudit.training.recipe import Recipe

FINE_TUNE = "evaluators/fine-tune"

EvaluatorLike = str | Mapping[str, Any] | Recipe | nn.Module


@dataclass(frozen=True, eq=False)
class EvaluatorSpec:
    """A checked way to an evaluator.

    Args:
        recipe: of the training; its network as well, unless there is one of the user's.
        own: the user's network.
        fingerprint: of the network that is trained.
    """

    recipe: Recipe
    own: nn.Module | None
    fingerprint: str

    @property
    def name(self) -> str:
        """The network, in words."""
        return self.recipe.network if self.own is None else type(self.own).__name__

    def build(self, images: ImageSet, mask_channels: int) -> nn.Module:
        """The network before its training, for these images; its weights are drawn from the caller's random state."""
        if self.own is None:
            return build_with_mask(self.recipe, images.shape, mask_channels, len(images.classes))
        return SeesMask(self.own, images.floats([0, len(images) - 1]), mask_channels)


def resolve_evaluator(
    evaluator: Any, images: ImageSet, mask_channels: int, fine_tune: Any = FINE_TUNE, argument: str = "evaluator"
) -> EvaluatorSpec:
    """The way to an evaluator that is meant.

    Args:
        evaluator: a recipe, the name of one, the spec of a network for the default recipe, or a network of the user's from images
            (N, C, H, W) in [0, 1] to logits, which is copied and fine-tuned.
        images: on which it is trained.
        mask_channels: of a mask.
        fine_tune: the recipe, or the name of one, by which a network of the user's is fine-tuned; its network is not used.
        argument: the word for it in errors.

    Raises:
        InputError: it is none of these, or can't take these images with their masks.
    """
    own = evaluator if isinstance(evaluator, nn.Module) else None
    described: Any = evaluator if own is None else type(evaluator).__name__
    if own is not None:
        own, _ = check_classifier(own, images, argument)
    recipe = evaluator_recipe(argument, evaluator) if own is None else evaluator_recipe("fine_tune", fine_tune)
    spec = EvaluatorSpec(recipe, own, "")
    try:
        with seeded(recipe.seed), torch.no_grad():
            network = spec.build(images, mask_channels).eval()
            weight = next(network.parameters(), torch.empty(0))
            seen = torch.zeros(2, images.shape[0] + mask_channels, *images.shape[1:], device=weight.device)
            logits = network(seen)
    except Exception as error:  # a user's module may raise anything
        small = min(images.shape[1:]) < 8 and own is None
        hint = "; for images less than 8 pixels high or wide take evaluators/mlp" if small else ""
        expected = (
            f"a recipe, the name of one, or a network for images of {images.shape} with {mask_channels} channels of a mask{hint}"
            f" ({type(error).__name__}: {first_line(error)})"
        )
        raise InputError(argument, described, expected) from error
    require(logits.shape[1] >= len(images.classes), argument, described, f"one of at least {len(images.classes)} logits")
    return EvaluatorSpec(recipe, own, classifier_fingerprint(network))


def evaluator_recipe(argument: str, recipe: Any, **fields: Any) -> Recipe:
    """The recipe that is meant, as `read_learner` has it, with some fields changed.

    Raises:
        InputError: it is none, which is said of the argument; or a field is out of its range.
    """
    try:
        return read_learner(recipe, **fields)
    except InputError as error:
        if error.argument in fields:
            raise
        raise InputError(argument, recipe, f"a recipe, the name of one, or a network ({error})") from None
