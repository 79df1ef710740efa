"""The region by an attribution's highest-ranked pixels."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.regions._asked import Asked
from gradaudit.instruments.counterfactual.regions._ranked import RankedOptions, ranked
from gradaudit.options import takes


@takes(RankedOptions)
def top(asked: Asked, options: RankedOptions) -> Tensor:
    """The pixels that an attribution ranks highest.

    Args:
        asked: images and classifier.
        {options}

    Raises:
        InputError: no such attribution, or a share out of its range.
    """
    return ranked(asked, options, "top")
