"""What the scores of Captum's methods add up to, where they promise it."""

from __future__ import annotations

from itertools import chain
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.attributions._captum_methods import AGAINST_MANY, greys
from gradaudit.attributions._completeness import Promise
from gradaudit.attributions._gradients import quantity_of

MODULES = (
    "it knows activations only as modules that are used once each, an nn.ReLU() made in __init__ for each place and not F.relu, "
    "and max pooling only nearly"
)
ADVICE = {
    "DeepLift": MODULES,
    "DeepLiftShap": MODULES,
    "GradientShap": "raise n_samples: it adds up in expectation alone",
    "IntegratedGradients": "raise n_steps",
    "LRP": "it knows layers only as modules that are used once each",
}
CHANGES = ("custom_attribution_func", "stdevs")  # options after which nothing is promised, unless they are 0 or None
BEYOND = "the logit less that at the baseline"


def promised(
    classifier: nn.Module, images: Tensor, targets: Tensor, *, method: str, seed: int = 0, **options: Any
) -> Promise | None:
    """What a method's scores add up to with these options; None where that is nothing that can be known.

    A layer's scores, once laid over the image, promise nothing; nor do those of LRP where biases absorb relevance.
    """
    if method not in ADVICE or options.get("multiply_by_inputs") is False or any(options.get(one) for one in CHANGES):
        return None
    reached = quantity_of(classifier, images, targets)
    if method == "LRP":
        return None if _absorbs(classifier) else Promise(reached, "the logit", ADVICE[method])
    baselines = options.get("baselines", greys(images) if method in AGAINST_MANY else 0.0)
    if not isinstance(baselines, (int, float, Tensor)):
        return None
    points = torch.as_tensor(0.0 if baselines is None else baselines).to(images)
    if method in AGAINST_MANY:
        each = [quantity_of(classifier, point.expand_as(images), targets) for point in points]
        return Promise(reached - torch.stack(each).mean(0), f"{BEYOND}s", ADVICE[method])
    return Promise(reached - quantity_of(classifier, points.expand_as(images), targets), BEYOND, ADVICE[method])


def _absorbs(classifier: nn.Module) -> bool:
    """Whether a layer adds something of its own, to which relevance goes that no pixel gets."""
    tensors = chain(classifier.named_parameters(), classifier.named_buffers())
    return any(name.endswith(("bias", "running_mean")) and bool(tensor.any()) for name, tensor in tensors)
