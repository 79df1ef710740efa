"""Maps without a direction, counted."""

import numpy as np
import pytest

from gradaudit.instruments.alignment.statistics import VANISHING, directions


def test_maps_of_zeros_and_maps_that_vanish_beside_the_largest_are_counted_apart():
    magnitudes = np.array([0.0, 0.0, 0.5e-6, 2e-6, 0.3, 1.0, 0.9, 0.0, 0.99e-6, 1e-30])
    assert directions(magnitudes) == {"zero": pytest.approx(0.3), "vanishing": pytest.approx(0.3)}
    assert directions(1e-20 * magnitudes) == directions(magnitudes)


def test_what_vanishes_is_measured_by_the_largest_map_alone():
    magnitudes = np.full(1000, 0.5 * VANISHING)
    magnitudes[0] = 1.0
    assert directions(magnitudes) == {"zero": 0.0, "vanishing": pytest.approx(0.999)}


def test_maps_that_are_all_zero_do_not_vanish_as_well():
    assert directions(np.zeros(5)) == {"zero": 1.0, "vanishing": 0.0}
