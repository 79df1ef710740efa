"""Average-case robustness."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from gradaudit.errors import require_whole
from gradaudit.instruments.robustness.attacks._counting import class_counts, sources
from gradaudit.instruments.robustness.attacks._marks import measure


@measure(norm="std", numbers="share")
def gaussian(
    classifier: nn.Module, images: Tensor, *, eps: float, samples: int = 100, seed: int = 0, batch_size: int = 256
) -> dict[str, Tensor]:
    """For each image, the share (N,) of its Gaussian neighbours that keep the class that the classifier gives to the image itself.

    The noise is not clamped to [0, 1], and is the same for every `eps` but for its scale.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        eps: standard deviation of the noise of each coordinate, in units of pixel values of [0, 1].
        samples: neighbours of each image.
        seed: of the noise, which belongs to the image and not to its batch.
        batch_size: images that go through the classifier at once; changes memory and time alone.

    Raises:
        InputError: an argument out of its range.
    """
    require_whole("samples", samples, 1)
    kept = []
    for image, source in zip(images, sources(images, seed), strict=True):
        with torch.no_grad():
            own = classifier(image[None]).argmax(dim=1)
        kept.append(class_counts(classifier, image, eps, samples, source, batch_size)[own] / samples)
    return {"share": torch.cat(kept) if kept else images.new_zeros(0)}
