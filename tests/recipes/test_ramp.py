"""The ramp: the objective's strength rises linearly from zero over its share of the steps."""

import pytest
import torch

from gradaudit.devices import seeded
from gradaudit.errors import InputError
from gradaudit.training import Recipe
from gradaudit.training.fitting import fit

CPU = torch.device("cpu")


@pytest.fixture(name="own")
def own_fixture(monkeypatch, tmp_path):
    """An objective of the user's own, in the current folder, that says what it was given."""
    (tmp_path / "own_ramp.py").write_text(
        "from gradaudit.training.objectives.standard import standard\nSEEN = []\n"
        "def watched(classifier, images, labels, *, other=7, strength=4.0):\n"
        "    SEEN.append((other, strength))\n    return standard(classifier, images, labels)\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    import own_ramp

    def run(**fields):
        own_ramp.SEEN.clear()
        recipe = Recipe(network="linear", epochs=2, batch_size=2, **fields)
        images, labels = torch.rand(10, 1, 2, 2), torch.zeros(10, dtype=torch.int64)
        with seeded(0):
            fit(recipe.build((1, 2, 2), 2), lambda at: (images[at], labels[at]), 10, recipe, device=CPU)
        return list(own_ramp.SEEN)

    return run


def test_it_rises_linearly_to_the_strength_asked_for_and_stays(own):
    rising = [4.0 * (step + 0.5) / 10 / 0.4 for step in range(4)]
    assert own(objective="own_ramp:watched", ramp=0.4) == [(7, pytest.approx(value)) for value in rising] + [(7, 4.0)] * 6
    rising = [(2, pytest.approx(3 * (step + 0.5) / 10 / 0.9)) for step in range(9)]
    assert own(objective="own_ramp:watched(2, 3)", ramp=0.9) == [*rising, (2, 3)]
    assert own(objective="own_ramp:watched", ramp=0) == [(7, 4.0)] * 10


@pytest.mark.parametrize(
    ("objective", "strength"),
    [
        ("adversarial(eps=0.3)", ("eps", 0.3)),
        ("adversarial", ("eps", 1.0)),
        ("adversarial(linf, 0.25)", ("eps", 0.25)),
        ("trades(beta=2)", ("eps", 0.3)),
        ("gradient_penalty(strength=5)", ("strength", 5)),
        ("noise_stability(std=0.2)", ("strength", 1.0)),
        ("noise(std=0.5)", ("std", 0.5)),
        ("standard", (None, None)),
    ],
)
def test_what_rises(objective, strength):
    assert Recipe(objective=objective).strength() == strength


def test_an_objective_without_a_strength_has_no_ramp():
    with pytest.raises(
        InputError, match=r"^`ramp` \(=0.5\) must be 0 for the objective standard, which has none of eps, strength, std"
    ):
        Recipe(ramp=0.5)
    with pytest.raises(InputError, match="`ramp`"):
        Recipe(objective="noise", ramp=1.0)
