"""A fill, and what every fill keeps to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor

from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.identity import identity

FillFunction = Callable[[Tensor, Tensor], Tensor]
"""From kept values, floats (n, C, H, W) in [0, 1] with 0 where removed, and which were kept, boolean (n, C, H, W), to images."""


@dataclass(frozen=True, eq=False)
class Fill:
    """What stands where features were removed.

    The function never sees what was removed: a learner can find in the filled image nothing of it. It may be sent to a worker.

    Args:
        function: from the kept values and which they are to filled images, (n, C, H, W) each. Anything that it has at kept
            coordinates is replaced by their values, and what leaves [0, 1] is cut.
        decides: strings, numbers, tensors: all that decides what the function returns, beside its name; the function's own identity
            unless given.
        costly: whether filling takes about as long as a learner's step or longer, so that it had better be done once. What a costly
            fill draws depends on the image and its seed alone; others draw from torch's own random state.
        exact: whether the function itself gives the kept values back unchanged and finite values in [0, 1] elsewhere, so that
            nothing of that is done or tested again: with a small learner that takes a seventh of a step.
        name: the canonical spec, for tables.
    """

    function: FillFunction
    decides: tuple[Any, ...] = ()
    costly: bool = False
    exact: bool = False
    name: str = ""

    @cached_property
    def key(self) -> str:
        """SHA-256 of all that decides the fill: its name and options, the statistics that it uses, a denoiser, a seed."""
        return fingerprint(self.name, *(self.decides or identity(self.function)))

    def __call__(self, kept: Tensor, mask: Tensor) -> Tensor:
        """Filled images, floats (n, C, H, W) in [0, 1], that have the kept values unchanged.

        Args:
            kept: floats (n, C, H, W) in [0, 1]; whatever stands at removed coordinates is taken away first.
            mask: boolean (n, C, H, W) or (n, 1, H, W), True where a value is kept; on the images' device.

        Raises:
            InputError: another shape or dtype; or the function returns another shape, NaN or infinity.
        """
        good = isinstance(kept, Tensor) and kept.ndim == 4 and kept.is_floating_point()
        require(good, "kept", kept, "floats (n, C, H, W)")
        shapes = {tuple(kept.shape), (len(kept), 1, *kept.shape[2:])}
        good = isinstance(mask, Tensor) and mask.dtype == torch.bool and tuple(mask.shape) in shapes
        require(good, "mask", mask, " or ".join(f"boolean {shape}" for shape in sorted(shapes)))
        mask = mask.expand_as(kept)
        if self.exact:
            return self.function(kept, mask)
        kept = torch.where(mask, kept, 0.0)
        filled = self.function(kept, mask)
        returned = tuple(filled.shape) if isinstance(filled, Tensor) else type(filled).__name__
        require(returned == tuple(kept.shape), "fill", f"{self.name} returned {returned}", f"images {tuple(kept.shape)}")
        require(bool(filled.isfinite().all()), "fill", f"{self.name} returned NaN or infinity", "one that returns finite values")
        return torch.where(mask, kept, filled.to(kept).clamp(0, 1))
