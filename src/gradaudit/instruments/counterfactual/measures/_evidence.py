"""What the measures of counterfactuals are given."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from gradaudit import batching
from gradaudit.batching import evaluating, halving
from gradaudit.diffusion import Denoiser
from gradaudit.errors import require
from gradaudit.instruments.counterfactual.lacking import LackingError
from gradaudit.instruments.counterfactual.problem import Against
from gradaudit.memory import at_most

BATCH = 256
QUICK = 2**21  # bytes of images beyond which more at once are slower, image by image
ACTIVATIONS = 128  # bytes that a network's way forward takes for each byte of its images, at most


@dataclass(frozen=True)
class Evidence:
    """Images before and after, and what they are measured by.

    Args:
        classifier: what was explained: images in [0, 1] to logits (N, K).
        before: floats (N, C, H, W) in [0, 1].
        after: the counterfactuals, of the same shape.
        sources: int64 (N,), the class predicted before.
        targets: int64 (N,), the class that was wanted.
        keys: a random key for each image.
        denoiser: of such images; None where there is none.
        oracles: classifiers of the same classes that had no part in making the counterfactuals, by name.
        mask: boolean (N, H, W), True where an image carries its label; None where that isn't known.
        against: the classifier that was to keep its class, with that of each image; None where there was none.

    Raises:
        InputError: shapes or dtypes that do not go together.
    """

    classifier: nn.Module
    before: Tensor
    after: Tensor
    sources: Tensor
    targets: Tensor
    keys: tuple[int, ...]
    denoiser: Denoiser | None = None
    oracles: Mapping[str, nn.Module] = field(default_factory=dict)
    mask: Tensor | None = None
    against: Against | None = None

    def __post_init__(self) -> None:
        good = self.before.ndim == 4 and self.before.is_floating_point()
        require(good and len(self.before) > 0, "before", self.before, "floats (N, C, H, W), at least one image")
        count, shape = len(self.before), tuple(self.before.shape)
        fits = self.after.shape == shape and self.after.is_floating_point()
        require(fits, "after", self.after, f"floats of shape {shape}, one for each image before")
        for argument, classes in (("sources", self.sources), ("targets", self.targets)):
            good = classes.shape == (count,) and classes.dtype == torch.int64
            require(good, argument, classes, f"int64 of shape ({count},)")
        require(len(self.keys) == count, "keys", len(self.keys), f"{count} keys, one for each image")
        if self.mask is not None:
            good = self.mask.dtype == torch.bool and self.mask.shape == (count, *shape[2:])
            require(good, "mask", self.mask, f"boolean of shape {(count, *shape[2:])}")

    def named_oracles(self) -> Mapping[str, nn.Module]:
        """The oracles by name.

        Raises:
            LackingError: there is none.
        """
        if not self.oracles:
            raise LackingError("no oracle classifier was given")
        return self.oracles

    def differences(self) -> Tensor:
        """|after - before|, float64 (N, C, H, W)."""
        return (self.after.double() - self.before.double()).abs()


def probabilities(classifier: nn.Module, images: Tensor) -> Tensor:
    """The softmax (N, K) in float64, in batches that fit, on the images' device.

    Raises:
        InputError: the classifier returns no finite logits (N, K).
    """
    return in_batches(classifier, images, lambda part: batching.probabilities(classifier, part))


def of_class(probabilities: Tensor, classes: Tensor) -> Tensor:
    """The probability (N,) of each image's class, from (N, K)."""
    return probabilities.gather(1, classes[:, None]).squeeze(1)


def measured_at_once(image_bytes: int) -> int:
    """Images of so many bytes that a network is given at once on a CPU."""
    return at_most(min(BATCH, max(1, QUICK // image_bytes)), ACTIVATIONS * image_bytes)


def in_batches(module: nn.Module, images: Tensor, work: Callable[[Tensor], Tensor]) -> Tensor:
    """What `work` returns for all images, without gradients and with the module in evaluation mode, in batches that fit."""
    size = measured_at_once(images[0].nbytes) if len(images) and images.device.type == "cpu" else BATCH
    with evaluating(module), torch.no_grad():
        parts = [done for _, done in halving(lambda part: work(images[part]).to(images.device), len(images), size)]
    return torch.cat(parts)
