"""What Captum offers, found by looking at it, and what its methods need where a user says nothing."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.attributions._hooked import layer_named
from gradaudit.errors import require, require_whole

# They draw at random, so each image is attributed on its own, from its own seed.
RANDOMISED = {"GradientShap", "LayerGradientShap", "KernelShap", "Lime", "ShapleyValueSampling"}
# Copies of an image that a method puts through the classifier at once, beside Captum's own batching.
COPIES = {"DeepLift": 2, "LayerDeepLift": 2, "DeepLiftShap": 10, "LayerDeepLiftShap": 10}
# Methods that compare with a set of baselines, not with one.
AGAINST_MANY = {"DeepLiftShap", "LayerDeepLiftShap", "GradientShap", "LayerGradientShap"}
# Squares a side that count as features; what a method costs grows with their number, up to factorially.
GRIDS = {"FeatureAblation": 14, "KernelShap": 7, "Lime": 7, "ShapleyValueSampling": 7, "ShapleyValues": 2}
# A regression needs several samples a feature; Captum's own 25 and 50 are fewer than the 49 squares.
SAMPLES = {"KernelShap": 200, "Lime": 200}
# They replace nn.ReLU's gradient; without such a module they would silently be the plain gradient.
REPLACE_RELU = {"GuidedBackprop", "Deconvolution", "GuidedGradCam"}

NOT_PER_IMAGE = {"FeaturePermutation", "LayerFeaturePermutation"}
_BASES = {"GradientAttribution", "PerturbationAttribution", "LayerAttribution", "LimeBase"}
_OURS = {"self", "forward_func", "model", "device_ids", "inputs", "target", "additional_forward_args", "kwargs"}
_OURS |= {"return_convergence_delta", "return_input_shape", "show_progress", "verbose"}


@cache
def methods() -> dict[str, Any]:
    """Captum's attribution classes by name: those that score the pixels, or a layer that can be laid over the pixels."""
    from captum import attr

    kinds = (attr.GradientAttribution, attr.PerturbationAttribution, attr.LayerAttribution)
    named = {name: getattr(attr, name) for name in attr.__all__ if name not in _BASES | NOT_PER_IMAGE}
    classes = {name: found for name, found in named.items() if inspect.isclass(found) and issubclass(found, kinds)}
    return {name: found for name, found in sorted(classes.items()) if not name.startswith("Neuron")}


def method_class(name: str) -> Any:
    """The Captum class of that name.

    Raises:
        InputError: there is none, or its scores for an image depend on the other images of the batch.
    """
    listing = ", ".join(methods())
    reason = " (this one's scores for an image depend on the other images of its batch)" if name in NOT_PER_IMAGE else ""
    require(name in methods(), "method", name, f"a Captum method that scores each image by itself: {listing}{reason}")
    return methods()[name]


def split_options(method: Any, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The options for the method's constructor and those for its `attribute`.

    Raises:
        InputError: it has no such option; lists those it has.
    """
    making, using = (_parameters(function) for function in (method.__init__, method.attribute))
    known = [*making, *using, *(["grid"] if "feature_mask" in using else [])]
    for name, value in options.items():
        require(name in known, name, value, f"an option of Captum's {method.__name__}: {', '.join(known) or 'it has none'}")
    return (
        {name: value for name, value in options.items() if name in making},
        {name: value for name, value in options.items() if name not in making},
    )


def constructed(method: Any, options: dict[str, Any], classifier: nn.Module) -> dict[str, Any]:
    """The constructor's arguments: the classifier, the layer itself in place of its name, and the user's options."""
    known = list(inspect.signature(method.__init__).parameters)
    done = {known[1]: classifier, **options}  # the classifier is called `model` or `forward_func`
    if "layer" in known:
        done["layer"] = layer_named(classifier, options.get("layer"))
    return done


def completed(method: Any, options: dict[str, Any], images: Tensor, targets: Tensor) -> dict[str, Any]:
    """The arguments of `attribute`, with what it needs and the user left out, for images (N, C, H, W)."""
    name, known = method.__name__, list(inspect.signature(method.attribute).parameters)
    done: dict[str, Any] = {key: value.to(images) if isinstance(value, Tensor) else value for key, value in options.items()}
    if "target" in known:
        done["target"] = targets
    if "feature_mask" in known:
        grid: Any = done.pop("grid", GRIDS[name])
        done["feature_mask"] = done["feature_mask"].long() if "feature_mask" in done else squares(images, grid)
    if "sliding_window_shapes" in known:
        _complete_window(done, images)
    if name in AGAINST_MANY:
        done.setdefault("baselines", greys(images))
    if name in SAMPLES:
        done.setdefault("n_samples", SAMPLES[name])
    if name in RANDOMISED and "perturbations_per_eval" in known:
        done.setdefault("perturbations_per_eval", 16)  # they have one image at a time, and need no memory for gradients
    if "internal_batch_size" in known:
        done.setdefault("internal_batch_size", len(images))
    return done


def squares(images: Tensor, grid: int) -> Tensor:
    """A feature mask (1, C, H, W) of at most `grid` x `grid` squares that go through all channels, numbered from 0.

    Raises:
        InputError: `grid` is not a whole number above 0.
    """
    require_whole("grid", grid, 1)
    channels, height, width = images.shape[1:]
    rows, columns = (torch.arange(side, device=images.device) * min(grid, side) // side for side in (height, width))
    mask = rows[:, None] * min(grid, width) + columns
    return mask.expand(1, channels, height, width).contiguous()


def greys(images: Tensor) -> Tensor:
    """Five even grey images from black to white, (5, C, H, W): baselines that depend on no other image."""
    return torch.linspace(0, 1, 5).to(images).view(5, 1, 1, 1).expand(5, *images.shape[1:]).contiguous()


def _complete_window(options: dict[str, Any], images: Tensor) -> None:
    channels, height, width = images.shape[1:]
    window = options.setdefault("sliding_window_shapes", max(1, min(height, width) // 7))
    if isinstance(window, int):
        options["sliding_window_shapes"] = (channels, window, window)
    stride = options.setdefault("strides", max(1, options["sliding_window_shapes"][-1] // 2))
    if isinstance(stride, int):
        options["strides"] = (channels, stride, stride)


def _parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name not in _OURS]
