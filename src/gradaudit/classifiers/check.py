"""Whether a module is a classifier that can be audited on these images: found out before any long work."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from itertools import chain
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy

from gradaudit.batching import batch_size_for, evaluating, frozen, placed
from gradaudit.classifiers.checkpoints import require_finite
from gradaudit.classifiers.class_names import require_order
from gradaudit.classifiers.fingerprint import classifier_fingerprint
from gradaudit.classifiers.logits import with_logits
from gradaudit.devices import seeded
from gradaudit.errors import InputError, first_line, require
from gradaudit.images import ImageSet
from gradaudit.memory import memory_budget

LOOKED = 8  # images that are shown twice
SAME = 1e-4  # of the largest logit: more than the order of floating-point sums can change
RANDOMISED = "is randomised: it gives other outputs for the same images from call to call"


class Checked(NamedTuple):
    """A classifier that can be audited.

    Args:
        classifier: it; or, where it returns its logits among other things, one that returns them alone: see `with_logits`.
        caveats: what must be known of any figure about it.
    """

    classifier: nn.Module
    caveats: tuple[str, ...]

    @property
    def randomised(self) -> bool:
        """Whether its outputs for the same images change from call to call."""
        return any(RANDOMISED in caveat for caveat in self.caveats)


def check_classifier(classifier: Any, images: ImageSet, argument: str = "classifier") -> Checked:
    """Run two of the images and raise unless the classifier can be audited on them; it is left as it was.

    Up to 8 of the images are shown twice more, to see whether its outputs change from call to call.

    Args:
        classifier: what should be an `nn.Module` from images in [0, 1], (N, C, H, W), to logits (N, K).
        images: those that it will be audited on; they go to the device and dtype of its weights.
        argument: the word for the classifier in errors.

    Raises:
        InputError: it is no module, has weights that are not finite, can't take images of this shape, returns something
            other than finite logits (2, K) with K at least 2 and at least the number of classes, mixes the images of a
            batch, has no gradient with respect to its input, or has by its own names its logits in another order than the labels.

    Warns:
        UserWarning: it returns probabilities, or logits among other things, or its gradient is zero everywhere.
    """
    name = type(classifier).__name__
    expected = "an nn.Module from images (N, C, H, W) in [0, 1] to logits (N, K)"
    require(isinstance(classifier, nn.Module) and not isinstance(classifier, type), argument, name, expected)
    _require_ready(classifier, argument, name)
    require_finite(dict(chain(classifier.named_parameters(), classifier.named_buffers())), argument, name)
    require_order(classifier, images, argument, name)
    classifier = with_logits(classifier, images, argument)
    with frozen(classifier):
        inputs = placed(classifier, images.floats([0, len(images) - 1])).requires_grad_()
        logits = _logits(classifier, inputs, argument)
        _check_logits(logits, len(images.classes), argument, name)
        gradient = _gradient(logits, inputs, argument, name)
        found = [*_caveats(logits, gradient)]
        for caveat in found:
            warnings.warn(f"`{argument}` (={name}) {caveat}", UserWarning, stacklevel=2)
        found += _changes(classifier, images, argument)
    return Checked(classifier, tuple(f"{'the classifier' if argument == 'classifier' else argument} {caveat}" for caveat in found))


def _require_ready(classifier: nn.Module, argument: str, name: str) -> None:
    tensors = [*classifier.parameters(), *classifier.buffers()]
    lazy = any(is_lazy(tensor) for tensor in tensors)
    require(not lazy, argument, name, "initialised: it has lazy layers, which take their shape from a first batch of images")
    meta = any(tensor.is_meta for tensor in tensors)
    require(not meta, argument, name, "one with weights: some are on the meta device, which holds none")
    try:
        with evaluating(classifier):
            pass
    except NotImplementedError as error:  # a program of torch.export
        raise InputError(argument, name, f"a module that can be put into evaluation mode ({first_line(error)})") from error


def check_alike(other: Any, argument: str, images: ImageSet, count: int, whose: str) -> Checked:
    """As `check_classifier`, of one that must have `count` logits, those of the classifier that `whose` describes."""
    found = check_classifier(other, images, argument)
    own = class_count(found.classifier, images)
    require(own == count, argument, f"of {own} classes", f"of {count} classes, those of the {whose} classifier")
    return found


def check_judges(
    oracles: Mapping[str, Any], classifier: nn.Module, images: ImageSet, whose: str
) -> tuple[dict[str, nn.Module], tuple[str, ...]]:
    """Other classifiers, each returning logits alone, and what must be known of any figure about them.

    Args:
        oracles: what was given, by name.
        classifier: whose images they judge, checked.
        images: as `check_classifier` takes them.
        whose: a word for that classifier in errors, such as `"audited"`.

    Raises:
        InputError: one is no classifier of these images, has another number of logits, or is the classifier itself.
    """
    count, owner = class_count(classifier, images), classifier_fingerprint(classifier)
    found: dict[str, nn.Module] = {}
    caveats: list[str] = []
    for name, one in oracles.items():
        argument = f"oracles[{name!r}]"
        found[name], more = check_alike(one, argument, images, count, whose)
        expected = f"another classifier than the {whose} one, which is no judge of itself"
        require(classifier_fingerprint(found[name]) != owner, argument, type(one).__name__, expected)
        caveats += more
    return found, tuple(caveats)


def class_count(classifier: nn.Module, images: ImageSet) -> int:
    """How many logits the classifier gives an image, asked of the first one; it is left as it was."""
    with frozen(classifier), torch.no_grad():
        return int(classifier(placed(classifier, images.floats([0]))).shape[1])


def _logits(classifier: nn.Module, inputs: Tensor, argument: str) -> Any:
    try:
        return classifier(inputs)
    except Exception as error:  # a user's module may raise anything
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        expected = f"able to take images of shape {tuple(inputs.shape)}; its forward raised {reason}"
        raise InputError(argument, type(classifier).__name__, expected) from error


def _check_logits(logits: Any, classes: int, argument: str, name: str) -> None:
    held = f" of {', '.join(map(str, logits))}" if isinstance(logits, Mapping) else ""
    returned = f"it returned a {type(logits).__name__}{held}"
    require(isinstance(logits, Tensor), argument, name, f"a module that returns a tensor of logits; {returned}")
    returned = f"for 2 images it returned {tuple(logits.shape)}, {logits.dtype}"
    one = "a module with two logits or more: one with a single logit goes into two_logits(classifier)"
    require(tuple(logits.shape) not in ((2,), (2, 1)), argument, name, f"{one}; {returned}")
    floating = logits.is_floating_point() and logits.ndim == 2 and len(logits) == 2
    require(floating, argument, name, f"a module that returns floating-point logits (N, K); {returned}")
    count = logits.shape[1]
    require(count >= max(2, classes), argument, name, f"one of at least {classes} logits, one a class; it has {count}")
    require(bool(logits.isfinite().all()), argument, name, "one with finite logits; it returned NaN or infinity")


def _gradient(logits: Tensor, inputs: Tensor, argument: str, name: str) -> Tensor:
    no_gradient = "differentiable with respect to its input; no gradient reaches it"
    require(logits.requires_grad, argument, name, no_gradient)
    try:
        (gradient,) = torch.autograd.grad(logits[0].max(), inputs, allow_unused=True)
    except RuntimeError as error:
        raise InputError(argument, name, f"differentiable with respect to its input ({error})") from error
    if gradient is None:
        raise InputError(argument, name, no_gradient)
    require(bool(gradient.isfinite().all()), argument, name, "one with finite gradients; one is NaN or infinite")
    # Gradients of many images are taken at once, which is right only if no image's logits depend on another's pixels.
    mixes = "one that treats every image by itself; here an image's logits depend on another image of the batch"
    require(not bool(gradient[1].any()), argument, name, mixes)
    return gradient


@torch.no_grad()
def _changes(classifier: nn.Module, images: ImageSet, argument: str) -> Iterator[str]:
    """What must be known where outputs for the same images change: dropout left on, depth or smoothing that is drawn."""
    shown = placed(classifier, images.floats(np.linspace(0, len(images) - 1, min(LOOKED, len(images))).astype(int).tolist()))
    size = len(shown)
    if memory_budget() is not None:  # sizing takes a pass of its own: so few images need none where nobody asks for it
        size = min(size, batch_size_for(classifier, shown[:1], device=shown.device))
    with seeded(0, shown.device):
        parts = [[_logits(classifier, part, argument).double() for part in torch.split(shown, size)] for _ in range(2)]
    first, second = (torch.cat(part) for part in parts)
    change = float((first - second).abs().max())
    if change > SAME * float(first.abs().max()):
        yield f"{RANDOMISED} (a logit by up to {change:.2g}), and each figure is of single calls"


def _caveats(logits: Tensor, gradient: Tensor) -> Iterator[str]:
    if bool((logits >= 0).all()) and torch.allclose(logits.sum(1).float(), logits.new_ones(2).float(), atol=1e-3):
        yield "seems to return probabilities; a classifier should return logits, without a softmax"
    if not bool(gradient[0].any()):
        yield "has a gradient of zero everywhere at the first image"
