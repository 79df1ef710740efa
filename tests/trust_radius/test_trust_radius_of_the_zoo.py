"""The trust radius of classifiers that are trained, on digits."""

import pytest

import gradaudit as ga


@pytest.fixture(name="digits", scope="module")
def digits_fixture():
    return ga.load_images("mnist5k")[1].sample(60, 0)


def test_the_standard_classifier_is_nearly_linear_and_the_robust_one_bent(digits):
    standard, robust = (
        ga.trust_radius(ga.load_classifier(f"zoo:mnist/{name}"), digits, copies=16, pairs=1, device="cpu")
        for name in ("standard", "robust")
    )
    assert standard.verdict.label == "wide"
    assert robust.verdict.label == "local"
    assert robust.radius[0] == pytest.approx(0.13, abs=0.05)
    assert standard.table["explained"].iloc[-1] > 0.7 > 0.4 > robust.table["explained"].iloc[-1]
    for result in (standard, robust):
        assert result.table["explained"].iloc[0] > 0.99
        assert (result.table["error_mmse"] < 0.1).all()
        assert result.table["error_softmax"].iloc[0] > result.table["error_taylor"].iloc[0]
