"""The choice of a way and a group size, and the memory that it rests on."""

import pytest
import torch

from gradaudit.errors import InputError
from gradaudit.training.recipe import Recipe
from gradaudit.training.together import Choice, Member, accepted, choose, choosing, resolve_at_once, resolve_together
from gradaudit.training.together.memory import free_memory, predicted_memory

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
COUNT = 40
IMAGES, LABELS = torch.rand(COUNT, 1, 8, 8), torch.arange(COUNT) % 4
RECIPE = Recipe(network="linear", precision="fp32", batch_size=16)


def member(recipe=RECIPE):
    return Member(0, lambda: recipe.build((1, 8, 8), 4), lambda at: (IMAGES[at], LABELS[at]), lambda learner: None)


def chosen(together, recipe=RECIPE, at_once=None, most=8):
    return choose([member(recipe)], COUNT, recipe, CPU, together=together, at_once=at_once, most=most)


def rated(monkeypatch, rates):
    """Pretend that ways are as fast as this, by name and size."""
    monkeypatch.setattr(choosing, "steps_a_second", lambda way, members, *rest: rates[way, len(members)])


def test_on_a_cpu_auto_is_one_by_one_without_timing(monkeypatch):
    rated(monkeypatch, {})
    assert chosen("auto") == Choice("one_by_one", 1)
    assert accepted("auto", CPU) == ("one_by_one",)


def test_on_an_accelerator_outcomes_of_every_way_count_and_those_of_one_by_one_come_first():
    assert accepted("auto", CUDA) == ("one_by_one", "graphed", "stacked", "streams")
    assert accepted("stacked", CUDA) == accepted("stacked", CPU) == ("stacked", "one_by_one")
    assert accepted("one_by_one", CUDA) == ("one_by_one",)


def test_groups_grow_as_long_as_that_pays(monkeypatch):
    rated(monkeypatch, {("stacked", 1): 10.0, ("stacked", 2): 18.0, ("stacked", 4): 18.5})
    found = chosen("stacked")
    assert (found.way, found.at_once) == ("stacked", 4)
    assert set(found.steps) == {("stacked", 1), ("stacked", 2), ("stacked", 4)}, "8 is not tried: 4 gave less than 5 % more"


def test_groups_leave_no_worker_idle(monkeypatch):
    rated(monkeypatch, {("stacked", size): float(size) for size in (1, 2)})
    assert chosen("stacked", most=3).at_once == 2


def test_groups_fit_into_memory(monkeypatch):
    rated(monkeypatch, {("stacked", size): float(size) for size in (1, 2, 4, 8)})
    need = predicted_memory(member(), COUNT, RECIPE, CPU)
    monkeypatch.setattr(choosing, "free_memory", lambda device: int(need * 5 / choosing.SHARE) + 1)
    assert chosen("stacked").at_once == 4


def test_the_fastest_of_the_possible_ways_is_taken(monkeypatch):
    monkeypatch.setattr(choosing, "accepted", lambda together, device: ("one_by_one", "graphed", "stacked"))
    rated(monkeypatch, {("one_by_one", 1): 20.0, ("stacked", 1): 8.0, ("stacked", 2): 15.0, ("stacked", 4): 28.0})
    found = chosen("auto", most=4)
    assert (found.way, found.at_once) == ("stacked", 4)
    assert found.why_not == {"graphed": "only CUDA has graphs"}
    rated(monkeypatch, {("one_by_one", 1): 20.0, ("stacked", 1): 8.0, ("stacked", 2): 8.1})
    assert chosen("auto", most=4).way == "one_by_one"


def test_a_number_of_fits_is_kept_to():
    found = chosen("stacked", at_once=3, most=1)
    assert (found.way, found.at_once) == ("stacked", 3)
    assert found.steps["stacked", 3] > 0, "timed with the real learner"


def test_a_way_that_can_not_gives_way_to_one_by_one_and_says_why():
    found = chosen("stacked", RECIPE.with_(augment="flip"))
    assert (found.way, found.at_once) == ("one_by_one", 1)
    assert "augmentation" in str(found)


@pytest.mark.parametrize(
    ("together", "words"),
    [
        ("stakced", "did you mean 'stacked'"),
        ("stacked(size=3)", "options that stacked has: compile"),
        ("stacked(compile=3)", "true or false"),
        (3, "a name such as"),
        (None, "a name such as"),
    ],
)
def test_bad_ways_are_refused(together, words):
    with pytest.raises(InputError, match=words) as caught:
        resolve_together(together, CPU)
    assert caught.value.argument == "together"


def test_compiling_needs_a_compiler(monkeypatch):
    monkeypatch.delenv("CXX", raising=False)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(InputError, match=r"`together`.* no C\+\+ compiler"):
        resolve_together("stacked(compile=true)", CPU)
    assert resolve_together("stacked(compile=true)", CUDA) == "stacked(compile=True)"


def test_one_way_has_one_name():
    assert {resolve_together(word, CPU) for word in ("one_by_one", "one-by-one", {"name": "one_by_one"})} == {"one_by_one"}
    assert resolve_together("stacked(compile=false)", CPU) == "stacked"


@pytest.mark.parametrize("at_once", [0, -1, 2.5, True, "many", None])
def test_bad_group_sizes_are_refused(at_once):
    with pytest.raises(InputError, match=r"`at_once`.*1 or more"):
        resolve_at_once(at_once)


@pytest.mark.parametrize(("optimizer", "momenta"), [("sgd", 1), ("adamw", 2)])
def test_predicted_memory_of_a_linear_learner_is_the_closed_form(optimizer, momenta):
    weights, batch = 4 * (64 * 4 + 4), 16
    images, labels, logits = 4 * 64 * batch, 8 * batch, 4 * 4 * batch
    predicted = predicted_memory(member(), COUNT, RECIPE.with_(optimizer=optimizer), CPU)
    # Saved for the gradient: log-probabilities, and a number by which the mean was divided.
    least = (2 + momenta) * weights + images + labels + logits + 2 * logits
    assert least <= predicted <= least + 64


def test_predicted_memory_grows_with_what_is_saved():
    narrow, wide = (predicted_memory(member(own), COUNT, own, CPU) for own in (widths(8), widths(16)))
    assert 1.5 * narrow < wide < 4.1 * narrow


def widths(width):
    return RECIPE.with_(network=f"convnet(batch_norm=true, width={width})")


def test_free_memory_is_what_the_system_says():
    import psutil

    assert free_memory(CPU) == pytest.approx(psutil.virtual_memory().available, rel=0.2)
