"""The fitting loop: data on the device, batches drawn by index, no DataLoader, one-cycle schedule, mixed precision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from math import ceil, isfinite
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.devices import resolve_precision
from gradaudit.errors import TrainingError
from gradaudit.training.augmentation import augmented
from gradaudit.training.objectives._helper import helper_of
from gradaudit.training.recipe import OBJECTIVES, OPTIMIZERS, Recipe
from gradaudit.training.run import TrainingRun

Draw = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From indices (n,) to float images (n, C, H, W) in [0, 1] and int64 labels (n,), both on the device."""


@torch.enable_grad()
def fit(
    classifier: nn.Module,
    draw: Draw,
    count: int,
    recipe: Recipe,
    *,
    device: torch.device,
    after_epoch: Callable[[int, float], None] = lambda epoch, loss: None,
    start: Mapping[str, Any] | None = None,
    after_step: Callable[[TrainingRun], None] = lambda run: None,
) -> None:
    """Train `classifier`, which is on `device`, in place; the random state must have been seeded by the caller.

    Args:
        classifier: images in [0, 1] to logits.
        draw: gives the images and labels at indices below `count`.
        count: number of training images.
        recipe: objective, schedule and precision; its network is not used.
        device: where the classifier is and the batches come from.
        after_epoch: called with the number of epochs done and the mean loss of the last one; the classifier has its averaged
            weights then, where the recipe asks for an average.
        start: the `state` of a run, to go on from as if nothing had happened.
        after_step: called after each step with the run as it stands; after an epoch's last step, when `after_epoch` is done.

    Raises:
        TrainingError: the loss is no longer finite.
    """
    classifier.to(memory_format=memory_format(classifier)).train()  # type: ignore[call-overload]
    steps = ceil(count / recipe.batch_size)
    run = TrainingRun(classifier, optimizer_of(classifier.parameters(), recipe), recipe.ema, steps, device)
    if start is not None:
        run.load(start)
    weights = [weight for weight in classifier.parameters() if weight.requires_grad]
    objective = objective_of(recipe, draw, count, device)
    total = recipe.epochs * steps
    while run.step < total:
        # Batches of equal size: from a batch size of 3 on, no last batch of one image upsets batch norm.
        for indices in run.batches(count):
            images, labels = draw(indices)
            set_rate(run.optimizer, recipe, run.step, total)
            run.optimizer.zero_grad(set_to_none=True)
            with autocast(recipe, device):
                loss = objective(classifier, augmented(images, recipe.augment), labels, indices, share=(run.step + 0.5) / total)
            # Not towards the images, even where the objective has asked for their gradient.
            loss.backward(inputs=weights)  # type: ignore[no-untyped-call]
            run.optimizer.step()
            run.count(loss)
            if not run.between_epochs:
                after_step(run)
        mean, epoch = float(run.total) / steps, run.step // steps
        if not isfinite(mean):
            raise TrainingError(f"the loss of epoch {epoch} is {mean}: lower `learning_rate` (={recipe.learning_rate})")
        with run.average.shown() if run.average else nullcontext():
            after_epoch(epoch, mean)
        after_step(run)
    if run.average:
        run.average.settle()


def accuracy(classifier: nn.Module, draw: Draw, count: int, recipe: Recipe, *, device: torch.device, batch: int = 512) -> float:
    """The share of `count` images that the classifier, in evaluation mode, gives their label."""
    return int(correct(classifier, draw, count, recipe, device=device, batch=batch).sum()) / count


@torch.no_grad()
def correct(classifier: nn.Module, draw: Draw, count: int, recipe: Recipe, *, device: torch.device, batch: int = 512) -> Tensor:
    """Boolean (count,), on the CPU: which images the classifier, put into evaluation mode, gives their label."""
    classifier.eval()
    hits = torch.zeros(count, dtype=torch.bool, device=device)
    for indices in torch.split(torch.arange(count), batch):
        images, labels = draw(indices)
        with autocast(recipe, device):
            logits = classifier(images)
        hits[indices.to(device)] = logits.argmax(dim=1) == labels
    return hits.cpu()


def autocast(recipe: Recipe, device: torch.device) -> AbstractContextManager[object]:
    """Mixed precision where the recipe asks for it; entered anew for each step, for it caches the cast weights."""
    if resolve_precision(recipe.precision, device) == "fp32":
        return nullcontext()
    return torch.autocast(device.type, dtype=torch.bfloat16)


def memory_format(classifier: nn.Module) -> torch.memory_format:
    """Channels last for convolutions, which run faster so on CPU and GPU; contiguous for others and for group norm's networks."""
    kinds = {type(module) for module in classifier.modules()}
    # Group norm is several times slower channels last: a U-Net's step on a CPU takes 0.50 s instead of 0.41 s.
    return torch.channels_last if nn.Conv2d in kinds and nn.GroupNorm not in kinds else torch.contiguous_format


def objective_of(recipe: Recipe, draw: Draw, count: int, device: torch.device) -> Callable[..., Tensor]:
    """The objective, as a function that also takes the images' indices and the share of the training that is done.

    Args:
        recipe, draw, count, device: as in `fit`.
    """
    objective: Any = OBJECTIVES.bind("objective", recipe.objective)
    helper = helper_of(objective.func)
    prepared = None if helper is None else helper.prepared(recipe.objective_options(), draw, count, device)
    name, full = recipe.strength()

    def now(classifier: nn.Module, images: Tensor, labels: Tensor, indices: Tensor, *, share: float) -> Tensor:
        rising = {name: full * share / recipe.ramp} if name is not None and share < recipe.ramp else {}
        if prepared is not None:
            return prepared(classifier, images, labels, indices, **rising)
        loss: Tensor = objective(classifier, images, labels, **rising)
        return loss

    return now


def optimizer_of(weights: Iterable[Tensor], recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer of these weights, at the schedule's highest learning rate; see `set_rate`."""
    made: torch.optim.Optimizer = OPTIMIZERS.bind("optimizer", recipe.optimizer)(weights, recipe.learning_rate, recipe.weight_decay)
    for group in made.param_groups:
        group.setdefault("relative", float(group["lr"]) / recipe.learning_rate)  # the schedule sets `lr` anew at every step
    return made


def set_rate(optimizer: torch.optim.Optimizer, recipe: Recipe, step: int, total: int) -> None:
    """Give the optimizer the recipe's learning rate for this step of so many."""
    rise = recipe.warmup * total
    position = step + 0.5
    share = position / rise if position < rise else (total - position) / (total - rise)
    for group in optimizer.param_groups:
        group["lr"] = recipe.learning_rate * share * group.get("relative", 1.0)
