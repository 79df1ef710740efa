"""Numbers on their calibrated scales: where marks stand, and how high the ground is."""

import re

import pytest

from gradaudit.answering import Scale
from gradaudit.report.bars import GROUND, MIDDLE, TOP, WIDTH, bar

SCALE = Scale(-1.0, 1.0, ((-1.0, 0.0), (-0.5, 0.0), (0.0, 0.0), (0.5, 0.75), (1.0, 1.0)))
NAN = float("nan")


def paths(drawing, kind):
    return re.findall(rf'<path class="{kind}" d="([^"]*)"', drawing)


def test_the_mark_and_the_whisker_stand_at_their_values():
    drawing = bar(SCALE, 0.5, 0.25, 0.75, name="a", label="x")
    assert paths(drawing, "mark") == [f"M{0.75 * WIDTH - 5:.1f} {MIDDLE:g}a5 5 0 1 0 10 0a5 5 0 1 0 -10 0Z"]
    (whisker,) = paths(drawing, "whisker")
    assert whisker.startswith(f"M{0.625 * WIDTH:.1f} {MIDDLE:g}H{0.875 * WIDTH:.1f}M")
    assert paths(drawing, "whisker halo") == [whisker]


def test_the_ground_is_as_high_as_the_share_of_good_maps():
    (ground,) = paths(bar(SCALE, 0.5, NAN, NAN, name="a"), "ground")
    corners = [tuple(map(float, pair.split())) for pair in ground.strip("MZ").split("L")]
    heights = [(GROUND - y) / (GROUND - TOP) for _, y in corners[1:-1]]
    assert heights == pytest.approx([0, 0, 0, 0.75, 1])
    assert [x / WIDTH for x, _ in corners[1:-1]] == pytest.approx([0, 0.25, 0.5, 0.75, 1])
    assert corners[0] == (0, GROUND)
    assert corners[-1] == (WIDTH, GROUND)


def test_the_ground_ends_where_no_map_was_planted():
    (ground,) = paths(bar(Scale(-2.0, 2.0, SCALE.curve), 0.5, NAN, NAN, name="a"), "ground")
    xs = [float(pair.split()[0]) for pair in ground.strip("MZ").split("L")]
    assert (min(xs), max(xs)) == (WIDTH / 4, 3 * WIDTH / 4)


def test_colours_go_from_bad_over_open_to_good_and_are_given_where_the_share_changes():
    stops = re.findall(r'offset="([^"]*)" style="stop-color: ([^"]*)"', bar(SCALE, 0.5, NAN, NAN, name="a"))
    assert [float(place) for place, _ in stops] == [0, 0.5, 0.75, 1]
    assert [color.removeprefix("color-mix(in oklab, ") for _, color in stops] == [
        "var(--open) 0%, var(--bad))",
        "var(--open) 0%, var(--bad))",
        "var(--good) 50%, var(--open))",
        "var(--good) 100%, var(--open))",
    ]


@pytest.mark.parametrize(("value", "place", "way"), [(7.0, WIDTH, 6), (-7.0, 0.0, -6)])
def test_a_number_beyond_the_scale_is_an_arrow_at_its_end(value, place, way):
    (mark,) = paths(bar(SCALE, value, value - 1, value + 1, name="a"), "mark")
    assert mark.startswith(f"M{place + way:.1f} ")
    assert "a5 5" not in mark


def test_without_an_interval_there_is_no_whisker_and_without_a_curve_no_ground():
    drawing = bar(Scale(0.0, 1.0, ()), 0.5, NAN, NAN, name="a")
    assert paths(drawing, "whisker") == paths(drawing, "ground") == []
    assert len(paths(drawing, "mark")) == 1


def test_words_are_escaped_and_a_drawing_without_words_is_for_the_eye_alone():
    assert 'role="img" aria-label="&lt;b&gt;"' in bar(SCALE, 0.5, NAN, NAN, name="a", label="<b>")
    assert 'aria-hidden="true"' in bar(SCALE, 0.5, NAN, NAN, name="a")
