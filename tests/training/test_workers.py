"""Many fits at once, on this machine."""

import os
import signal
import sys
import time

import joblib
import numpy as np
import psutil
import pytest
import torch

from gradaudit.errors import InputError, MissingExtraError, WorkerError
from gradaudit.training.backends import resolve_backend
from gradaudit.training.store import Store
from gradaudit.training.workers import resolve_workers, run_all

CPU = torch.device("cpu")


def squared(number, array):
    return number**2 + float(array.sum()), os.getpid(), torch.get_num_threads(), isinstance(array, np.memmap)


def failing(number):
    if number == 2:
        raise ZeroDivisionError("at the second")
    return number


def killed(number, folder, times):
    """Task 2 kills its worker so many times; each run leaves a mark."""
    tried = len(list(folder.glob(f"{number}-*")))
    (folder / f"{number}-{tried}").touch()
    if number == 2 and tried < times:
        os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(0.1)  # or another worker has done all before the death is noticed
    return number


def here(tmp_path, device=CPU):
    return resolve_backend("local", Store(tmp_path), device)


def all_of(function, tasks, tmp_path, **how):
    tasks = list(tasks)
    options = {"workers": 1, "backend": here(tmp_path), "title": "squaring", "show_progress": False}
    return run_all(function, iter(tasks), len(tasks), **options | how)


def test_one_worker_stays_in_this_process_and_keeps_the_order(tmp_path):
    found = list(all_of(squared, ((number, np.zeros(2)) for number in range(5)), tmp_path))
    assert [value for value, *_ in found] == [0, 1, 4, 9, 16]
    assert {process for _, process, *_ in found} == {os.getpid()}


def test_several_workers_have_a_thread_each_and_share_large_arrays_in_the_stores_folder(tmp_path):
    array = np.ones(50_000)
    found = list(all_of(squared, ((number, array) for number in range(4)), tmp_path, workers=2))
    assert sorted(value for value, *_ in found) == [50_000, 50_001, 50_004, 50_009]
    assert os.getpid() not in {process for _, process, *_ in found}
    assert {(threads, mapped) for _, _, threads, mapped in found} == {(1, True)}


def test_no_more_workers_than_tasks(tmp_path):
    (found,) = all_of(squared, [(3, np.zeros(1))], tmp_path, workers=8)
    assert found[:2] == (9, os.getpid())


def test_tasks_are_made_as_they_are_needed(tmp_path):
    made = []
    tasks = ((made.append(number) or number,) for number in range(6))
    running = run_all(failing, tasks, 6, workers=1, backend=here(tmp_path), title="", show_progress=False)
    assert next(running) == 0
    assert len(made) < 6
    running.close()


def test_an_error_comes_through_after_what_was_finished_before_it(tmp_path):
    running, found = all_of(failing, ((number,) for number in range(4)), tmp_path), []
    with pytest.raises(ZeroDivisionError, match="at the second"):
        found.extend(running)
    assert found == [0, 1]


def test_the_work_of_a_killed_worker_is_done_once_more(tmp_path):
    with pytest.warns(UserWarning, match="a worker was killed.* done once more"):
        found = list(all_of(killed, ((number, tmp_path, 1) for number in range(8)), tmp_path, workers=2))
    assert sorted(found) == [*range(8)]
    assert len([*tmp_path.glob("2-*")]) == 2


def test_a_worker_that_is_killed_twice_at_the_same_work_is_one_error_that_says_what_is_kept(tmp_path):
    running, found = all_of(killed, ((number, tmp_path, 9) for number in range(20)), tmp_path, workers=2), []
    message = r"killed twice at the same work.* memory.* that were finished are kept"
    with pytest.warns(UserWarning, match="once more"), pytest.raises(WorkerError, match=message) as caught:
        found.extend(running)
    assert "\n" not in str(caught.value)
    assert f"the {len(found)} pieces of work" in str(caught.value)
    assert 2 not in found
    assert len([*tmp_path.glob("2-*")]) == 2
    assert not [*tmp_path.glob("19-*")], "what had not begun is dropped"


