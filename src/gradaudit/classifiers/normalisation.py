"""Normalisation as the first layer of a classifier: (x - mean) / std, by channel."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.errors import InputError, require


@dataclass(frozen=True)
class Normalisation:
    """The mean and standard deviation of each channel, for pixels in [0, 1]; its text reads back to the same numbers."""

    mean: tuple[float, ...]
    std: tuple[float, ...]

    def __str__(self) -> str:
        return "/".join(",".join(repr(value) for value in values) for values in (self.mean, self.std))


NORMALISATIONS: dict[str, Normalisation | None] = {
    "none": None,
    "mnist": Normalisation((0.1307,), (0.3081,)),
    "fashion-mnist": Normalisation((0.2860,), (0.3530,)),
    "cifar10": Normalisation((0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
    "svhn": Normalisation((0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
    "imagenet": Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
}

NormalisationLike = str | Normalisation | Mapping[str, Any] | Iterable[Any] | None


class Normalise(nn.Module):
    """(x - mean) / std, by channel.

    Args:
        mean: a number for each channel, for pixels in [0, 1].
        std: likewise, above 0.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Iterable[float], std: Iterable[float]) -> None:
        super().__init__()
        checked = read_normalisation((tuple(mean), tuple(std)))
        assert checked is not None
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(getattr(checked, name)).reshape(-1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        """The normalised images, of the same shape (N, C, H, W).

        Raises:
            InputError: the images have another number of channels, which would otherwise be broadcast silently.
        """
        channels = len(self.mean)
        require(images.shape[-3] == channels, "images", images, f"of {channels} channels, as the normalisation has")
        return (images - self.mean) / self.std

    def extra_repr(self) -> str:
        """The numbers, so that a printed classifier shows them."""
        return f"mean={self.mean.flatten().tolist()}, std={self.std.flatten().tolist()}"


class NormalisedClassifier(nn.Sequential):
    """A network behind its normalisation."""

    def __init__(self, normalise: Normalise, network: nn.Module) -> None:
        super().__init__(OrderedDict(normalise=normalise, network=network))

    normalise: Normalise
    network: nn.Module


def read_normalisation(
    normalisation: NormalisationLike, channels: int | None = None, argument: str = "normalisation"
) -> Normalisation | None:
    """The mean and std by channel, or None for no normalisation.

    Args:
        normalisation: a name ("none", "mnist", "fashion-mnist", "cifar10", "svhn", "imagenet"), text such as
            "0.5,0.5,0.5/0.25,0.25,0.25", a pair (mean, std), or a mapping with "mean" and "std".
        channels: the number of channels that it must have; None checks nothing.
        argument: the word for it in errors.

    Raises:
        InputError: an unknown name, another number of channels, a std that is not above 0, or a mean that no pixels in [0, 1] have.
    """
    found = _find(normalisation, argument)
    if found is None:
        return None
    finite = all(math.isfinite(value) for value in (*found.mean, *found.std))
    require(finite and len(found.mean) > 0, argument, normalisation, "finite numbers, one for each channel")
    require(len(found.mean) == len(found.std), argument, normalisation, "as many means as standard deviations")
    require(min(found.std) > 0, argument, normalisation, "given with standard deviations above 0")
    meant = Normalisation(*(tuple(round(value / 255, 4) for value in values) for values in (found.mean, found.std)))
    expected = f"of pixels in [0, 1], whose mean is no more than 1. Is it of values from 0 to 255? Then it is {meant} here"
    require(max(map(abs, found.mean)) <= 1, argument, normalisation, expected)
    expected = f"given for {channels} channels, as the images have by `input_shape`; it has {len(found.mean)}"
    require(channels in (None, len(found.mean)), argument, normalisation, expected)
    return found


def normalised(network: nn.Module, normalisation: NormalisationLike, channels: int | None = None) -> nn.Module:
    """The network behind its normalisation; the network itself where there is none.

    Args:
        network: takes normalised images (N, C, H, W).
        normalisation: as in `read_normalisation`.
        channels: the number of channels that the normalisation must have; None checks nothing.

    Raises:
        InputError: the normalisation is not one.
    """
    found = read_normalisation(normalisation, channels)
    return network if found is None else NormalisedClassifier(Normalise(found.mean, found.std), network)


def _find(normalisation: NormalisationLike, argument: str) -> Normalisation | None:
    if normalisation is None or isinstance(normalisation, Normalisation):
        return normalisation
    if isinstance(normalisation, str) and "/" not in normalisation:
        name = normalisation.strip().lower().replace("_", "-")
        if name not in NORMALISATIONS:
            raise InputError(argument, normalisation, f'one of {", ".join(NORMALISATIONS)}, or numbers as in "0.5/0.25"')
        return NORMALISATIONS[name]
    try:
        mean, std = _pair(normalisation)
        return Normalisation(tuple(map(float, mean)), tuple(map(float, std)))
    except (TypeError, ValueError, KeyError) as error:
        expected = 'a name, numbers as in "0.5,0.5,0.5/0.25,0.25,0.25", or a pair (mean, std), a number for each channel'
        raise InputError(argument, normalisation, expected) from error


def _pair(normalisation: str | Mapping[str, Any] | Iterable[Any]) -> tuple[Iterable[Any], Iterable[Any]]:
    if isinstance(normalisation, str):
        mean, std = normalisation.split("/")
        return mean.split(","), std.split(",")
    if isinstance(normalisation, Mapping):
        return normalisation["mean"], normalisation["std"]
    pair = tuple(normalisation)
    if len(pair) != 2:
        raise ValueError("not a pair")
    return pair
