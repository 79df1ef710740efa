"""Cells that train together: the same table as one by one, each outcome in the store on its own, whatever the groups."""

import json
from dataclasses import replace

import numpy as np
import pytest

import gradaudit as ga
from gradaudit.errors import TrainingError
from gradaudit.instruments.diffroar import groups
from gradaudit.instruments.diffroar.cells import found_in, run_cells
from gradaudit.instruments.diffroar.measures import ACCURACIES
from gradaudit.training.together import Choice

SMALL = {"levels": (0.2,), "seeds": 2, "controls": ()}
FITS = 2 * (1 + 2 * 3)


@pytest.fixture(scope="module", name="one_by_one")
def one_by_one_fixture(planted, tmp_path_factory):
    return planted.grid(tmp_path_factory.mktemp("one_by_one"), **SMALL)


@pytest.fixture(name="prepared")
def prepared_fixture(planted, tmp_path):
    def prepared(**options):
        arguments = planted.classifier(), planted.images(100, 0), planted.images(50, 1)
        chosen = SMALL | {"learner": planted.recipe, "workers": 1, "device": "cpu", "store": tmp_path}
        return ga.prepare_diffroar(*arguments, evaluate="retrain", **chosen | options)

    return prepared


def kept(planted, store):
    """What the store has of each fit, by all that decides it but the way and the seconds."""
    found = {}
    for path in planted.fits(store):
        entry = json.loads(path.read_text())
        way = entry["description"].pop("together", "one_by_one")
        seconds = entry["outcome"].pop("seconds")
        assert seconds >= 0
        found[json.dumps(entry["description"], sort_keys=True)] = way, entry["outcome"]
    return found


def test_auto_on_a_cpu_is_one_by_one_to_the_last_bit(planted, one_by_one, tmp_path):
    asked = planted.grid(tmp_path, together="one_by_one", **SMALL)
    assert asked.to_json() == one_by_one.to_json()
    assert asked.details["together"] == {"one_by_one": FITS}


def test_stacked_cells_give_the_table_of_fits_one_by_one(planted, one_by_one, tmp_path):
    result = planted.grid(tmp_path, together="stacked", at_once=8, **SMALL)
    assert result.details["together"] == {"stacked": FITS}
    accuracies = [*(set(ACCURACIES) & set(result.table))]
    bits = [name for name in result.table if name.startswith("bits_")]
    assert len(accuracies) == len(bits) == 6
    np.testing.assert_allclose(result.table[accuracies], one_by_one.table[accuracies], atol=0.02)  # two of a hundred images
    np.testing.assert_allclose(result.table[bits], one_by_one.table[bits], atol=0.02)
    assert result.verdict.label == one_by_one.verdict.label


def test_outcomes_in_the_store_do_not_depend_on_the_groups(planted, tmp_path):
    found = []
    for size in (2, 5):
        planted.grid(tmp_path / str(size), together="stacked", at_once=size, **SMALL)
        found.append(kept(planted, tmp_path / str(size)))
    assert len(found[0]) == FITS
    assert {way for way, _ in found[0].values()} == {"stacked"}
    assert found[0] == found[1]


def test_finished_fits_are_left_out_of_groups_and_those_one_by_one_count(planted, one_by_one, tmp_path):
    few = planted.grid(tmp_path, together="stacked", at_once=4, **SMALL | {"seeds": 1})
    before = {path: path.stat().st_mtime_ns for path in planted.fits(tmp_path)}
    planted.grid(tmp_path, together="stacked", at_once=4, **SMALL)
    after = {path: path.stat().st_mtime_ns for path in planted.fits(tmp_path)}
    assert few.details["together"] == {"stacked": FITS // 2}
    assert (len(before), len(after)) == (FITS // 2, FITS)
    assert {path: after[path] for path in before} == before
    # The other way round: who asks for fits one by one gets no others.
    assert planted.grid(tmp_path, **SMALL).to_json() == one_by_one.to_json()
    assert len(planted.fits(tmp_path)) == 2 * FITS


def test_fits_one_by_one_that_the_store_has_count_in_every_way(planted, one_by_one, tmp_path):
    planted.grid(tmp_path, **SMALL)
    assert planted.grid(tmp_path, together="stacked", **SMALL).to_json() == one_by_one.to_json()
    assert len(planted.fits(tmp_path)) == FITS


def test_what_can_not_be_stacked_is_fitted_one_by_one_and_the_plan_says_why(planted, prepared):
    grid = prepared(learner=planted.recipe.with_(augment="flip"), together="stacked", seeds=1)
    assert "one by one (stacked: augmentation draws at random" in str(grid.plan())
    assert grid.run().details["together"] == {"one_by_one": FITS // 2}


def test_the_plan_says_how_many_train_at_once(planted, prepared, tmp_path):
    plan = prepared(workers=2, together="stacked", at_once=4).plan()
    assert "with 2 workers, 4 fits at once, stacked: about" in str(plan)
    assert plan.seconds > 0
    assert "at once" not in str(prepared(workers=2).plan())
    assert not planted.fits(tmp_path)


def test_groups_are_of_nearly_equal_size_and_of_learners_of_one_shape(prepared, monkeypatch):
    monkeypatch.setattr(groups, "choose", lambda *arguments, **options: Choice("stacked", 4))
    grid = prepared(seeds=3)
    jobs = {str(name): job for name, job in grid.jobs(grid.rankings(make=False)).items()}
    found = [keys for _, keys in grid.way.groups(jobs)]
    assert sorted(key for keys in found for key in keys) == sorted(jobs)
    # 15 learners of as many channels as the images have, 6 of one more for the mask.
    assert sorted(map(len, found)) == [3, 3, 3, 4, 4, 4]
    for keys in found:
        contents = {jobs[key].cell.content for key in keys}
        assert contents == {"both"} or "both" not in contents


def test_a_diverging_learner_loses_only_itself(prepared):
    grid = prepared()
    jobs = [*grid.jobs(grid.rankings(make=True)).values()][1:4]
    fills = (lambda kept, mask: kept, lambda kept, mask: kept + float("inf"), lambda kept, mask: kept)
    own = [replace(job.cell, content="image", fill=fill) for job, fill in zip(jobs, fills, strict=True)]
    descriptions = [job.description for job in jobs]
    with pytest.raises(TrainingError, match="loss of epoch 1"):
        run_cells(own, [(job.train, job.test) for job in jobs], 10, descriptions, grid.crew.store, "cpu", ("stacked",))
    assert [found_in(grid.crew.store, one, ("stacked",)) is not None for one in descriptions] == [True, False, True]


@pytest.mark.parametrize(
    ("changed", "argument", "words"),
    [
        ({"together": "stakced"}, "together", "did you mean 'stacked'"),
        ({"together": 3}, "together", "a name such as"),
        ({"at_once": 0}, "at_once", '"auto" or a whole number, 1 or more'),
        ({"at_once": "many"}, "at_once", '"auto" or a whole number, 1 or more'),
    ],
)
def test_bad_groups_are_refused(planted, tmp_path, changed, argument, words):
    with pytest.raises(ga.InputError, match=words) as caught:
        planted.grid(tmp_path, **changed)
    assert caught.value.argument == argument
    assert not planted.fits(tmp_path)
