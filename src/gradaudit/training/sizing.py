"""How many bytes a training takes, from one small batch."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.batching import most_saved_bytes
from gradaudit.training.fitting import Draw, autocast, memory_format, objective_of
from gradaudit.training.recipe import Recipe

COPIES = 3  # of the weights: their gradients, and what an optimizer keeps
PEAK = 1.15  # bytes at the peak of a step for each that autograd saves


def bytes_of_training(network: nn.Module, draw: Draw, recipe: Recipe, device: torch.device, images_each: int = 1) -> float:
    """Bytes that a step of `fit` takes at its peak beside the network and the images of the set.

    Measured on one index or two images, so that it takes little itself; with all that the objective asks of the network.

    Args:
        network: on `device`; nothing of it but running statistics changes.
        draw, recipe, device: as in `fit`.
        images_each: images that `draw` gives for an index.
    """
    indices = torch.arange(1 if images_each > 1 else 2)  # batch norm needs two images
    images, labels = draw(indices)
    objective = objective_of(recipe, draw, len(indices), device)

    @torch.enable_grad()
    def forward() -> Tensor:
        with autocast(recipe, device):
            return objective(network, images, labels, indices, share=1.0)

    network.to(memory_format=memory_format(network)).train()  # type: ignore[call-overload]
    saved = most_saved_bytes(network, forward) / len(images) + images[0].nbytes
    weights = sum(weight.nbytes for weight in network.parameters())
    return PEAK * recipe.batch_size * images_each * saved + COPIES * weights
