"""The fit through the points of the cost benchmark, and what its record needs."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st


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


@given(constant=st.floats(0.0, 100.0), rate=st.floats(0.01, 100.0))
def test_a_straight_line_is_found_whole(cost, constant, rate):
    x = np.array([2.0, 4.0, 8.0, 32.0])
    line = cost.fitted(x, constant + rate * x)
    assert (line.constant, line.rate) == pytest.approx((constant, rate), rel=1e-6, abs=1e-6)
    assert line.off < 1e-6


@given(noise=st.lists(st.floats(0.5, 2.0), min_size=6, max_size=6))
def test_the_line_is_that_of_the_least_relative_squares_and_never_falls(cost, noise):
    x = np.array([1.0, 2.0, 4.0, 8.0, 16.0, 32.0])
    y = (3 + x) * np.array(noise)
    line = cost.fitted(x, y)
    assert min(line.constant, line.rate) >= 0
    squares = lambda constant, rate: float(((constant + rate * x) / y - 1) @ ((constant + rate * x) / y - 1))  # noqa: E731
    least = squares(line.constant, line.rate)
    for change in (0.99, 1.01):
        assert least <= squares(line.constant * change, line.rate) + 1e-12
        assert least <= squares(line.constant, line.rate * change) + 1e-12
    assert line.off == pytest.approx(np.abs(line.at(x) / y - 1).max())


def test_cost_in_proportion_is_as_needed(cost):
    work = lambda point: point.networks * point.epochs * point.images * point.features  # noqa: E731
    table = points(cost, lambda point: 5e-9 * work(point), lambda point: 20 + point.images * point.features / 1e6)
    lines = cost.lines_of(table)
    rows = {row.what.partition(" is ")[0]: row for row in cost.as_rows(table, lines)}
    assert {row.reached for row in rows.values()} <= {"yes", ""}
    assert lines["mlp", "images", "megabytes"].constant == pytest.approx(20)
    assert lines["mlp", "networks", "megabytes"].rate == pytest.approx(0, abs=1e-9)
    assert cost.each(table, "mlp") == pytest.approx(5)
    assert len(cost.drawn(table, lines).axes) == 6
    said = " and ".join(row.what for row in cost.as_rows(table, lines))
    assert " and 3.9e-05 s an image" in said
    assert "mlp: memory is 20 MB and 0.00078 MB an image" in said


def test_cost_that_grows_faster_is_not(cost):
    table = points(cost, lambda point: point.images**1.5 * point.networks, lambda point: point.networks**2.0 * point.images)
    reached = {row.what: row.reached for row in cost.as_rows(table, cost.lines_of(table))}
    assert {found for what, found in reached.items() if " s an image" in what} == {"no"}
    assert {found for what, found in reached.items() if " MB a network" in what} == {"no"}
    assert {found for what, found in reached.items() if " s a network" in what} == {"yes"}


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
