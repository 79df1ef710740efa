"""A grid that is killed, shared, damaged or out of room: no finished fit is repeated, and the table is the same."""

import errno
import filecmp
import json
import os
import random
import signal
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import gradaudit as ga
from gradaudit import files

FITS = 75
SCRIPT = f"""
import os, runpy, sys, time
flush = os.fsync
os.fsync = lambda handle: (time.sleep(0.03), flush(handle))  # a slow disk: time enough to be killed
if __name__ == "__main__":
    planted = runpy.run_path({str(Path(__file__).with_name("conftest.py"))!r})["planted_grid"]
    planted(sys.argv[1], workers=int(sys.argv[3])).save(sys.argv[2])
"""


@pytest.fixture(scope="module", name="whole")
def whole_fixture(planted, tmp_path_factory):
    """The files of an uninterrupted run in a store of its own."""
    folder = tmp_path_factory.mktemp("whole")
    return planted.grid(folder / "store").save(folder / "out")


@pytest.fixture(name="start")
def start_fixture(start_program):
    """Start the run in a process group of its own; whatever is left of it is killed at the end."""
    started = []

    def start(store, out, workers=1):
        started.append(start_program(SCRIPT, store, out, workers))
        return started[-1]

    yield start
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)


def assert_same_files(one, other):
    for name in ("results.json", "diffroar.csv"):
        assert filecmp.cmp(Path(one) / name, Path(other) / name, shallow=False), name


def marks(paths):
    """What changes when a file is written again."""
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in paths}


def wait_for(condition, process, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert process.poll() is None, f"ended too early: {process.wait()}"
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.002)


def test_a_finished_run_repeats_nothing(planted, whole, tmp_path):
    store = whole.parent / "store"
    before = marks(path for path in store.rglob("*") if path.is_file())
    assert len(planted.fits(store)) == FITS
    assert_same_files(planted.grid(store).save(tmp_path / "again"), whole)
    assert marks(path for path in store.rglob("*") if path.is_file()) == before


@pytest.mark.parametrize("workers", [1, 2])
def test_a_killed_run_continues_where_it_was(planted, whole, start, tmp_path, workers):
    store = tmp_path / "store"
    process = start(store, tmp_path / "never", workers)
    wait_for(lambda: len(planted.fits(store)) >= 5, process)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = marks(planted.fits(store))
    assert 5 <= len(finished) < FITS, "the run ended before it was killed"
    assert not (tmp_path / "never").exists()
    assert_same_files(planted.grid(store).save(tmp_path / "out"), whole)
    assert {path: mark for path, mark in marks(planted.fits(store)).items() if path in finished} == finished
    assert len(planted.fits(store)) == FITS


def test_two_processes_on_one_store_give_the_same_table(planted, whole, start, tmp_path):
    processes = [start(tmp_path / "store", tmp_path / name) for name in ("one", "two")]
    for process in processes:
        assert process.wait() == (0, "", "")
    for name in ("one", "two"):
        assert_same_files(tmp_path / name, whole)
    assert len(planted.fits(tmp_path / "store")) == FITS
    assert not list((tmp_path / "store").rglob("*.part"))


@pytest.mark.slow
def test_processes_killed_and_started_at_random_leave_whole_entries_and_the_same_table(planted, whole, start, tmp_path):
    """`benchmarks/shared_store.py` does this with ten processes for five minutes."""
    store, draw = tmp_path / "store", random.Random(0)
    running = [start(store, tmp_path / "out") for _ in range(3)]
    for wanted in (5, 15, 25, 40):
        wait_for(lambda wanted=wanted: len(planted.fits(store)) >= wanted, running[0])
        place = draw.randrange(1, 3)
        os.killpg(running[place].pid, signal.SIGKILL)
        running[place] = start(store, tmp_path / "out")
    for process in running:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    assert len(planted.fits(store)) < FITS, "the run ended before it was killed"
    assert_same_files(planted.grid(store).save(tmp_path / "out"), whole)
    found, quiet = (timeless(planted.fits(place)) for place in (store, whole.parent / "store"))
    assert found == quiet


def timeless(fits):
    """What each fit came to, by its file's name, less the seconds that it took."""
    entries = {path.name: json.loads(path.read_text()) for path in fits}
    return {name: entry["outcome"] | {"seconds": None} for name, entry in entries.items()}


