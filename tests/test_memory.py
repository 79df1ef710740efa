"""The setting of memory: how it is said, whom it reaches, what it bounds, and that it changes nothing else."""

import sys

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit import memory
from gradaudit.batching import batch_size_for, bytes_per_image
from gradaudit.instruments.contract import about, names
from gradaudit.memory import memory_budget, memory_bytes, resident, spelled_bytes, working_memory
from gradaudit.options import declared
from gradaudit.training.backends import resolve_backend
from gradaudit.training.store import Store
from gradaudit.training.workers import run_all

IMAGES = torch.rand(1, 3, 32, 32)


@pytest.fixture(autouse=True)
def nobody_says(monkeypatch):
    monkeypatch.delenv(memory.VARIABLE, raising=False)


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 8, 3), nn.Flatten(), nn.Linear(8 * 900, 3))


def picture_set(count=9):
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (count, 3, 32, 32), dtype=torch.uint8, generator=generator)
    mask = torch.zeros(count, 32, 32, dtype=torch.bool)
    mask[:, 8:24, 8:24] = True
    return ga.ImageSet(images, torch.arange(count) % 3, ("a", "b", "c"), mask)


@pytest.mark.parametrize(
    ("given", "bytes_"),
    [
        (2**20, 2**20),
        ("1048576", 2**20),
        ("512MB", 512 * 10**6),
        ("1.5 GB", 15 * 10**8),
        ("2gib", 2**31),
        (" 64 MiB ", 2**26),
        ("2000 kB", 2 * 10**6),
        ("1TB", 10**12),
    ],
)
def test_bytes_are_a_number_or_a_text(given, bytes_):
    assert memory_bytes("memory", given) == bytes_


@pytest.mark.parametrize("given", [0, -1, 1000, "1", "none", "", "GB", "1 PB", "-1GB", "1,5GB", 1.5, True, None, [1]])
def test_what_is_no_number_of_bytes_is_named(given):
    with pytest.raises(ga.InputError, match=r"`memory`.*1 MiB or more"):
        memory_bytes("memory", given)


def test_the_nearest_word_counts(monkeypatch):
    assert memory_budget() is None
    monkeypatch.setenv(memory.VARIABLE, "64MiB")
    assert memory_budget() == 2**26
    with ga.memory_limit("32MiB"):
        assert memory_budget() == 2**25
        with ga.memory_limit("16MiB"), ga.memory_limit(None):
            assert memory_budget() == 2**24
        assert memory_budget() == 2**25
    assert memory_budget() == 2**26


def test_a_bad_variable_is_named(monkeypatch):
    monkeypatch.setenv(memory.VARIABLE, "much")
    with pytest.raises(ga.InputError, match=memory.VARIABLE):
        ga.leakage(network(), picture_set(), device="cpu")


@pytest.mark.parametrize("name", names())
def test_every_instrument_that_computes_takes_it_and_no_audit_sets_it_alone(name):
    one = about(name)
    for model in (one.command, one.audited):
        assert model is None or "memory" in declared(model)
    assert "memory" not in one.settable


def test_it_bounds_a_batch():
    model = network()
    each = bytes_per_image(model, IMAGES)
    with ga.memory_limit(int(2 * 5 * each)):
        assert batch_size_for(model, IMAGES, device="cpu") == 4
    with ga.memory_limit(2**20):
        assert batch_size_for(model, IMAGES, device="cpu") == 1
    assert batch_size_for(model, IMAGES, device="cpu") > 4


class Watched(nn.Module):
    """A classifier that notes how many images it is shown at once."""

    def __init__(self):
        super().__init__()
        self.inner, self.most = network(), 0

    def forward(self, images):
        self.most = max(self.most, len(images))
        return self.inner(images)


@pytest.mark.parametrize("how", ["option", "block", "variable"])
def test_an_instrument_shows_fewer_images_at_once_and_finds_the_same(how, monkeypatch):
    free, bound = Watched(), Watched()
    images, few = picture_set(16), int(2.5 * 2 * bytes_per_image(bound, IMAGES))
    whole = ga.leakage(free, images, device="cpu")
    if how == "option":
        found = ga.leakage(bound, images, device="cpu", memory=few)
    elif how == "block":
        with ga.memory_limit(few):
            found = ga.leakage(bound, images, device="cpu")
    else:
        monkeypatch.setenv(memory.VARIABLE, str(few))
        found = ga.leakage(bound, images, device="cpu")
    assert free.most == 16
    assert bound.most == 2
    assert (found.table["value"] - whole.table["value"]).abs().max() < 1e-6
    assert "memory" not in found.settings


@pytest.mark.parametrize("workers", [1, 2])
def test_workers_are_told(workers, tmp_path):
    store = Store(tmp_path)
    backend = resolve_backend("local", store, torch.device("cpu"))
    how = {"backend": backend, "workers": workers, "title": "", "show_progress": False}
    with ga.memory_limit("48MiB"):
        found = run_all(memory_budget, [(), ()], 2, **how)
        assert [*found] == [48 * 2**20] * 2


def test_an_audit_keeps_the_limit_it_was_prepared_with_and_its_keys_know_nothing_of_it(tmp_path):
    seen, one = Watched(), picture_set(30)
    only = {name: False for name in names() if about(name).audited and name != "leakage"}
    words = {"options": only, "store": tmp_path, "workers": 1, "device": "cpu"}
    ga.audit(seen, one, one, memory=int(2.5 * 2 * bytes_per_image(seen, IMAGES)), **words)
    assert seen.most == 2
    again = ga.prepare_audit(seen, one, one, **words)
    assert again.estimate()["gradients"].sum() == 0  # all of it is in the store


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux says what a process holds")
def test_an_estimate_says_the_memory_of_the_process(tmp_path):
    one = picture_set(30)
    only = {name: False for name in names() if about(name).audited and name != "leakage"}
    held = resident()
    ready = ga.prepare_audit(network(), one, one, options=only, store=tmp_path, workers=1, device="cpu")
    assert held is not None
    assert held < ready.estimate()["memory"].max() < 4 * held


def test_where_the_system_does_not_say_no_memory_is_predicted(monkeypatch, tmp_path):
    monkeypatch.setattr("gradaudit.instruments.costs.resident", lambda: None)
    one = picture_set(30)
    only = {name: False for name in names() if about(name).audited and name != "leakage"}
    ready = ga.prepare_audit(network(), one, one, options=only, store=tmp_path, workers=1, device="cpu")
    assert ready.estimate()["memory"].isna().all()


@pytest.mark.parametrize(("count", "words"), [(64e6, "64 MB"), (1.5e9, "1.5 GB"), (2e12, "2.0 TB"), (float("nan"), "unknown")])
def test_bytes_in_words(count, words):
    assert spelled_bytes(count) == words


def test_without_a_word_it_is_512_mib():
    assert working_memory() == 512 * 2**20
