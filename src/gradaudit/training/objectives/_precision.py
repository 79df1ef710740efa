"""Where half precision would cost more than it saves."""

from __future__ import annotations

import torch
from torch import Tensor


def at_least_fp32(values: Tensor) -> Tensor:
    """The values in fp32 if they are in a smaller type: differences of nearly equal logits and sums of squares need its digits."""
    return values.to(torch.promote_types(values.dtype, torch.float32))
