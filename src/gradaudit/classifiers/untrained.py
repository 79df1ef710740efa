"""A classifier as it was before any training: the same layers, with weights drawn anew."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from torch import nn

from gradaudit.classifiers.loose_weights import draw_loose
from gradaudit.devices import seeded
from gradaudit.errors import InputError, first_line, require, require_whole

STREAM = 0x756E7472  # a stream of its own: a training from the same seed must not have started from these very weights


def untrained_copy(classifier: nn.Module, seed: int) -> nn.Module:
    """A copy whose parameters are what `reset_parameters` of its layers makes of the seed, running statistics included.

    Inner layers come first, so that a layer that initialises those within it has the last word. Class tokens, positions and
    scales of branches, which are of no layer in the usual libraries, begin as their papers have it. Weights are drawn in single
    precision on the CPU, then put where the classifier's are. Other buffers, such as a normalisation's, stay as they are.

    Args:
        classifier: any module; it is left as it was.
        seed: 0 or more.

    Raises:
        InputError: a parameter is none that a layer can initialise anew, or there is none; names the layer.
    """
    require_whole("seed", seed)
    weights = len(list(classifier.parameters()))
    require(weights > 0, "classifier", type(classifier).__name__, "one with parameters, which can be initialised anew")
    with torch.inference_mode(False):  # whose tensors can't be told later to need a gradient
        fresh = copy.deepcopy(classifier)
        kept = {weight: (weight.device, weight.dtype) for weight in fresh.parameters()}
        for weight in kept:
            weight.data = torch.full(weight.shape, float("nan"))  # what is not drawn anew stays so, and shows
        with seeded(_stream(seed), next(iter(kept.values()))[0]):
            for layer, module in reversed(list(fresh.named_modules())):
                _reset(layer, module, type(classifier).__name__)
            _draw_rest(fresh)
        for layer, module in fresh.named_modules():
            _check_drawn(layer, module, type(classifier).__name__)
        for weight, (device, dtype) in kept.items():
            weight.data = weight.data.to(device, dtype)
    return fresh


def _stream(seed: int) -> int:
    return int(np.random.SeedSequence([seed, STREAM]).generate_state(1)[0])


def _reset(layer: str, module: nn.Module, classifier: str) -> None:
    reset = _reset_of(module)
    if reset is None:
        return
    try:
        reset()
    except Exception as error:  # a user's layer may raise anything
        raise _fixed(layer, module, classifier, f"it raised {type(error).__name__}: {first_line(error)}") from error


def _draw_rest(fresh: nn.Module) -> None:
    for module in fresh.modules():
        for name, weight in module.named_parameters(recurse=False):
            if not bool(weight.isfinite().all()):
                draw_loose(module, name, weight)


def _check_drawn(layer: str, module: nn.Module, classifier: str) -> None:
    for name, weight in module.named_parameters(recurse=False):
        if not bool(weight.isfinite().all()):
            why = "is not among what it draws" if _reset_of(module) else "would stay, as it has none"
            raise _fixed(layer, module, classifier, f"`{name}` {why}")


def _reset_of(module: Any) -> Callable[[], None] | None:
    # The underscore is that of torch's attention and transformers.
    found: Callable[[], None] | None = getattr(module, "reset_parameters", None) or getattr(module, "_reset_parameters", None)
    return found


def _fixed(layer: str, module: nn.Module, classifier: str, why: str) -> InputError:
    where = f"layer {layer!r}, {type(module).__name__}" if layer else "the module itself"
    expected = f"made of layers that can be initialised anew by `reset_parameters`; not so {where}: {why}"
    return InputError("classifier", classifier, expected)
