"""Networks that see which features were kept: built so, or a user's own with a wider first layer."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.batching import evaluating, placed
from gradaudit.classifiers import Normalisation, read_normalisation
from gradaudit.classifiers.logits import find_logits
from gradaudit.training.recipe import Recipe


def build_with_mask(recipe: Recipe, shape: tuple[int, int, int], mask_channels: int, classes: int) -> nn.Module:
    """An untrained network that takes masks as further channels of images of this shape; the recipe's normalisation is the images'.

    Raises:
        InputError: the recipe's network can't take them.
    """
    found = read_normalisation(recipe.normalisation, shape[0])
    if found is not None:
        extended = Normalisation(found.mean + (0.0,) * mask_channels, found.std + (1.0,) * mask_channels)
        recipe = recipe.with_(normalisation=extended)
    return recipe.build((shape[0] + mask_channels, *shape[1:]), classes)


class SeesMask(nn.Module):
    """A network of the user's that is shown masks beside images: its first layer gets weights for them, which begin at 0.

    The masks go to the first convolution, or to the first linear layer over the flattened image, behind whatever normalises or
    resizes the image before it. A network that begins otherwise is shown the masks by the fill alone.

    Args:
        network: from images (N, C, H, W) in [0, 1] to logits; it is copied.
        sample: two such images or more.
        mask_channels: M.
    """

    def __init__(self, network: nn.Module, sample: Tensor, mask_channels: int) -> None:
        super().__init__()
        self.network = copy.deepcopy(network)
        self.channels = sample.shape[1]
        self.widened = _widened(self.network, sample, mask_channels)

    def forward(self, shown: Tensor) -> Tensor:
        """Logits of images with their masks as further channels, (N, C + M, H, W)."""
        images, masks = shown[:, : self.channels], shown[:, self.channels :]
        if self.widened is not None:
            self.widened.masks = masks
        try:
            logits: Tensor = find_logits(self.network(images))[0]  # in training, some networks return those of further heads
        finally:
            if self.widened is not None:
                self.widened.masks = None
        return logits


class Widened(nn.Module):
    """A first layer with weights for the masks beside; it gives the layer's own output until these have learned something.

    Args:
        first: a convolution of the images, or a linear layer of all their values.
        mask_channels: M.
        size: (H, W) of the masks.
    """

    masks: Tensor | None = None

    def __init__(self, first: nn.Conv2d | nn.Linear, mask_channels: int, size: tuple[int, int]) -> None:
        super().__init__()
        self.first = first
        if isinstance(first, nn.Conv2d):
            # A copy, for libraries have convolutions of their own that pad in ways of their own.
            beside = copy.deepcopy(first)
            beside.in_channels, beside.groups = mask_channels, 1
            beside.weight = nn.Parameter(first.weight.new_zeros(first.out_channels, mask_channels, *first.kernel_size))
            beside.bias = None
            self.beside: nn.Module = beside
        else:
            self.beside = nn.Linear(mask_channels * size[0] * size[1], first.out_features, bias=False).to(first.weight)
            nn.init.zeros_(self.beside.weight)

    @property
    def weight(self) -> Tensor:
        """The layer's own; networks ask their first layer's for its dtype."""
        return self.first.weight

    def forward(self, images: Tensor) -> Tensor:
        """What the layer makes of the images, and of the masks that go with them."""
        own: Tensor = self.first(images)
        if self.masks is None:
            return own
        masks = self.masks.to(images.dtype)
        if isinstance(self.first, nn.Linear):
            masks = masks.flatten(1)
        elif masks.shape[2:] != images.shape[2:]:
            masks = F.interpolate(masks, images.shape[2:])
        seen: Tensor = self.beside(masks)
        return own + seen


def _widened(network: nn.Module, sample: Tensor, mask_channels: int) -> Widened | None:
    """The network's first layer, replaced by a wider one in its place; None where it is neither of the two kinds."""
    called: list[tuple[str, Tensor]] = []

    def note(name: str) -> Callable[[nn.Module, tuple[Tensor, ...]], None]:
        return lambda module, inputs: called.append((name, inputs[0]))

    layers = {name: module for name, module in network.named_modules() if isinstance(module, (nn.Conv2d, nn.Linear))}
    hooks = [module.register_forward_pre_hook(note(name)) for name, module in layers.items()]
    try:
        with evaluating(network), torch.no_grad():
            network(placed(network, sample))
    finally:
        for hook in hooks:
            hook.remove()
    if not called:
        return None
    name, seen = called[0]
    first = layers[name]
    if not _takes_images(first, seen, sample) or not name:
        return None
    found = Widened(first, mask_channels, (sample.shape[2], sample.shape[3]))
    parent, _, last = name.rpartition(".")
    setattr(network.get_submodule(parent), last, found)
    return found


def _takes_images(first: nn.Module, seen: Tensor, sample: Tensor) -> bool:
    if isinstance(first, nn.Conv2d):
        return seen.ndim == 4 and first.groups == 1 and seen.shape[:2] == sample.shape[:2]
    return seen.ndim == 2 and seen.shape == sample.flatten(1).shape