def test_two_workers_give_the_same_table_and_share_one_copy_of_the_images(planted, whole, tmp_path, monkeypatch):
    dumped = set()
    from joblib import numpy_pickle

    dump = numpy_pickle.dump
    monkeypatch.setattr("joblib._memmapping_reducer.dump", lambda array, path, *rest: dumped.add(path) or dump(array, path, *rest))
    arguments = (planted.classifier(), planted.images(2000, 0), planted.images(2000, 1))
    options = {"levels": (0.1, 0.3), "seeds": 1, "controls": (), "device": "cpu", "learner": planted.recipe.with_(epochs=1)}
    two = ga.diffroar(*arguments, evaluate="retrain", workers=2, store=tmp_path / "two", **options)
    one = ga.diffroar(*arguments, evaluate="retrain", workers=1, store=tmp_path / "one", **options)
    pd.testing.assert_frame_equal(one.table, two.table)
    assert len(dumped) == 2, "each set's images once; a copy for each fit would fill the disk"
    assert_same_files(planted.grid(tmp_path / "both", workers=2).save(tmp_path / "out"), whole)


def test_a_truncated_fit_is_fitted_again_with_a_warning(planted, whole, tmp_path):
    store = tmp_path / "store"
    planted.grid(store)
    before = marks(planted.fits(store))
    damaged = next(iter(before))
    damaged.write_bytes(damaged.read_bytes()[:40])
    with pytest.warns(UserWarning, match=f"damaged entry of the store, {damaged}"):
        again = planted.grid(store)
    assert_same_files(again.save(tmp_path / "out"), whole)
    assert {path for path, mark in marks(planted.fits(store)).items() if mark != before[path]} == {damaged}


@pytest.mark.parametrize("suffix", [".npy", ".json"])
def test_a_truncated_ranking_is_made_again_with_a_warning(planted, whole, tmp_path, suffix):
    store = tmp_path / "store"
    planted.grid(store)
    before = marks(planted.fits(store))
    for damaged in (store / "rankings").rglob(f"*{suffix}"):
        damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.warns(UserWarning, match="damaged ranking in the store"):
        again = planted.grid(store)
    assert_same_files(again.save(tmp_path / "out"), whole)
    assert marks(planted.fits(store)) == before


def test_a_full_disk_keeps_what_was_finished(planted, whole, tmp_path, monkeypatch):
    store, room = tmp_path / "store", 7
    flush = os.fsync

    def full(handle):
        if len(planted.fits(store)) >= room:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        flush(handle)

    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fsync", full)
        with pytest.raises(ga.StoreError, match="No space left on device") as caught:
            planted.grid(store)
    assert caught.value.errno == errno.ENOSPC
    finished = marks(planted.fits(store))
    assert len(finished) == room
    assert not list(store.rglob("*.part"))
    assert_same_files(planted.grid(store).save(tmp_path / "out"), whole)
    assert {path: mark for path, mark in marks(planted.fits(store)).items() if path in finished} == finished


def test_a_ranking_that_fits_on_no_disk_is_refused_before_any_fit(planted, tmp_path, monkeypatch):
    import shutil

    usage = shutil.disk_usage(tmp_path)
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: usage._replace(free=100))
    with pytest.raises(ga.StoreError, match="MB are free"):
        planted.grid(tmp_path / "store")
    assert not planted.fits(tmp_path / "store")


def test_an_own_learner_that_changes_under_its_name_is_fitted_again(planted, tmp_path, monkeypatch):
    source = "import torch\ndef net(input_shape, classes):\n    return torch.nn.Sequential(torch.nn.Flatten(), {})\n"
    monkeypatch.syspath_prepend(tmp_path)
    arguments = (planted.classifier(), planted.images(100, 0), planted.images(50, 1))
    options = {
        "levels": (0.3,),
        "seeds": 1,
        "controls": (),
        "conditional": False,
        "store": tmp_path / "store",
        "workers": 1,
        "device": "cpu",
    }
    for place, layers in enumerate(
        ("torch.nn.Linear(64, classes)", "torch.nn.Linear(64, 8), torch.nn.ReLU(), torch.nn.Linear(8, classes)")
    ):
        (tmp_path / "changing_learner.py").write_text(source.format(layers))
        sys.modules.pop("changing_learner", None)
        ga.diffroar(*arguments, evaluate="retrain", learner="changing_learner:net", **options)
        assert len(planted.fits(tmp_path / "store")) == 5 * (place + 1)
    del sys.modules["changing_learner"]
