"""The fit through the points of the cost benchmark, and what its record needs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats


@pytest.fixture(scope="module")
def cost(script):
    return script("cost")


def points(cost, seconds, megabytes):
    rows = []
    for what, (name, values) in cost.VARIED.items():
        for value in values:
            point = cost.replace(cost.BASES[0], **{name: value})
            found = {"varied": what, **vars(point), "networks": point.networks, "features": point.features}
            rows.append(found | {"round": 0, "seconds": seconds(point), "megabytes": megabytes(point)})
    return pd.DataFrame(rows)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_gives_its_power(cost, power):
    x = np.array([2.0, 4.0, 8.0, 32.0])
    slope = cost.fitted(x, 3 * x**power)
    assert slope.value == pytest.approx(power, abs=1e-9)
    assert slope.high - slope.low == pytest.approx(0, abs=1e-5)
    assert np.exp(slope.intercept) == pytest.approx(3)


@given(noise=st.lists(st.floats(0.5, 2.0), min_size=6, max_size=6))
def test_the_slope_and_its_interval_are_those_of_least_squares(cost, noise):
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    y = x * np.array(noise)
    found, expected = cost.fitted(x, y), stats.linregress(np.log(x), np.log(y))
    assert found.value == pytest.approx(expected.slope)
    assert found.intercept == pytest.approx(expected.intercept, abs=1e-9)
    reach = 2.7764451 * expected.stderr  # Student's t, 4 degrees of freedom
    assert (found.low, found.high) == pytest.approx((expected.slope - reach, expected.slope + reach), abs=1e-5)


def test_cost_in_proportion_is_as_needed(cost):
    work = lambda point: point.networks * point.epochs * point.images * point.features  # noqa: E731
    table = points(cost, lambda point: 5e-9 * work(point), lambda point: (point.images * point.features) ** 0.9)
    slopes = cost.slopes_of(table)
    rows = {row.what.partition(" [")[0]: row for row in cost.as_rows(table, slopes)}
    assert rows["mlp: slope of wall time against images"].value == pytest.approx(1)
    assert rows["mlp: slope of memory against networks"].value == pytest.approx(0, abs=1e-9)
    assert {row.reached for row in rows.values()} <= {"yes", ""}
    assert cost.constant(table, "mlp") == pytest.approx(5)
    figure = cost.drawn(table, slopes)
    assert len(figure.axes) == 6
    assert "| mlp | images | 1.00 [1.00, 1.00] | 0.90 [0.90, 0.90] |" in cost.as_markdown(table, slopes)


def test_cost_that_grows_faster_is_not(cost):
    table = points(cost, lambda point: point.images**1.5 * point.networks, lambda point: point.networks**1.2 * point.images)
    rows = {row.what.partition(" [")[0]: row.reached for row in cost.as_rows(table, cost.slopes_of(table))}
    assert rows["mlp: slope of wall time against images"] == "no"
    assert rows["mlp: slope of memory against networks"] == "no"
    assert rows["mlp: slope of wall time against networks"] == "yes"


def test_what_is_freed_before_does_not_hide_what_is_used(script):
    processes = script("_processes")
    freed = np.ones(40_000_000, np.uint8)
    del freed
    before = processes.reset_peak()
    used = np.ones(30_000_000, np.uint8)
    assert processes.peak() - before == pytest.approx(used.nbytes, rel=0.1)


def test_work_alone_returns_what_it_found(script):
    alone = script("_processes").alone
    assert alone(divmod, 7, 3) == (2, 1)
    with pytest.raises(RuntimeError, match="that was to do _exit died"):
        alone(script("os")._exit, 0)
