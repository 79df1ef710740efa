"""What the ways to tangent spaces share: counts that are refused, and bases of spans."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gradaudit.errors import is_whole, require


def check_dimensions(dimensions: Any, most: int, why: str) -> int:
    """The dimensions, a whole number from 1 to `most`.

    Raises:
        InputError: they are not; says why there are no more.
    """
    good = is_whole(dimensions) and 1 <= dimensions <= most
    require(good, "dimensions", dimensions, f"a whole number from 1 to {most}, {why}")
    return int(dimensions)


def span(columns: Tensor, dimensions: int, what: str) -> Tensor:
    """An orthonormal basis (n, T, F) of the span of the columns of (n, F, D), or of its T leading directions.

    Raises:
        InputError: the columns span fewer than T dimensions; names `what` they are.
    """
    basis: Tensor
    basis, triangle = torch.linalg.qr(columns)
    if dimensions == columns.shape[2]:
        # A column that depends on those before it shows on the diagonal; singular values would double the time.
        check_rank(triangle.diagonal(dim1=1, dim2=2).abs().sort(dim=1, descending=True).values, dimensions, what)
        return basis.mT
    turn, sizes, _ = torch.linalg.svd(triangle)  # small, with the columns' own singular values
    check_rank(sizes, dimensions, what)
    leading: Tensor = basis @ turn[:, :, :dimensions]
    return leading.mT


def check_rank(sizes: Tensor, dimensions: int, what: str) -> None:
    """Raise `InputError` unless singular values (n, D), falling, show a rank of `dimensions` at every image."""
    least = sizes[:, :1] * sizes.shape[1] * torch.finfo(sizes.dtype).eps
    rank = int((sizes > least).sum(dim=1).min()) if len(sizes) else dimensions
    require(rank >= dimensions, "dimensions", dimensions, f"at most {rank}, the rank of {what} at one of the images")
