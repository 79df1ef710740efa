"""The plain step that can be stacked or captured, and which fits have it and nothing besides."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.devices import seeded
from gradaudit.registry import parse_spec
from gradaudit.training.fitting import autocast
from gradaudit.training.objectives.standard import standard
from gradaudit.training.recipe import OPTIMIZERS, Recipe
from gradaudit.training.together.member import Member, RandomState


def plain_step(
    learner: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, recipe: Recipe, device: torch.device
) -> Tensor:
    """Change the learner's weights by one step of cross-entropy; the loss () before it."""
    optimizer.zero_grad(set_to_none=True)
    with autocast(recipe, device):
        loss = standard(learner, images, labels)
    loss.backward()  # type: ignore[no-untyped-call]
    optimizer.step()
    return loss


def why_not_plain(member: Member, recipe: Recipe, device: torch.device) -> str | None:
    """What the fit asks for besides plain steps that draw nothing at random; None for nothing."""
    unfit = _besides(recipe)
    if unfit:
        return unfit
    learner, images, _ = tried(member, device)
    return "the learner draws at random in its forward pass" if _draws_at_random(learner, images, device) else None


def _besides(recipe: Recipe) -> str | None:
    """What the recipe asks for besides cross-entropy and an optimizer that treats each number by itself; None for nothing."""
    if parse_spec("objective", recipe.objective).name != "standard":
        return f"the objective {recipe.objective} has steps of its own"
    if recipe.augment != "none":
        return "augmentation draws at random within the step"
    if recipe.ema:
        return "the average of the weights is taken between the steps"
    optimizer = OPTIMIZERS.function("optimizer", parse_spec("optimizer", recipe.optimizer).name)
    if not getattr(optimizer, "elementwise", False):
        return f"the optimizer {recipe.optimizer} does not treat each number by itself"
    return None


def tried(member: Member, device: torch.device) -> tuple[nn.Module, Tensor, Tensor]:
    """The member's learner, untrained and in training mode, with four images and their labels."""
    with seeded(member.seed, device):
        learner = member.build().to(device).train()
        images, labels = member.draw(torch.arange(4))
    return learner, images, labels


def _draws_at_random(learner: nn.Module, images: Tensor, device: torch.device) -> bool:
    """Whether the learner's forward pass, as dropout does, takes anything from the random state."""
    state = RandomState(0, device)
    with state.inside():
        before = state.read()
        learner(images)
        return any(not torch.equal(one, other) for one, other in zip(before, state.read(), strict=True))
