"""A random split in which every class keeps its share."""

from __future__ import annotations

from torch import Tensor, ones

from gradaudit.images import stratified


def stratified_split(labels: Tensor, test_size: int, seed: int) -> tuple[Tensor, Tensor]:
    """Indices of the training and of the test images, both shuffled.

    Args:
        labels: integers (N,).
        test_size: number of test images, from 1 to N - 1.
        seed: decides the draw.
    """
    test = stratified(labels, test_size, seed)
    rest = ones(len(labels)).bool()
    rest[test] = False
    train = rest.nonzero().flatten()
    return train[stratified(labels[train], len(train), seed)], test
