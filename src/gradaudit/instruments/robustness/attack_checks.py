"""Whether an attack's figures can be trusted: cheap tests on some of the images, of what gradient masking gives away.

Athalye, Carlini and Wagner (2018), section 3.1; Carlini et al. (2019), sections 3 and 4.
"""

from __future__ import annotations

from collections.abc import Mapping
from math import sqrt
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from gradaudit.batching import halving
from gradaudit.instruments.robustness.attacks._counting import sources
from gradaudit.instruments.robustness.methods import Method, call, resolve_methods
from gradaudit.instruments.robustness.outcomes import Outcomes
from gradaudit.instruments.robustness.subject import check_moved, is_label
from gradaudit.training.perturbations import ascent_direction

CHECKED = 64  # images
DRAWS = 50  # random points of the ball for each image
UNBOUNDED_STEPS = 100


def checks(
    outcomes: Outcomes,
    methods: Mapping[str, Method],
    worst: Mapping[float, np.ndarray],
    clean: np.ndarray,
    *,
    randomised: bool,
) -> dict[str, Any]:
    """What the tests found, as shares of the images that they ran on; keys are there only where the test makes sense.

    Args:
        outcomes: of the classifier and images.
        methods: all methods by name.
        worst: for each radius above 0, boolean (N,): the images that keep their label under every attack.
        clean: boolean (N,): the images that are given their label.
        randomised: whether outputs for the same images change from call to call, as `check_classifier` found.

    Returns:
        `randomised`: as given.
        `zero_gradient`: share of correctly classified images whose loss has a gradient of exactly zero.
        `unbounded`: share of these that keep their label under PGD with no bound but [0, 1].
        `noise`: for each radius, the drop in accuracy when random points of the ball join the attacks.
        `more_steps`: the same for twice the steps, by attack.
    """
    found: dict[str, Any] = {"randomised": randomised}
    if not any(method.is_attack for method in methods.values()):
        return found
    chosen = np.flatnonzero(clean)[:CHECKED]
    if len(chosen):
        found |= outcomes.remembered({"method": "gradients", "eot": outcomes.eot}, chosen, lambda: _zero_gradient(outcomes, chosen))
        found["unbounded"] = _unbounded(outcomes, chosen)
    found["noise"] = {f"{eps:g}": _noise(outcomes, eps, kept) for eps, kept in worst.items()}
    found["more_steps"] = {
        method.name: {f"{eps:g}": _more_steps(outcomes, method, eps, kept) for eps, kept in worst.items()}
        for method in methods.values()
        if method.is_attack and method.has("steps") and not method.own
    }
    return found


def _zero_gradient(outcomes: Outcomes, which: np.ndarray) -> dict[str, Any]:
    images, labels = outcomes.batch(which)

    def work(part: slice) -> Tensor:
        inputs = images[part].clone().requires_grad_()
        loss = F.cross_entropy(outcomes.attacked(inputs), labels[part], reduction="sum")
        (gradient,) = torch.autograd.grad(loss, inputs)
        return gradient.flatten(1).abs().amax(dim=1) == 0

    zero = torch.cat([found for _, found in halving(work, len(which), outcomes.attack_batch)])
    return {"zero_gradient": float(zero.double().mean())}


def _unbounded(outcomes: Outcomes, which: np.ndarray) -> float:
    """With no bound but the box, every image can become any other: an attack that fails here fails for want of gradients."""
    eps = 1.0 if outcomes.norm == "linf" else sqrt(outcomes.images[0].images.numel())
    (method,) = resolve_methods("pgd", norm=outcomes.norm, steps=UNBOUNDED_STEPS, seed=outcomes.seed).values()
    return _share_kept(outcomes, method, eps, which)


def _more_steps(outcomes: Outcomes, method: Method, eps: float, kept: np.ndarray) -> float:
    which = np.arange(min(CHECKED, len(kept)))
    standing = which[kept[which]]
    if not len(standing):
        return 0.0
    twice = {"steps": 2 * method.function.keywords["steps"], "step_size": method.function.keywords.get("step_size")}
    return (1 - _share_kept(outcomes, method, eps, standing, **twice)) * len(standing) / len(which)


def _share_kept(outcomes: Outcomes, method: Method, eps: float, which: np.ndarray, **changed: Any) -> float:
    def work() -> dict[str, Any]:
        images, labels = outcomes.batch(which)

        def attack(part: slice) -> Tensor:
            moved = call(method, outcomes.attacked, images[part], labels[part], eps, batch_size=outcomes.attack_batch, **changed)
            return is_label(outcomes.classifier, check_moved(method.name, moved, images[part], outcomes.norm, eps), labels[part])

        found = torch.cat([found for _, found in halving(attack, len(which), outcomes.attack_batch)])
        return {"kept": float(found.double().mean())}

    description = {"method": method.fingerprint, "eps": eps, "eot": outcomes.eot, "changed": changed}
    return float(outcomes.remembered(description, which, work)["kept"])


def _noise(outcomes: Outcomes, eps: float, kept: np.ndarray) -> float:
    which = np.arange(min(CHECKED, len(kept)))
    standing = which[kept[which]]
    if not len(standing):
        return 0.0
    outcome = outcomes.remembered(
        {"method": "noise", "norm": outcomes.norm, "eps": eps}, standing, lambda: _broken(outcomes, eps, standing)
    )
    return float(outcome["broken"]) / len(which)


@torch.no_grad()
def _broken(outcomes: Outcomes, eps: float, which: np.ndarray) -> dict[str, Any]:
    images, labels = outcomes.batch(which)
    broken = 0
    for image, label, source in zip(images, labels, sources(images, outcomes.seed), strict=True):
        draws = torch.randn((DRAWS, *image.shape), generator=source, dtype=torch.float32, device=image.device).to(image.dtype)
        # On the ball's surface, at its corners for linf: points inside are nearer to the image.
        points = (image + eps * ascent_direction(draws, "l2" if outcomes.norm == "l2" else "linf")).clamp(0, 1)
        parts = torch.split(points, outcomes.batch_size)
        broken += not all(bool(is_label(outcomes.classifier, part, label.expand(len(part))).all()) for part in parts)
    return {"broken": broken}
