"""The classes that a classifier gives to an image's Gaussian neighbours, counted."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.batching import check_logits, halving
from gradaudit.noise import image_keys

BLOCK = 2**24  # numbers drawn at once, so that the draws rest on the image's size and never on the batch


def sources(images: Tensor, seed: int) -> list[torch.Generator]:
    """A generator for each image, on its device, keyed by the seed and the image's pixels."""
    return [torch.Generator(images.device).manual_seed(key % 2**63) for key in image_keys(images, seed)]


@torch.no_grad()
def class_counts(
    classifier: nn.Module, image: Tensor, sigma: float, samples: int, source: torch.Generator, batch_size: int
) -> Tensor:
    """How often each class (K,) is given to `image` (C, H, W) plus Gaussian noise of standard deviation `sigma`, unclamped."""
    counts: Tensor = torch.zeros(0, dtype=torch.int64, device=image.device)
    block = min(1000, max(1, BLOCK // image.numel()))
    for start in range(0, samples, block):
        shape = (min(block, samples - start), *image.shape)
        noise = torch.randn(shape, generator=source, dtype=torch.float32, device=image.device)
        for logits in _logits(classifier, image, noise, sigma, batch_size):
            found = logits.argmax(dim=1).bincount(minlength=logits.shape[1])
            counts = found if len(counts) == 0 else counts + found
    return counts


def _logits(classifier: nn.Module, image: Tensor, noise: Tensor, sigma: float, batch_size: int) -> list[Tensor]:
    def work(part: slice) -> Tensor:
        neighbours = image + sigma * noise[part].to(image.dtype)
        return check_logits(classifier(neighbours), neighbours)

    return [logits for _, logits in halving(work, len(noise), batch_size)]
