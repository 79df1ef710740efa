"""The linear step against scipy, against the dual problem's bound, and by hand."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize

from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.frank_wolfe import linear_step

POWERS = (1.0, 1.1, 1.5, 2.0)


def problem(seed, size, zeros=0.0):
    rng = np.random.default_rng(seed)
    gradient, images = rng.standard_normal(size), rng.random(size)
    gradient[rng.random(size) < zeros] = 0
    images[rng.random(size) < zeros] = rng.integers(2)
    return gradient, -images, 1 - images


def ours(gradient, radius, p, low, high):
    rows = [torch.from_numpy(np.asarray(part))[None] for part in (gradient, low, high)]
    return linear_step(rows[0], radius, p=p, low=rows[1], high=rows[2])[0].numpy()


def by_scipy(gradient, radius, p, low, high):
    """The optimum of a general solver, in how far each entry goes along the gradient's sign: 0 to its bound."""
    slopes, bounds = np.abs(gradient), np.where(gradient > 0, high, -low)
    if p == 1:
        return -linprog(
            -slopes, A_ub=np.ones((1, len(slopes))), b_ub=[radius], bounds=list(zip(0 * bounds, bounds, strict=True))
        ).fun
    inside = {"type": "ineq", "fun": lambda t: radius**p - (t**p).sum(), "jac": lambda t: -p * t ** (p - 1)}
    start = np.minimum(bounds, radius / len(slopes) ** (1 / p)) * 0.9
    options = {"ftol": 1e-14, "maxiter": 2000}
    limits = list(zip(0 * bounds + 1e-12, bounds, strict=True))  # the constraint bends infinitely at 0 for p below 2
    found = minimize(
        lambda t: -slopes @ t, start, jac=lambda t: -slopes, bounds=limits, constraints=[inside], method="SLSQP", options=options
    )
    assert inside["fun"](found.x) > -1e-7  # it may end at its last digit and say that it failed
    return -found.fun


@pytest.mark.parametrize("p", POWERS)
@pytest.mark.parametrize("seed", range(12))
def test_equals_a_general_convex_solver(p, seed):
    rng = np.random.default_rng(100 + seed)
    gradient, low, high = problem(seed, 10)
    whole = (np.where(gradient > 0, high, -low) ** p).sum() ** (1 / p)
    radius = whole * rng.uniform(0.1, 1.1)
    step = ours(gradient, radius, p, low, high)
    assert gradient @ step == pytest.approx(by_scipy(gradient, radius, p, low, high), abs=1e-6)


def test_an_entry_whose_bound_uses_up_the_radius_stays_at_it():
    """What is left for the other entry vanishes beside 1, and with it its multiple."""
    step = ours(np.array([0.001, 0.029]), 0.8, 1.1, np.array([0.0, -0.2]), np.array([1.0, 0.8]))
    assert step == pytest.approx([0.0, 0.8])


thousandths = st.integers(0, 1000).map(lambda value: value / 1000)
signed = st.integers(-1000, 1000).map(lambda value: value / 1000)


@given(
    st.lists(st.tuples(signed, thousandths), min_size=1, max_size=30),
    thousandths.map(lambda share: 4 * share),
    st.sampled_from([*POWERS, 1.01, 3.0]),
)
def test_is_feasible_and_no_feasible_point_is_better(entries, radius, p):
    gradient, images = (np.array(part) for part in zip(*entries, strict=True))
    low, high = -images, 1 - images
    step = ours(gradient, radius, p, low, high)
    assert (step >= low - 1e-12).all()
    assert (step <= high + 1e-12).all()
    assert (np.abs(step) ** p).sum() ** (1 / p) <= radius * (1 + 1e-9)
    assert gradient @ step >= dual_bound(gradient, radius, p, low, high) - 1e-9


def dual_bound(gradient, radius, p, low, high):
    """The least value of the convex dual function over its multiplier: no feasible point exceeds it (weak duality)."""
    slopes, bounds = np.abs(gradient), np.where(gradient > 0, high, -low)
    if radius == 0:
        return 0.0

    def bound(multiplier):
        if p == 1:
            return np.maximum(slopes - multiplier, 0) @ bounds + multiplier * radius
        with np.errstate(divide="ignore", over="ignore"):
            free = (slopes / (p * multiplier)) ** (1 / (p - 1)) if multiplier > 0 else np.where(slopes > 0, np.inf, 0)
        lengths = np.minimum(free, bounds)
        return slopes @ lengths - multiplier * ((lengths**p).sum() - radius**p)

    if p == 1:
        return min(bound(at) for at in [0.0, *slopes])
    return min(bound(0.0), golden(lambda exponent: bound(10**exponent), -20, 10))


