"""Cells: their keys, what the store has of them, learners that fail, and how long they take."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.errors import TrainingError
from gradaudit.evaluator.training import VERSIONS
from gradaudit.fills import Fill
from gradaudit.instruments.diffroar.cells import describe, run_cell, run_cells
from gradaudit.instruments.diffroar.unmasking import Unmasking
from gradaudit.training.store import key_of
from gradaudit.training.timing import seconds_a_step

CPU = torch.device("cpu")


@pytest.fixture(name="grid")
def grid_fixture(planted, tmp_path):
    options = {"learner": planted.recipe, "levels": (0.2,), "seeds": 2, "controls": (), "workers": 1, "device": "cpu"}
    images = planted.images(100, 0), planted.images(50, 1)
    return ga.prepare_diffroar(planted.classifier(), *images, evaluate="retrain", store=tmp_path, **options)


@pytest.fixture(name="cells")
def cells_fixture(grid):
    return grid.cells(grid.rankings(make=True))


def test_a_key_names_all_that_decides_a_fit_and_no_more(planted):
    """In these very words: other ones, and all that a store has would be fitted again."""
    unmasking = Unmasking(7, "bottom", "both", Fill(lambda kept, mask: kept, ("grey",)), shift=3)
    assert describe(unmasking, planted.recipe.with_(precision="fp32", seed=4), ("a", "b"), CPU) == {
        "what": "fits",
        "measured": ["correct", "bits 2"],
        "cell": {
            "content": "both",
            "recipe": planted.recipe.model_dump() | {"precision": "fp32", "seed": 4},
            "keep": 7,
            "side": "bottom",
            "shift": 3,
            "fill": unmasking.fill.key,
        },
        "data": ["a", "b"],
        "device": "cpu",
        **VERSIONS,
    }


def test_equal_cells_are_fitted_once_and_found_under_every_name(cells, grid, planted):
    cell = cells["whole", 0]
    found = run_cells({"one": cell, "other": dataclasses.replace(cell)}, grid.crew)
    assert found["one"] == found["other"] == grid.crew.store.get(cell.description)
    assert len(planted.fits(grid.crew.store.folder)) == 1


def test_what_another_process_has_finished_meanwhile_is_not_fitted_again(cells, grid):
    cell, store = cells["whole", 0], grid.crew.store
    store.put(cell.description, {"accuracy": 0.25})
    assert run_cell(cell, store, "cpu") == (key_of(cell.description), {"accuracy": 0.25})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"learning_rate": 1e30}, r"the loss of epoch \d is .*: lower `learning_rate`"),
        ({"learning_rate": 1e300, "batch_size": 100, "epochs": 1}, "logits of test images are not finite: lower `learning_rate`"),
    ],
)
def test_a_learner_that_diverges_is_told_and_not_kept(cells, grid, fields, message):
    cell = dataclasses.replace(cells["whole", 0], recipe=cells["whole", 0].recipe.with_(**fields))
    with pytest.raises(TrainingError, match=message):
        run_cell(cell, grid.crew.store, "cpu")
    assert grid.crew.store.get(cell.description) is None


def test_learners_of_mask_and_image_have_channels_of_their_own_for_it(cells):
    inputs = {column: cells["logit_gradient", 0.2, 0, column].build() for column in ("top", "mask_top", "both_top")}
    sizes = {column: next(weight for weight in one.parameters() if weight.ndim == 2).shape[1] for column, one in inputs.items()}
    assert sizes == {"top": 64, "mask_top": 64, "both_top": 128}


@pytest.mark.parametrize(("count", "steps"), [(1000, 6), (10, 6), (50, 3)])
def test_so_many_steps_are_timed_and_as_many_before(planted, monkeypatch, count, steps):
    clock, drawn = iter([0.0, 12.0]), []
    monkeypatch.setattr("gradaudit.training.timing.time.perf_counter", lambda: next(clock))
    images = planted.images(count, 0)

    def draw(indices):
        drawn.append(len(indices))
        return images.floats(indices), images.labels[indices]

    found = seconds_a_step(planted.classifier(), draw, count, planted.recipe, steps, device=CPU)
    timed = len(drawn) // 2
    assert timed in (steps, steps + 1)  # whole epochs
    assert found == 12.0 / timed
    assert max(drawn) <= min(count, planted.recipe.batch_size)


def test_a_rate_at_which_a_learner_would_diverge_is_no_hindrance_to_a_plan(planted):
    images = planted.images(200, 0)
    recipe = planted.recipe.with_(learning_rate=1e30)

    def draw(indices):
        return images.floats(indices), images.labels[indices]

    assert np.isfinite(seconds_a_step(planted.classifier(), draw, 200, recipe, device=CPU))
