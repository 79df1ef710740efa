"""The option `tangents`, a text that names what knows the data manifold; and the tangent spaces that come of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import torch
from torch import Tensor

from gradaudit.diffusion import Denoiser, load_autoencoder, load_denoiser, tangent_spaces
from gradaudit.diffusion.tangents import spaces_at_once, working_bytes
from gradaudit.diffusion.tangents.denoiser_jacobian import SPARE
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.instruments.costs import Cost, denoiser_bytes, second_call
from gradaudit.instruments.setup import Setup
from gradaudit.registry import parse_spec

TAKEN = {"images", "source", "seed", "device", "show_progress"}  # of `tangent_spaces`, by how the run is done
EXPECTED = 'an autoencoder\'s `.safetensors` file, `neighbours`, or `denoiser("FILE OR zoo:NAME", sigma=0.25)`'
SLACK = 1e-3  # of a product of two rows: what half precision would round away is no basis any more
TWICE = 3  # bytes at the peak for each that autograd saves, where a way back is itself gone back through
PASSES = 1.7  # through a denoiser, for a product with its Jacobian: a way back, or back and back again


@dataclass(frozen=True)
class Tangents:
    """What knows the data manifold; nothing is loaded before it is asked for.

    Args:
        text: as the user wrote it.
        kind: an autoencoder, neighbours among the training images, or a denoiser.
        name: of the autoencoder's file or of the denoiser; None for that of the setup.
        options: of the way to tangent spaces.
        allow_pickle: whether a denoiser's checkpoint may be unpickled.
    """

    text: str
    kind: Literal["autoencoder", "neighbours", "denoiser"]
    name: str | None
    options: Mapping[str, Any]
    allow_pickle: bool

    @property
    def needs_denoiser(self) -> bool:
        """Whether it is the denoiser of the setup."""
        return self.kind == "denoiser" and self.name is None

    def spaces(self, setup: Setup, *, show_progress: bool = False) -> Callable[[Tensor], Tensor]:
        """The function from images, floats (n, C, H, W), to tangent spaces, floats (n, T, F).

        Raises:
            InputError: a file that can't be read.
        """
        how: dict[str, Any] = {"seed": setup.run.seed, "device": setup.run.device, "show_progress": show_progress}
        return partial(tangent_spaces, source=self.source(setup.denoiser, setup.train), **how, **self.options)

    def source(self, denoiser: Denoiser | None, train: ImageSet | None = None) -> Any:
        """What knows the manifold, as `tangent_spaces` takes it.

        Args:
            denoiser: the one that is meant where none is named.
            train: where neighbours are looked for.

        Raises:
            InputError: a file that can't be read.
        """
        if self.name is None:
            return train if self.kind == "neighbours" else denoiser
        return (
            load_autoencoder(self.name) if self.kind == "autoencoder" else load_denoiser(self.name, allow_pickle=self.allow_pickle)
        )

    def cost(self, images: int, setup: Setup) -> Cost:
        """What tangent spaces at so many images take: of a denoiser; of another source the time of one, and its memory."""
        if self.kind != "denoiser":
            spaces, first = self.spaces(setup), setup.test[:1]
            source = self.source(setup.denoiser, setup.train)
            at_once = min(images, spaces_at_once(setup.run.device, first, source, **self.options))
            memory = at_once * working_bytes(first, source, **self.options)
            return Cost(besides=images * second_call(lambda: spaces(first.floats())), memory=memory)
        dimensions = int(self.options.get("dimensions", 16))
        denoiser, device = self.source(setup.denoiser), setup.run.device
        at_once = spaces_at_once(device, setup.test[:1], denoiser, dimensions)
        each = working_bytes(setup.test[:1], denoiser, dimensions) + TWICE * denoiser_bytes(denoiser, setup.test, device)
        memory = min(images, at_once) * each
        return Cost(denoised=images * self.passes, memory=memory)

    @property
    def passes(self) -> int:
        """Passes through the denoiser for the space at one image; 0 where there is none."""
        dimensions, iterations = (int(self.options.get(*one)) for one in (("dimensions", 16), ("iterations", 1)))
        return round((dimensions + SPARE) * 2 * (1 + iterations) * PASSES) if self.kind == "denoiser" else 0

    def dimensions(self, setup: Setup) -> int:
        """Of the tangent space at an image."""
        if self.kind == "denoiser":
            return int(self.options.get("dimensions", 16))
        return int(self.spaces(setup)(setup.test[:1].floats()).shape[1])


def read_tangents(argument: str, given: str | Mapping[str, Any] | Tangents, allow_pickle: bool = False) -> Tangents:
    """What the text means, or what was read before.

    Raises:
        InputError: it means nothing; names `argument`.
    """
    if isinstance(given, Tangents):
        return given
    if isinstance(given, str) and given.endswith(".safetensors"):
        return Tangents(given, "autoencoder", given, {}, allow_pickle)
    spec = parse_spec(argument, given)
    require(not TAKEN & spec.options.keys(), argument, str(spec), EXPECTED)
    if spec.name == "neighbours":
        require(not spec.positional, argument, str(spec), EXPECTED)
        return Tangents(str(given), "neighbours", None, spec.options, allow_pickle)
    named = len(spec.positional) <= 1 and all(isinstance(one, str) for one in spec.positional)
    require(spec.name == "denoiser" and named, argument, str(spec), EXPECTED)
    return Tangents(str(given), "denoiser", next(iter(spec.positional), None), spec.options, allow_pickle)


def checked_bases(bases: Any, floats: Tensor, *, whole: bool = False) -> Tensor:
    """The bases (n, T, F) of images (n, C, H, W), on their device and in their dtype.

    Args:
        bases: as they came.
        floats: the images.
        whole: whether a space may be all directions, T = F.

    Raises:
        InputError: they are no orthonormal bases, one an image.
    """
    features = floats[0].numel()
    expected = f"floats ({len(floats)}, T, {features}), a basis for each image"
    if not isinstance(bases, Tensor) or bases.ndim != 3 or not bases.is_floating_point():
        raise InputError("tangent_spaces", bases, expected)
    require(bases.shape[0] == len(floats) and bases.shape[2] == features, "tangent_spaces", bases, expected)
    most = features if whole else features - 1
    expected = f"of 1 to {most} dimensions" + ("" if whole else f": with all {features}, nothing is off the manifold")
    require(1 <= bases.shape[1] <= most, "tangent_spaces", bases, expected)
    found = placed_like(bases, floats)
    products = found @ found.mT - torch.eye(found.shape[1], dtype=found.dtype, device=found.device)
    worst = float(products.abs().max())  # NaN fails the comparison
    expected = f"orthonormal rows, as torch.linalg.qr makes them; their products are off by {worst:.2g}"
    require(worst <= SLACK, "tangent_spaces", bases, expected)
    return found


def placed_like(bases: Tensor, floats: Tensor) -> Tensor:
    """The bases, detached, on the images' device and in their dtype."""
    return bases.detach().to(floats.device, floats.dtype)


def onto(bases: Tensor, vectors: Tensor) -> Tensor:
    """Vectors (n, F) projected on the spaces that the bases (n, T, F) span."""
    return torch.einsum("ntf,nt->nf", bases, torch.einsum("ntf,nf->nt", bases, vectors))
