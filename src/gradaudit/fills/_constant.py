"""The same value at every removed coordinate of a channel."""

from __future__ import annotations

from torch import Tensor

from gradaudit.images import ones_where


def constant(kept: Tensor, mask: Tensor, *, levels: Tensor) -> Tensor:
    """Images (n, C, H, W) of these levels, (C,), and of the kept values, which must be finite, where there are some."""
    # Products with 0 and 1 are exact, and on a CPU three times as fast as `where`.
    shown = ones_where(mask, kept.dtype)
    return (1 - shown).mul_(levels.to(kept).view(-1, 1, 1)).addcmul_(shown, kept)
