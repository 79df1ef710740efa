"""The option `tangents`: a text that names what knows the data manifold."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

from torch import Tensor

from gradaudit.diffusion import load_autoencoder, load_denoiser, tangent_spaces
from gradaudit.diffusion.tangents import working_bytes
from gradaudit.diffusion.tangents._tangent_spaces import AT_ONCE
from gradaudit.diffusion.tangents.denoiser_jacobian import ROWS, SPARE
from gradaudit.errors import require
from gradaudit.instruments.costs import Cost, denoiser_bytes, second_call
from gradaudit.instruments.setup import Setup
from gradaudit.registry import parse_spec

TAKEN = {"images", "source", "seed", "device", "show_progress"}  # of `tangent_spaces`, by how the run is done
EXPECTED = 'an autoencoder\'s `.safetensors` file, `neighbours`, or `denoiser("FILE OR zoo:NAME", sigma=0.25)`'
TWICE = 2.5  # bytes at the peak for each that autograd saves, where a way back is itself gone back through
PASSES = 4  # through a denoiser, for a product with its Jacobian: there and back is three, there and twice back five


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
        return partial(tangent_spaces, source=self.source(setup), **how, **self.options)

    def source(self, setup: Setup) -> Any:
        """What knows the manifold, as `tangent_spaces` takes it.

        Raises:
            InputError: a file that can't be read.
        """
        if self.name is None:
            return setup.train if self.kind == "neighbours" else setup.denoiser
        return (
            load_autoencoder(self.name) if self.kind == "autoencoder" else load_denoiser(self.name, allow_pickle=self.allow_pickle)
        )

    def cost(self, images: int, setup: Setup) -> Cost:
        """What tangent spaces at so many images take: of a denoiser; of another source the time of one, and its memory."""
        if self.kind != "denoiser":
            spaces, first = self.spaces(setup), setup.test[:1]
            memory = working_bytes(first, self.source(setup), **self.options)
            return Cost(besides=images * second_call(lambda: spaces(first.floats())), memory=memory)
        dimensions, iterations = (int(self.options.get(*one)) for one in (("dimensions", 16), ("iterations", 1)))
        denoiser, device = self.source(setup), setup.run.device
        products = min(ROWS[device.type], AT_ONCE[device.type] * (dimensions + SPARE)) if device.type in ROWS else 0
        memory = working_bytes(setup.test[:1], denoiser, dimensions) + TWICE * products * denoiser_bytes(
            denoiser, setup.test, device
        )
        return Cost(denoised=images * (dimensions + SPARE) * 2 * (1 + iterations) * PASSES, memory=memory)

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
