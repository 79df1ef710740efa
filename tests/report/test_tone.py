import pytest

from gradaudit.markup.rendering import tone


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("holds", "good"),
        ("leaks", "bad"),
        ("aligned", "good"),
        ("not aligned", "bad"),
        ("inconclusive", "open"),
        ("mixed", "open"),
        ("visible", "bad"),
        ("more than edges", "good"),
        ("no more than edges and my own", "bad"),
        ("informative first", "good"),
        ("upside down", "bad"),
        ("not at all", "bad"),
        ("decisive", "good"),
        ("indifferent", "bad"),
        ("wide", "good"),
        ("local", "neither"),
        ("nowhere", "bad"),
        ("not settled", "open"),
        ("trust", "good"),
        ("trust for integrated_gradients", "good"),
        ("do not trust", "bad"),
    ],
)
def test_a_verdict_is_good_bad_or_open(label, expected):
    assert tone(label) == expected
