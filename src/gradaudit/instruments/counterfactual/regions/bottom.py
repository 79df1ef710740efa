"""The region by an attribution's lowest-ranked pixels."""

from __future__ import annotations

from torch import Tensor

from gradaudit.instruments.counterfactual.regions._asked import Asked
from gradaudit.instruments.counterfactual.regions._ranked import RankedOptions, ranked
from gradaudit.options import takes


@takes(RankedOptions)
def bottom(asked: Asked, options: RankedOptions) -> Tensor:
    """The pixels that an attribution ranks lowest.

    Args:
        asked: images and classifier.
        {options}

    Raises:
        InputError: no such attribution, or a share out of its range.
    """
    return ranked(asked, options, "bottom")
