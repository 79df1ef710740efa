"""Log odds: what a classifier says for a class and against all others."""

from __future__ import annotations

import math

from torch import Tensor


def log_odds(logits: Tensor, targets: Tensor) -> Tensor:
    """log p / (1 - p) of the targets, (N,).

    Its gradient is that of log p divided by 1 - p: the same direction, which does not vanish where p saturates.

    Args:
        logits: floats (N, K), K of 2 or more.
        targets: int64 (N,), from 0 to K - 1.
    """
    own = targets[:, None]
    return logits.gather(1, own)[:, 0] - logits.scatter(1, own, -math.inf).logsumexp(dim=1)
