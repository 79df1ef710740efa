"""Bounding boxes as masks."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import gradaudit as ga
from gradaudit.instruments.leakage import mask_from_boxes


@st.composite
def boxes(draw, height=5, width=7):
    left, top = draw(st.integers(0, width - 1)), draw(st.integers(0, height - 1))
    return [left, top, draw(st.integers(left + 1, width)), draw(st.integers(top + 1, height))]


@settings(deadline=None, max_examples=60)
@given(st.lists(st.lists(boxes(), max_size=3), min_size=1, max_size=4))
def test_a_pixel_is_true_where_any_box_holds_it(listed):
    mask = mask_from_boxes(listed, (5, 7))
    assert mask.shape == (len(listed), 5, 7)
    for place, found in enumerate(listed):
        for row in range(5):
            for column in range(7):
                inside = any(left <= column < right and top <= row < bottom for left, top, right, bottom in found)
                assert bool(mask[place, row, column]) == inside


def test_one_box_an_image_from_a_list_an_array_or_a_tensor():
    listed = [[0, 1, 2, 3], [4, 0, 7, 5]]
    expected = mask_from_boxes([[box] for box in listed], (5, 7))
    for given_as in (listed, np.array(listed, np.int32), torch.tensor(listed)):
        assert torch.equal(mask_from_boxes(given_as, (5, 7)), expected)


@pytest.mark.parametrize(
    ("argument", "given_boxes", "size"),
    [
        ("boxes", [[0, 0, 8, 5]], (5, 7)),
        ("boxes", [[0, 0, 3, 3], [2, 2, 2, 4]], (5, 7)),
        ("boxes", [[-1, 0, 3, 3]], (5, 7)),
        ("boxes", [[0.0, 0.0, 3.0, 3.0]], (5, 7)),
        ("boxes", [[0, 0, 3]], (5, 7)),
        ("boxes", [[[0, 0, 3, 3], [1, 2]]], (5, 7)),
        ("boxes", "0,0,3,3", (5, 7)),
        ("size", [[0, 0, 3, 3]], 5),
        ("size", [[0, 0, 3, 3]], (5, 0)),
    ],
)
def test_bad_boxes_are_named(argument, given_boxes, size):
    with pytest.raises(ga.InputError, match=f"`{argument}`"):
        mask_from_boxes(given_boxes, size)


def test_the_image_of_a_bad_box_is_named():
    with pytest.raises(ga.InputError, match="image 1 has another"):
        mask_from_boxes([[0, 0, 3, 3], [2, 2, 2, 4]], (5, 7))