def kill_workers():
    """All of them, and wait until they are gone."""
    workers = [one for one in psutil.Process().children() if "loky.backend.popen" in " ".join(one.cmdline())]
    for one in workers:
        one.kill()
    return psutil.wait_procs(workers, timeout=20)[0]


def test_workers_that_are_killed_while_work_is_still_handed_out_are_no_other_error(tmp_path):
    """The pool is found broken where it is given more, not where results come from."""
    gone = []

    def tasks():
        for number in range(8):
            if number == 2:
                gone.extend(kill_workers())
                time.sleep(0.5)  # until the pool knows
            yield (number, tmp_path, 0)

    with pytest.warns(UserWarning, match="once more"):
        assert sorted(here(tmp_path).run(killed, tasks(), 2)) == [*range(8)]
    assert gone


def slow(seconds):
    time.sleep(seconds)
    return seconds


@pytest.mark.parametrize("kept", [True, False])
def test_what_is_interrupted_ends_its_workers_at_once_and_says_nothing(tmp_path, kept):
    """`kept`: the interrupt comes within the backend's own frame, which its traceback keeps; else where its results are used."""
    running = here(tmp_path).run(slow, ((seconds,) for seconds in (0.1, 60, 60)), 2)
    assert next(running) == 0.1
    workers = [one for one in psutil.Process().children() if "loky.backend.popen" in " ".join(one.cmdline())]
    assert len(workers) >= 2
    if kept:
        with pytest.raises(KeyboardInterrupt) as caught:
            running.throw(KeyboardInterrupt)
        assert caught.tb is not None
    else:
        running.close()
    assert not [one for one in workers if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


def test_nothing_to_do_is_done_at_once(tmp_path, capsys):
    assert list(all_of(failing, (), tmp_path, workers=4, show_progress=True)) == []
    assert capsys.readouterr().err == ""


def test_each_finished_task_is_noted(tmp_path, monkeypatch):
    from contextlib import contextmanager

    notes = []

    @contextmanager
    def watched(title, total, show):
        yield lambda steps, note: notes.append((title, total, show, steps, note))

    monkeypatch.setattr("gradaudit.training.workers.progress", watched)
    assert list(all_of(failing, [(0,), (1,)], tmp_path, show_progress=True, note=lambda found: f"number {found}")) == [0, 1]
    assert notes == [("squaring", 2, True, 1, "number 0"), ("squaring", 2, True, 1, "number 1")]


def test_auto_is_a_worker_for_each_physical_core_and_one_on_an_accelerator(tmp_path):
    assert resolve_workers("auto", here(tmp_path)) == joblib.cpu_count(only_physical_cores=True)
    assert resolve_workers("auto", here(tmp_path, torch.device("cuda"))) == 1
    assert resolve_workers(np.int64(3), here(tmp_path)) == 3


def test_a_store_that_no_other_process_sees_takes_one_worker(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADAUDIT_CACHE", str(tmp_path))
    alone = resolve_backend("local", Store("memory://workers"), CPU)
    assert resolve_workers("auto", alone) == 1
    assert list(all_of(failing, [(0,), (1,)], tmp_path, backend=alone)) == [0, 1]
    with pytest.raises(InputError, match=r"^`workers` \(=2\) must be 1 with the store memory://workers"):
        list(all_of(failing, [(0,), (1,)], tmp_path, backend=alone, workers=2))


@pytest.mark.parametrize("workers", [0, -1, True, 1.0, "2", None])
def test_other_numbers_of_workers_are_refused(tmp_path, workers):
    with pytest.raises(InputError, match=r"^`workers`"):
        resolve_workers(workers, here(tmp_path))


def test_without_ray_its_extra_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"the backend `ray` needs the package `ray`: pip install 'gradaudit\[ray\]'"):
        resolve_backend("ray", Store(tmp_path), CPU)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("locale", r"^`backend` \(='locale'\) must be the name of a backend: local, ray \(did you mean 'local'"),
        ("local(gpus=1)", "^`backend`"),
        (3, "^`backend`"),
    ],
)
def test_other_backends_are_refused(tmp_path, backend, message):
    with pytest.raises(InputError, match=message):
        resolve_backend(backend, Store(tmp_path), CPU)
