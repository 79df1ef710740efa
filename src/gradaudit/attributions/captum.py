"""Any attribution method of the Captum library, by its name there."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import _captum_methods as offered
from gradaudit.attributions._captum_promises import promised
from gradaudit.attributions._completeness import complete
from gradaudit.attributions._gradients import check_images, check_targets
from gradaudit.attributions._hooked import can_do, private_copy
from gradaudit.batching import check_logits, placed
from gradaudit.devices import seeded
from gradaudit.errors import require
from gradaudit.noise import image_keys


@complete(promised)
def captum(classifier: nn.Module, images: Tensor, targets: Tensor, *, method: str, seed: int = 0, **options: Any) -> Tensor:
    """The scores of a Captum method for the target's logit: float32 (N, C, H, W).

    A layer's scores are summed over its channels and laid over the image (bilinear), the same for each colour.
    DeepLift and the ReLU-replacing methods see activations that are modules, not calls of `torch.nn.functional`; where DeepLift's
    scores then miss what they promise, `attribute` and the instruments warn of it.

    Args:
        classifier: images in [0, 1] to logits (N, K); Captum hooks a copy, never this one.
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        method: the class in `captum.attr`: `"DeepLift"`, `"Occlusion"`, `"LayerGradCam"`, ...
        seed: of methods that draw at random; an image's draws depend on the image and the seed alone.
        options: those of Captum's class and of its `attribute`; `layer` is a name, by default the last convolution's.
            `grid` sets the squares a side that count as features where `feature_mask` is left out;
            `sliding_window_shapes` and `strides` may be one number. Defaults follow the image's size.

    Raises:
        InputError: an unknown method, option or layer; the method can't do this classifier; a shape, dtype or target.

    Source: Kokhlikyan et al., Captum (2020), and the paper that the method's own documentation names.
    """
    found = offered.method_class(method)
    making, using = offered.split_options(found, options)
    check_images(images)
    check_targets("targets", targets, len(images))
    with torch.inference_mode(False), torch.enable_grad():
        hooked = private_copy(classifier)
        inputs = placed(classifier, images).requires_grad_()  # LayerDeepLift asks for it
        wanted = targets.to(inputs.device)
        _check(method, hooked, inputs, wanted)
        making = offered.constructed(found, making, hooked)
        size = 1 if method in offered.RANDOMISED else max(1, len(images) // offered.COPIES.get(method, 1))
        chunks = [slice(start, start + size) for start in range(0, len(images), size)]
        scores = [_scores(found, making, using, inputs[chunk], wanted[chunk], seed) for chunk in chunks]
    return torch.cat(scores).to(images.device, torch.float32)


def _scores(method: Any, making: dict[str, Any], using: dict[str, Any], images: Tensor, targets: Tensor, seed: int) -> Tensor:
    with _quiet(), _own_draws(images, seed), can_do(method.__name__, "Captum"):
        scores: Tensor = method(**making).attribute(images, **offered.completed(method, using, images, targets))
    return _over_image(scores.detach(), images)


def _over_image(scores: Tensor, images: Tensor) -> Tensor:
    if scores.shape == images.shape:
        return scores
    expected = "a layer whose output has rows and columns, to be laid over the image"
    require(scores.ndim == 4, "layer", f"output of shape {tuple(scores.shape)}", expected)
    pooled = scores.sum(1, keepdim=True)
    return nn.functional.interpolate(pooled, images.shape[2:], mode="bilinear", align_corners=False).expand_as(images)


def _check(method: str, classifier: nn.Module, images: Tensor, targets: Tensor) -> None:
    with torch.no_grad():
        logits = check_logits(classifier(images[:1]), images[:1])
    check_targets("targets", targets, len(images), classes=logits.shape[1])
    relu = any(isinstance(module, nn.ReLU) for module in classifier.modules())
    expected = "a method other than one that replaces ReLU's gradient: this classifier has no nn.ReLU module"
    require(relu or method not in offered.REPLACE_RELU, "method", method, expected)


@contextmanager
def _quiet() -> Iterator[None]:
    # Captum warns of its own hooks and defaults on every call; they sit on a copy here and tell a user nothing.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _own_draws(images: Tensor, seed: int) -> Iterator[None]:
    # Captum draws from the global generators of torch and numpy; both are put back.
    key = image_keys(images, seed)[0] % 2**32
    before = np.random.get_state()  # noqa: NPY002
    np.random.seed(key)  # noqa: NPY002
    try:
        with seeded(key, images.device):
            yield
    finally:
        np.random.set_state(before)  # noqa: NPY002
