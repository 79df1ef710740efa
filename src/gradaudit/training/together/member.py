"""A fit that may be one of a group, and the random state that it has to itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from gradaudit.training.fitting import Draw


@dataclass(frozen=True)
class Member:
    """What decides one fit of a group, besides the recipe and the number of training images that the group shares.

    Args:
        seed: of initial weights, batch order and whatever its `draw` draws.
        build: makes the untrained learner, on the CPU, from torch's random state.
        draw: gives the training images and labels at indices.
        measure: what is to be known of the trained learner; called in the fit's random state, as it stands after the last step.
    """

    seed: int
    build: Callable[[], nn.Module]
    draw: Draw
    measure: Callable[[nn.Module], Any]


class RandomState:
    """The random state of one fit among several: what the others draw does not move it.

    Args:
        seed: where it begins.
        device: whose state counts, beside the CPU's.
    """

    def __init__(self, seed: int, device: torch.device) -> None:
        self._seed: int | None = seed
        self._device = device
        self._own: list[torch.Tensor] = []

    @contextmanager
    def inside(self) -> Iterator[None]:
        """Draw from this state, and leave the caller's as it was."""
        before = self.read()
        if self._seed is None:
            self._write(self._own)
        else:
            torch.manual_seed(self._seed)
            self._seed = None
        try:
            yield
        finally:
            self._own = self.read()
            self._write(before)

    def read(self) -> list[torch.Tensor]:
        """Torch's random state as it is now, on the CPU and on the device."""
        states = [torch.get_rng_state()]
        return [*states, torch.cuda.get_rng_state(self._device)] if self._device.type == "cuda" else states

    def _write(self, states: list[torch.Tensor]) -> None:
        torch.set_rng_state(states[0])
        if len(states) > 1:
            torch.cuda.set_rng_state(states[1], self._device)
