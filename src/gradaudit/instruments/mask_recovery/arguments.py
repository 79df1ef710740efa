"""The arguments of `mask_recovery`: brought to one form, and refused before any work where they are wrong."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from gradaudit.errors import require
from gradaudit.fills import Fill, FillLike, resolve_fill
from gradaudit.images import ImageSet
from gradaudit.registry import Spec


def named_fills(fills: FillLike | Sequence[FillLike], train: ImageSet, seed: int, device: torch.device) -> dict[str, Fill]:
    """The fills by name.

    Raises:
        InputError: there is none, one of them is not a fill, or two have one name.
    """
    several = list(fills) if isinstance(fills, Sequence) and not isinstance(fills, (str, Spec)) else [fills]
    require(len(several) > 0, "fills", fills, "at least one fill")
    named: dict[str, Fill] = {}
    for one in several:
        found = resolve_fill(one, train, seed=seed, device=device)
        require(found.name not in named, "fills", found.name, "different from one another")
        named[found.name] = found
    return named