def golden(function, left, right):
    ratio = (math.sqrt(5) - 1) / 2
    for _ in range(200):
        one, other = right - ratio * (right - left), left + ratio * (right - left)
        left, right = (left, other) if function(one) < function(other) else (one, right)
    return function((left + right) / 2)


def test_without_bounds_in_reach_is_the_dual_norms_maximiser():
    gradient = torch.tensor([[3.0, -4.0]], dtype=torch.float64)
    box = torch.full_like(gradient, 100.0)
    step = linear_step(gradient, 2.0, p=2, low=-box, high=box)
    torch.testing.assert_close(step, torch.tensor([[1.2, -1.6]], dtype=torch.float64))
    step = linear_step(gradient, 2.0, p=1, low=-box, high=box)
    torch.testing.assert_close(step, torch.tensor([[0.0, -2.0]], dtype=torch.float64))
    step = linear_step(gradient, 1.0, p=1.5, low=-box, high=box)  # entries as the squares of the gradient's
    torch.testing.assert_close(step[0, 1] / step[0, 0], torch.tensor(-16 / 9, dtype=torch.float64))
    torch.testing.assert_close(step.abs().pow(1.5).sum(), torch.tensor(1.0, dtype=torch.float64))


@pytest.mark.parametrize("p", POWERS)
def test_a_radius_beyond_the_box_reaches_its_corner_and_zero_gradients_stay(p):
    images = torch.rand(3, 2, 4, 4, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    gradient = torch.randn(images.shape, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    gradient[1] = 0
    gradient[:, :, 0] = 0
    step = linear_step(gradient, 1e3, p=p, low=-images, high=1 - images)
    torch.testing.assert_close(step, (gradient > 0) * (1 - images) - (gradient < 0) * images)
    torch.testing.assert_close(linear_step(gradient, 0.0, p=p, low=-images, high=1 - images), torch.zeros_like(images))


@pytest.mark.parametrize("p", POWERS)
def test_rows_scale_and_dtype_change_nothing(p):
    images = torch.rand(4, 20, generator=torch.Generator().manual_seed(0))
    images[:, :5] = images[:, :5].round()
    gradient = torch.randn(images.shape, generator=torch.Generator().manual_seed(1))
    gradient[:, 10:13] = 0
    step = linear_step(gradient, 0.7, p=p, low=-images, high=1 - images)
    assert step.dtype == torch.float32
    assert (torch.linalg.vector_norm(step.double(), ord=p, dim=1) <= 0.7 * (1 + 1e-6)).all()
    for row in range(4):
        alone = linear_step(gradient[row : row + 1] * 1e-30, 0.7, p=p, low=-images[row : row + 1], high=1 - images[row : row + 1])
        torch.testing.assert_close(alone[0], step[row], rtol=1e-4, atol=1e-6)
    exact = linear_step(gradient.double(), 0.7, p=p, low=-images.double(), high=1 - images.double())
    torch.testing.assert_close(step.double(), exact, rtol=1e-5, atol=1e-7)


def test_p_near_one_approaches_p_of_one():
    gradient, low, high = problem(3, 200, zeros=0.2)
    near, at = (ours(gradient, 4.0, p, low, high) for p in (1.001, 1.0))
    assert gradient @ near == pytest.approx(gradient @ at, rel=2e-2)
    assert gradient @ near >= gradient @ at - 1e-9  # the ball of p contains that of 1


@pytest.mark.parametrize(
    ("changed", "argument"),
    [
        ({"radius": -1.0}, "radius"),
        ({"radius": math.nan}, "radius"),
        ({"p": 0.5}, "p"),
        ({"p": math.inf}, "p"),
        ({"low": torch.ones(1, 3)}, "low"),
        ({"high": -torch.ones(1, 3)}, "high"),
        ({"high": torch.ones(1, 4)}, "high"),
    ],
)
def test_bad_input_names_the_argument(changed, argument):
    options = {"radius": 1.0, "p": 1.5, "low": -torch.ones(1, 3), "high": torch.ones(1, 3)} | changed
    with pytest.raises(InputError, match=f"`{argument}`"):
        linear_step(torch.ones(1, 3), options.pop("radius"), **options)
