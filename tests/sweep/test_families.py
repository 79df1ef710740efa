"""Families: from names to recipes."""

import pytest

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.instruments.sweep import BASE, STRENGTHS, read_families


def test_the_papers_families_have_their_recipes():
    found = {one.name: one.recipe(BASE, 0.3) for one in read_families([*STRENGTHS])}
    expected = {
        "gradient_penalty": {"name": "gradient_penalty", "strength": 0.3},
        "noise_stability": {"name": "noise_stability", "strength": 0.3, "std": 0.1},
        "noise": {"name": "noise", "std": 0.3},
        "adversarial": {"name": "adversarial", "norm": "l2", "eps": 0.3, "steps": 7},
    }
    assert found == {
        name: ga.Recipe(
            network="cnn_a(activation=silu)",
            objective=objective,
            optimizer="adamw",
            learning_rate=0.002,
            weight_decay=1e-4,
            epochs=4,
            ramp=0.3,
        )
        for name, objective in expected.items()
    }


def test_a_familys_options_and_strengths_are_the_users():
    (own,) = read_families({"adversarial(steps=3)": (0.1, 0.25)}, norm="linf")
    assert own.strengths == (0.1, 0.25)
    assert own.recipe(BASE, 0.25).objective == "adversarial(eps=0.25, norm=linf, steps=3)"
    (other,) = read_families({"adversarial(norm=l2)": (1.0,)}, norm="linf")
    assert "norm=l2" in other.recipe(BASE, 1.0).objective
    (single,) = read_families("noise-stability")
    assert (single.option, single.strengths) == ("strength", STRENGTHS["noise_stability"])


@pytest.mark.parametrize(("name", "norm"), [("adversarial", "linf"), ("adversarial(norm=linf)", "l2")])
def test_strengths_of_their_own_are_for_l2(name, norm):
    with pytest.raises(InputError, match="given its strengths"):
        read_families(name, norm=norm)
    assert len(read_families(["noise", "gradient_penalty"], norm=norm)) == 2  # which have no norm


def test_any_objective_with_a_strength_makes_a_family():
    (family,) = read_families({"trades": (0.5, 1.0)})
    assert family.recipe(BASE, 0.5).strength() == ("eps", 0.5)


@pytest.mark.parametrize(
    ("families", "words"),
    [
        ([], "`families`"),
        (3, "`families`"),
        ("nois", "did you mean 'noise'"),
        ("standard", "an objective with a strength"),
        ("trades", "given its strengths"),
        ("noise(std=0.1)", "without its strength std"),
        ("noise(much=1)", "given options that noise has"),
        ({"noise": ()}, r"families\['noise'\]"),
        ({"noise": (0.2, 0.1)}, r"families\['noise'\]"),
        ({"noise": (0.0, 0.1)}, r"families\['noise'\]"),
        ({"noise": (0.1, float("inf"))}, r"families\['noise'\]"),
        ({"noise": "0.1"}, r"families\['noise'\]"),
    ],
)
def test_what_is_no_family_is_refused(families, words):
    with pytest.raises(InputError, match=words):
        read_families(families)
