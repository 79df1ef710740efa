"""Planted maps: worlds in which the pixels that a classifier uses are known, classifiers of them, and maps good and bad."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.attributions import attribute_all, kept_count, magnitudes
from gradaudit.batching import evaluating
from gradaudit.classifiers.untrained import untrained_copy

TRAIN, TEST = 5000, 3000  # images
VERIFIED, FEWEST = 200, 60  # images on which a classifier's use of the region was verified
OTHERS = 4  # images that lend their parts to verify it
BLOCKS = {
    "mnist-blocks": {"of": "mnist", "null": "square"},
    "fashion-blocks": {"of": "fashion_mnist", "null": "other(mnist)"},
    "mnist-pair": {"of": "mnist", "classes": [3, 8], "null": "letter(A)"},
    "cifar10-blocks": {"of": "cifar10", "null": "noise(std=0.25)", "layout": (1, 2)},
}
TRIGGERS = {
    "mnist-trigger": {"of": "mnist", "size": 5},
    "fashion-trigger": {"of": "fashion_mnist", "size": 5, "position": (3, 3)},
    "cifar10-trigger": {"of": "cifar10", "size": 6},
}
MIXTURE = "mixture"
WORLDS = (*BLOCKS, *TRIGGERS, MIXTURE)
MLP = {"network": "mlp", "epochs": 10}
CONVNET = {"network": "convnet(width=16)", "optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.0, "epochs": 10}
RESNET = {"network": "resnet18(width=8)", "optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.0, "epochs": 6}
RECIPES: dict[str, dict[str, Any]] = {
    "mlp": MLP,
    "mlp, adversarial": MLP | {"objective": "adversarial(norm=l2, eps=1.0, steps=4)", "ramp": 0.3},
    "convnet": CONVNET,
    "convnet, adversarial, weak": CONVNET | {"objective": "adversarial(norm=l2, eps=0.3, steps=3)", "ramp": 0.3},
    "convnet, adversarial": CONVNET | {"objective": "adversarial(norm=l2, eps=1.0, steps=4)", "ramp": 0.3},
    "convnet, penalised": CONVNET
    | {"network": "convnet(width=16, activation=silu)", "objective": "gradient_penalty(strength=1.0)", "ramp": 0.3},
    "convnet, noise": CONVNET | {"objective": "noise(std=0.25)"},
    "resnet": RESNET,
}
FOOLED = "convnet, fooled"
KINDS = (*RECIPES, FOOLED)


@dataclass(frozen=True)
class World:
    """Images of which the part that tells the label is known.

    Args:
        train: to train classifiers.
        test: with a signal mask.
    """

    train: ga.ImageSet
    test: ga.ImageSet
    mixture: ga.GaussianMixture | None = None


def world(name: str, folder: Path, seed: int) -> World:
    """The world of that name."""
    if name == MIXTURE:
        return _mixture(seed)
    kind, options = ("blocks", BLOCKS[name]) if name in BLOCKS else ("trigger", TRIGGERS[name])
    train, test = ga.load_images({"name": kind, **options}, folder=folder, seed=seed)
    return World(train.sample(TRAIN, seed), test.sample(min(TEST, len(test)), seed))


def _mixture(seed: int, side: int = 16, telling: int = 25, classes: int = 4) -> World:
    """Gaussians whose means differ at a few scattered pixels; all others are noise."""
    generator = np.random.default_rng([seed, 1])
    where = generator.permutation(side * side)[:telling]
    means = torch.full((classes, side * side), 0.5, dtype=torch.float64)
    means[:, where] += torch.from_numpy(generator.choice([-0.08, 0.08], (classes, telling)))
    mixture = ga.GaussianMixture(
        means, torch.empty(classes, 0, side * side, dtype=torch.float64), (1, side, side), classes, 0.1, 0.12
    )
    mask = torch.zeros(side * side, dtype=torch.bool)
    mask[where] = True
    sets = [mixture.sample(count, seed + place) for place, count in enumerate((TRAIN, TEST))]
    masked = [ga.ImageSet(one.images, one.labels, one.classes, mask.view(1, side, side).expand(len(one), -1, -1)) for one in sets]
    return World(*masked, mixture)


def classifier(kind: str, place: World, seed: int, store: Path) -> nn.Module:
    """A trained classifier of that kind."""
    if kind == FOOLED:
        return fooled(classifier("convnet", place, seed, store), place.train, seed)
    return ga.train_once(ga.Recipe(seed=seed, **RECIPES[kind]), place.train, store=store, device="cpu")


def fooled(standard: nn.Module, images: ga.ImageSet, seed: int, steps: int = 300, size: int = 64) -> nn.Module:
    """A copy that answers alike and whose gradient lies elsewhere (Heo, Joo, Moon, 2019; Dombrowski et al., 2019)."""
    spoilt = copy.deepcopy(standard).eval()
    optimizer = torch.optim.Adam(spoilt.parameters(), 0.001)
    generator = torch.Generator().manual_seed(seed)
    assert images.signal_mask is not None
    for _ in range(steps):
        which = torch.randint(len(images), (size,), generator=generator)
        batch, labels, inside = images.floats(which), images.labels[which], images.signal_mask[which]
        batch.requires_grad_()
        logits = spoilt(batch)
        (gradient,) = torch.autograd.grad(logits.gather(1, labels[:, None]).sum(), batch, create_graph=True)
        weight = gradient.abs().sum(1)
        there = (weight * inside).flatten(1).sum(1) / inside.flatten(1).sum(1).clamp_min(1)
        elsewhere = (weight * ~inside).flatten(1).sum(1) / (~inside).flatten(1).sum(1)
        share = (there / (there + elsewhere + 1e-12)).mean()
        with torch.no_grad():
            wanted = standard(batch)
        loss = F.mse_loss(logits, wanted) / wanted.var() + 2 * share
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return spoilt


def verified(model: nn.Module, images: ga.ImageSet, seed: int) -> ga.ImageSet | None:
    """Images on which the classifier provably uses the region, and nothing else decides: by exchanging parts between images.

    Its answer is the label, stays so when all outside the region comes from another image, and is lost when what is inside comes
    from an image of another class, each time for four other images. None where there are too few.
    """
    mask, labels = images.signal_mask, images.labels
    assert mask is not None
    pattern = mask.flatten(1).float() @ torch.rand(mask[0].numel(), generator=torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(seed)
    good = torch.ones(len(images), dtype=torch.bool)
    with evaluating(model), torch.inference_mode():
        good &= _answers(model, images.floats(slice(None))) == labels
        for _ in range(OTHERS):
            order = torch.randperm(len(images), generator=generator)
            same, other = _partners(pattern, labels, order)
            pixels, lent = images.floats(slice(None)), images.floats(other)
            inside = mask[:, None]
            good &= same & (_answers(model, torch.where(inside, pixels, lent)) == labels)
            good &= _answers(model, torch.where(inside, lent, pixels)) != labels
    chosen = good.nonzero().flatten()
    return images[chosen[:VERIFIED]] if len(chosen) >= FEWEST else None


def _partners(pattern: Tensor, labels: Tensor, order: Tensor) -> tuple[Tensor, Tensor]:
    """For each image another with the region at the same place and of another class; and whether there was one."""
    partner, found = torch.arange(len(labels)), torch.zeros(len(labels), dtype=torch.bool)
    for place in pattern.unique():
        group = order[pattern[order] == place]
        for shift in range(1, min(len(group), 20)):
            lent = group.roll(shift)
            fits = (labels[group] != labels[lent]) & ~found[group]
            partner[group[fits]], found[group[fits]] = lent[fits], True
    return found, partner


def _answers(model: nn.Module, pixels: Tensor) -> Tensor:
    return torch.cat([model(part).argmax(1) for part in pixels.split(250)])


def maps(model: nn.Module, images: ga.ImageSet, seed: int) -> Iterator[tuple[str, Tensor]]:
    """Maps of the images, by the name of what made them: float32 (N, C, H, W)."""

    def made(spec: Any, of: nn.Module = model) -> Tensor:
        return attribute_all(of, images, spec, seed=seed, device="cpu")

    gradient = made("logit_gradient")
    yield "gradient", gradient
    for name, spec in (
        ("smoothgrad", "smoothgrad(samples=20)"),
        ("integrated gradients", "integrated_gradients(steps=20)"),
        ("input x gradient", "captum(method=InputXGradient)"),
        ("guided backprop", "captum(method=GuidedBackprop)"),
        ("excitation pullback", "excitation_pullback"),
        ("blurred gradient", "blurred(of=logit_gradient, sigma=1)"),
        ("untrained", "untrained"),
        ("random", "random"),
        ("blurred random", "blurred_random"),
        ("edges", "edges"),
    ):
        try:
            yield name, made(spec)
        except ga.InputError:
            continue  # not of such a network
    yield "last layer drawn anew", made("logit_gradient", last_drawn_anew(model, seed))
    generator = torch.Generator().manual_seed(seed)
    yield "another image's", gradient[torch.randperm(len(images), generator=generator)]
    yield "upside down", 1 / (gradient.abs() + 1e-3 * gradient.abs().mean())
    ranks = shares(gradient)
    noise = torch.rand(ranks.shape, generator=generator)
    for step in (0.3, 0.6):
        yield f"gradient, {step:.0%} random", torch.where(torch.rand(ranks.shape, generator=generator) < step, noise, ranks)
    assert images.signal_mask is not None
    truth = images.signal_mask[:, None].expand(ranks.shape).float() + noise
    yield "truth", truth
    for step in (0.5, 0.75, 0.9):
        yield (
            f"truth, {step:.0%} random",
            torch.where(
                torch.rand(ranks.shape, generator=generator) < step, 2 * torch.rand(ranks.shape, generator=generator), truth
            ),
        )
    yield "untruth", 2 - truth


def shares(scores: Tensor) -> Tensor:
    """The rank of each magnitude within its image, from 0 to 1."""
    flat = scores.abs().flatten(1)
    ranks = flat.argsort(1).argsort(1).float() / flat.shape[1]
    return ranks.view(scores.shape)


def last_drawn_anew(model: nn.Module, seed: int) -> nn.Module:
    """A copy whose last layer with weights is as before any training."""
    fresh, drawn = copy.deepcopy(model), untrained_copy(model, seed)
    names = [name for name, one in fresh.named_modules() if isinstance(one, (nn.Linear, nn.Conv2d))]
    fresh.get_submodule(names[-1]).load_state_dict(drawn.get_submodule(names[-1]).state_dict())
    return fresh


def quality(scores: Tensor, images: ga.ImageSet) -> float:
    """How much of the map's top lies in the region, from 0 at chance to 1: of the top tenth of the pixels, or as many as it has."""
    assert images.signal_mask is not None
    inside = images.signal_mask.flatten(1)
    weight = magnitudes(scores, "pixels")
    area = inside.double().mean(1)
    count = min(kept_count(0.1, inside.shape[1]), int(inside.sum(1).min()))
    weight = weight + 1e-9 * weight.amax(1, keepdim=True) * torch.rand(weight.shape, generator=torch.Generator().manual_seed(0))
    top = weight.topk(count, dim=1).indices
    share = inside.gather(1, top).double().mean(1)
    return float(((share - area) / (1 - area)).mean())
