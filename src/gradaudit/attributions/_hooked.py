"""What methods of other libraries that hook a classifier's layers share."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from gradaudit.batching import out_of_memory
from gradaudit.classifiers.logits import Logits
from gradaudit.errors import InputError, first_line, require


def private_copy(classifier: nn.Module) -> nn.Module:
    """A copy that can be hooked: in evaluation mode, with constant weights and no layer that overwrites its input."""
    hooked = copy.deepcopy(classifier).eval().requires_grad_(False)
    module: Any
    for module in hooked.modules():
        if getattr(module, "inplace", False) is True:
            module.inplace = False  # a hooked module may not overwrite its input
    return hooked


def layer_named(classifier: nn.Module, name: str | None) -> nn.Module:
    """The classifier's layer of that name, its last `nn.Conv2d` for None.

    Raises:
        InputError: there is none; lists the names of all layers.
    """
    own = classifier.classifier if isinstance(classifier, Logits) else classifier
    layers: dict[str, nn.Module] = {key: module for key, module in own.named_modules() if key}
    if name is None:
        convolutions = [module for module in layers.values() if isinstance(module, nn.Conv2d)]
        expected = f"named, since the classifier has no nn.Conv2d to take by default: {', '.join(layers)}"
        require(bool(convolutions), "layer", name, expected)
        return convolutions[-1]
    if name not in layers:
        raise InputError("layer", name, f"the name of a layer of the classifier: {', '.join(layers)}")
    return layers[name]


@contextmanager
def can_do(method: str, library: str) -> Iterator[None]:
    """Raise `InputError` that names the method for whatever the library raises inside, but for want of memory."""
    try:
        yield
    except Exception as error:
        if out_of_memory(error):
            raise
        expected = (
            f"a {library} method that can do this classifier with these options ({type(error).__name__}: {first_line(error)})"
        )
        raise InputError("method", method, expected) from error
