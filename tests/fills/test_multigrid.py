"""Linear imputation of large planes: the same solution as a sparse direct solve, whatever the holes and the size."""

import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from scipy.ndimage import gaussian_filter
from scipy.sparse.linalg import spsolve

from gradaudit.fills import _linear
from gradaudit.fills._multigrid import interpolated_large

WEIGHTS = np.array([[1, 2, 1], [2, 0, 2], [1, 2, 1]]) / 12


def system(height, width):
    """D - W for all pixels of a plane."""
    index, parts = np.arange(height * width).reshape(height, width), []
    for down in (-1, 0, 1):
        for right in (-1, 0, 1):
            here = index[max(0, -down) : height - max(0, down), max(0, -right) : width - max(0, right)].ravel()
            there = index[max(0, down) : height - max(0, -down), max(0, right) : width - max(0, -right)].ravel()
            parts.append((np.full(here.size, WEIGHTS[down + 1, right + 1]), (here, there)))
    values, places = zip(*parts, strict=True)
    both = np.concatenate([np.stack(one) for one in places], axis=1)
    weights = sparse.csr_matrix((np.concatenate(values), tuple(both)), shape=(index.size, index.size))
    return sparse.diags(np.asarray(weights.sum(axis=1))[:, 0]) - weights


def solved(plane, known):
    matrix, values = system(*plane.shape), plane.ravel().copy()
    free = ~known.ravel()
    values[free] = spsolve(matrix[free][:, free].tocsc(), -matrix[free][:, ~free] @ values[~free])
    return values.reshape(plane.shape)


def masks(kind, shape):
    """Boolean (H, W) with a share of pixels known."""
    rng = np.random.default_rng(1)
    field = rng.standard_normal(shape)
    if kind == "smooth":
        field = gaussian_filter(field, 4)
    if kind == "hole":
        known = np.ones(shape, dtype=bool)
        known[5:30, 7:40] = False
        return known
    if kind == "corner":
        known = np.zeros(shape, dtype=bool)
        known[-3:, -4:] = True
        return known
    if kind == "one":
        known = np.zeros(shape, dtype=bool)
        known[11, 17] = True
        return known
    return field >= np.quantile(field, 0.93 if kind == "smooth" else 0.7)


SHAPES = [(64, 64), (67, 50), (45, 96)]
CASES = [(kind, shape) for kind in ("random", "smooth", "hole", "corner", "one") for shape in SHAPES]


@pytest.mark.parametrize(("kind", "shape"), [*CASES, ("random", (3, 60)), ("corner", (3, 60))])
def test_it_solves_the_equations(kind, shape):
    known = masks(kind, shape)
    rng = np.random.default_rng(0)
    planes = torch.from_numpy(rng.random((7, *shape))) * torch.from_numpy(known)
    found = interpolated_large(planes, torch.from_numpy(known).expand(7, *shape))
    assert torch.equal(found[:, known], planes[:, known])
    for plane, one in zip(planes[:2].numpy(), found.numpy(), strict=False):
        np.testing.assert_allclose(one, solved(plane, known), atol=3e-4 if kind in ("corner", "one") else 1e-4)


def test_planes_may_differ_and_be_empty_or_whole():
    rng = torch.Generator().manual_seed(0)
    planes = torch.rand(4, 40, 33, generator=rng)
    known = torch.rand(4, 40, 33, generator=rng) < 0.3
    known[1], known[2] = False, True
    planes[1] = 0.4  # as a fill begins an empty plane
    planes = torch.where(known | (torch.arange(4) == 1)[:, None, None], planes, 0.0)
    found = interpolated_large(planes, known)
    assert torch.allclose(found[1], planes[1], atol=1e-5)
    assert torch.equal(found[2], planes[2])
    for place in (0, 3):
        alone = solved(planes[place].double().numpy(), known[place].numpy())
        np.testing.assert_allclose(found[place], alone, atol=1e-4)


def test_large_planes_are_solved_so_and_alike(monkeypatch):
    planes = torch.rand(3, 130, 140, generator=torch.Generator().manual_seed(0))
    known = torch.from_numpy(masks("random", (130, 140))).expand(3, 130, 140)
    planes = planes * known
    assert planes[0].numel() > _linear.LARGE
    new = _linear.interpolated(planes, known)
    assert torch.equal(new, interpolated_large(planes, known))
    monkeypatch.setattr(_linear, "LARGE", 10**9)
    old = _linear.interpolated(planes, known)
    assert not torch.equal(new, old)
    assert torch.allclose(new, old, atol=1e-4)
