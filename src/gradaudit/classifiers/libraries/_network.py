"""What is asked of another library, and what it gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor, nn

from gradaudit.classifiers.normalisation import Normalisation

Tensors = Mapping[str, Tensor]


@dataclass(frozen=True)
class Asked:
    """What a network is asked to be.

    Args:
        pretrained: with the weights that come with the name.
        input_shape: (C, H, W) of an image; None for the library's own.
        classes: their number, of a network without weights of its own; None for the library's own.
        weights: the file that will be loaded into it; its name says whether the library published it.
        options: for the library, numbers, true or false.
        allow_pickle: let a file that is not of tensors alone run the code that it carries.
    """

    pretrained: bool = False
    input_shape: tuple[int, int, int] | None = None
    classes: int | None = None
    weights: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    allow_pickle: bool = False


@dataclass(frozen=True)
class LibraryNetwork:
    """Another library's network, from normalised images (N, C, H, W) to logits (N, K), and what the library says of it.

    Args:
        network: it.
        channels: of the images that it takes.
        normalisation: of pixels in [0, 1], with which its weights were trained; None where nothing is recorded.
        sizes: (H, W) of the images that its weights were trained and tested on; none where nothing is recorded.
        class_names: in the order of the logits; None where nothing is recorded.
        renamed: the tensors of a file that the library reads, by the names that the network has for them.
    """

    network: nn.Module
    channels: int
    normalisation: Normalisation | None = None
    sizes: tuple[tuple[int, int], ...] = ()
    class_names: tuple[str, ...] | None = None
    renamed: Callable[[Tensors], Tensors] = dict
