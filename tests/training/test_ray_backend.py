"""Fits on a Ray cluster: two nodes on this machine, as processes."""

import os
import signal
import sys
import threading
import time

import fsspec
import numpy as np
import pandas as pd
import psutil
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.training.backends import resolve_backend
from gradaudit.training.store import Store
from gradaudit.training.workers import resolve_workers, run_all

pytest.importorskip("ray", reason="needs Ray: pip install 'gradaudit[ray]'")

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("ray")]

CPU = torch.device("cpu")


class OnlyHere(MemoryFileSystem):
    """A file system that this process alone has."""

    protocol = "mine"


def summed(number, big, small):
    return number + float(big["deep"].sum()) + float(small.sum()), os.getpid(), torch.get_num_threads(), big["deep"].flags.owndata


def failing(number):
    if number == 2:
        raise InputError("number", number, "another")
    return number


def dying(number):
    os.kill(os.getpid(), signal.SIGKILL)


def test_an_address_where_nobody_answers_is_refused_at_once(tmp_path):
    start = time.monotonic()
    with pytest.raises(InputError, match=r"^`address` \(='127.0.0.1:9'\) must be .* a Ray cluster that answers \(.*refused"):
        resolve_backend("ray(address='127.0.0.1:9')", Store(tmp_path), CPU)
    assert time.monotonic() - start < 10


@pytest.fixture(scope="module", name="cluster")
def cluster_fixture():
    """A cluster of a head and a node, with a core each, and this process connected to it."""
    import cloudpickle
    import ray
    from ray.cluster_utils import Cluster

    cloudpickle.register_pickle_by_value(sys.modules[__name__])
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"
    small = {"num_cpus": 1, "object_store_memory": 100_000_000}
    with pytest.MonkeyPatch.context() as patch:
        cluster = Cluster(initialize_head=True, head_node_args={**small, "include_dashboard": False})
        cluster.lose = cluster.add_node(**small)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        ray.shutdown()
        cluster.shutdown()
    cloudpickle.unregister_pickle_by_value(sys.modules[__name__])


@pytest.fixture(name="backend")
def backend_fixture(cluster, tmp_path):
    return resolve_backend("ray", Store(tmp_path), CPU)


def run(function, tasks, backend, workers=2):
    return run_all(function, iter(tasks), len(tasks), backend=backend, workers=workers, title="", show_progress=False)


def test_tasks_run_on_workers_with_a_thread_each_and_share_large_arrays(backend, monkeypatch):
    import ray

    big, put = np.ones((300, 100)), []
    monkeypatch.setattr(ray, "put", lambda value, original=ray.put: put.append(value.shape) or original(value))
    found = list(run(summed, [(number, {"deep": big[:]}, np.ones(3)) for number in range(6)], backend))
    assert sorted(value for value, *_ in found) == [30_003.0 + number for number in range(6)]
    assert os.getpid() not in {process for _, process, *_ in found}
    assert {(threads, own) for _, _, threads, own in found} == {(1, False)}
    assert put == [big.shape]


def test_there_is_room_for_a_fit_a_core(backend, tmp_path):
    assert resolve_workers("auto", backend) == 2
    assert resolve_workers("auto", resolve_backend("ray(cpus=0.5)", Store(tmp_path), CPU)) == 4


def test_tasks_are_made_as_they_are_needed(backend):
    made = []
    tasks = ((made.append(number) or number,) for number in (0, 1, 3, 4, 5, 6, 7))
    running = run_all(failing, tasks, 7, backend=backend, workers=1, title="", show_progress=False)
    assert next(running) == 0
    assert len(made) < 4
    running.close()


def test_an_error_is_raised_as_it_was(backend):
    with pytest.raises(InputError, match=r"^`number` \(=2\) must be another$") as caught:
        list(run(failing, [(number,) for number in range(4)], backend))
    assert caught.value.argument == "number"


def test_a_call_that_kills_its_worker_ends(backend, monkeypatch):
    monkeypatch.setattr("gradaudit.training.backends.ray.RETRIES", 0)
    with pytest.raises(ga.TrainingError, match="the same call lost its worker 1 times"):
        list(run(dying, [(1,)], backend))


def test_a_remote_store_that_no_other_machine_sees_is_refused(cluster, tmp_path, monkeypatch):
    monkeypatch.setenv("GRADAUDIT_CACHE", str(tmp_path))
    fsspec.register_implementation("mine", OnlyHere)
    with pytest.raises(InputError, match=r"^`store` \(='mine://shared'\) must be a folder that all machines .* can't \(.*mine"):
        resolve_backend("ray", Store("mine://shared"), CPU)
    with pytest.raises(InputError, match=r"^`store` \(='memory://here'\) must be one that other processes see"):
        resolve_backend("ray", Store("memory://here"), CPU)


@pytest.mark.parametrize(
    ("backend", "message"),
    [
        ("ray(cpus=0)", r"^`cpus` \(=0\) must be above 0"),
        ("ray(cpus=-1)", r"^`cpus` \(=-1\) must be a number"),
        ("ray(cpus=3)", r"^`backend` .* must be a Ray cluster with a machine that has 3 CPU"),
        ("ray(gpus=1)", r"^`backend` .* must be a Ray cluster with a machine that has 1 CPU and 1 GPU"),
        ("ray(gpus=1.5)", r"^`gpus` \(=1.5\) must be a share"),
        ("ray(address=3)", r"^`address` \(=3\) must be"),
        ("ray(adress=auto)", r"^`backend`"),
    ],
)
def test_bad_options_are_refused(cluster, tmp_path, backend, message):
    with pytest.raises(InputError, match=message):
        resolve_backend(backend, Store(tmp_path), CPU)


def grid(store, **options):
    """15 fits of a fifth of a second."""
    random = np.random.default_rng(0)
    labels = np.arange(600) % 3
    pixels = random.integers(0, 60, (600, 1, 10, 10), dtype=np.uint8)
    pixels[np.arange(600), 0, 2 + labels, 3] += 80
    images = ga.ImageSet(pixels, labels, ("a", "b", "c"))
    torch.manual_seed(0)
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(100, 3))
    learner = ga.Recipe(network="mlp(width=128)", epochs=20, batch_size=32)
    shape = {"learner": learner, "levels": (0.2,), "seeds": 5, "controls": (), "mask_only": False}
    return ga.diffroar(classifier, images[:500], images[500:], evaluate="retrain", store=store, device="cpu", **shape, **options)


def fits(store):
    return {path: path.stat().st_ino for path in store.glob("fits/*/*.json")}


def test_a_lost_node_costs_its_running_fits_and_no_more(cluster, tmp_path):
    """Last, since it takes one of the two nodes."""
    found, before = [], {}
    thread = threading.Thread(target=lambda: found.append(grid(tmp_path / "ray", backend="ray")))
    thread.start()
    until = time.monotonic() + 240
    while len(before := fits(tmp_path / "ray")) < 4:
        assert thread.is_alive(), "it ended too early"
        assert time.monotonic() < until, "nothing happened in time"
        time.sleep(0.01)
    raylet = psutil.Process(cluster.lose.all_processes["raylet"][0].process.pid)
    for process in (raylet, *raylet.children(recursive=True)):
        process.kill()
    cluster.remove_node(cluster.lose, allow_graceful=False)
    thread.join(120)
    after = fits(tmp_path / "ray")
    assert len(after) == 15
    assert {path: mark for path, mark in after.items() if path in before} == before
    pd.testing.assert_frame_equal(found[0].table, grid(tmp_path / "local", workers=1).table)
