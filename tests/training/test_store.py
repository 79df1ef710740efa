"""The store: whole entries or none, from any number of processes."""

import json
import os
import pickle
import threading
import time
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.errors import InputError, StoreError
from gradaudit.training.store import Store, as_store, default_folder, key_of

CELL = {"what": "fits", "seed": 1, "recipe": {"network": "mlp", "lr": 0.1}, "data": ["a", "b"]}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


def test_what_is_put_is_got(tmp_path):
    store = Store(tmp_path / "new" / "store")
    assert store.get(CELL) is None
    store.put(CELL, {"accuracy": 1 / 3, "note": "é"})
    assert store.get(CELL) == {"accuracy": 1 / 3, "note": "é"}
    store.put(CELL, {"accuracy": 0.5})
    assert store.get(CELL) == {"accuracy": 0.5}
    assert store.get(CELL | {"seed": 2}) is None


def test_an_entry_says_what_it_is_the_outcome_of(tmp_path):
    store = Store(tmp_path)
    store.put(CELL, {"accuracy": 1.0})
    (entry,) = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert entry == store.path(CELL)
    assert entry.parts[-3] == "fits"
    assert json.loads(entry.read_text()) == {"description": CELL, "outcome": {"accuracy": 1.0}}


def shuffled(value):
    if isinstance(value, dict):
        return {key: shuffled(value[key]) for key in reversed(value)}
    return [shuffled(item) for item in value] if isinstance(value, list) else value


@given(st.dictionaries(st.text(), json_values))
def test_a_key_does_not_depend_on_the_order_of_a_dictionary(description):
    assert key_of(shuffled(description)) == key_of(description)


@given(st.dictionaries(st.text(), json_values), st.dictionaries(st.text(), json_values))
def test_different_descriptions_have_different_keys(first, second):
    assert (key_of(first) == key_of(second)) == (json.dumps(first, sort_keys=True) == json.dumps(second, sort_keys=True))


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), {1, 2}, object()])
def test_what_is_not_json_has_no_key_and_is_not_kept(tmp_path, bad):
    with pytest.raises((TypeError, ValueError)):
        key_of({"what": bad})
    with pytest.raises((TypeError, ValueError)):
        Store(tmp_path).put(CELL, {"accuracy": bad})
    assert Store(tmp_path).get(CELL) is None


@pytest.mark.parametrize(
    "damage", [b"", b"{", b'{"description": {}}', b"[]", b"3", b'{"outcome": [1, 2]}', b'{"outcome": null}', b"\xff\xfe\x00"]
)
def test_a_damaged_entry_is_none_with_a_warning_and_can_be_put_again(tmp_path, damage):
    store = Store(tmp_path)
    store.put(CELL, {"accuracy": 1.0})
    store.path(CELL).write_bytes(damage)
    with pytest.warns(UserWarning, match=r"ignoring a damaged entry of the store, .*\.json"):
        assert store.get(CELL) is None
    store.put(CELL, {"accuracy": 0.5})
    assert store.get(CELL) == {"accuracy": 0.5}


def test_a_full_disk_leaves_the_old_entry(tmp_path, monkeypatch):
    store = Store(tmp_path)
    store.put(CELL, {"accuracy": 1.0})

    def full(*args):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(StoreError, match=r"cannot write .*\.json: No space left on device"):
        store.put(CELL, {"accuracy": 0.5})
    assert store.get(CELL) == {"accuracy": 1.0}
    assert len([path for path in tmp_path.rglob("*") if path.is_file()]) == 1


WRITER = """
import sys
from gradaudit.training.store import Store
store, number = Store(sys.argv[1]), int(sys.argv[2])
for turn in range(150):
    store.put({"what": "fits", "seed": 0}, {"writer": number, "values": [turn] * 500})
"""


def test_two_processes_write_one_entry_while_a_third_reads(tmp_path, start_program):
    store = Store(tmp_path)
    cell = {"what": "fits", "seed": 0}
    writers = [start_program(WRITER, tmp_path, number) for number in (0, 1)]
    read = []
    while any(writer.poll() is None for writer in writers):
        found = store.get(cell)  # a warning about a damaged entry would be an error
        if found is not None:
            assert found["values"] == [found["values"][0]] * 500
            read.append(found["writer"])
    assert [writer.wait().returncode for writer in writers] == [0, 0]
    assert len(read) > 10
    assert store.get(cell)["values"] == [149] * 500
    assert [path.name for path in tmp_path.rglob("*") if path.is_file()] == [f"{key_of(cell)}.json"]


def test_threads_share_a_store(tmp_path):
    store = Store(tmp_path)

    def write(number):
        for turn in range(20):
            store.put(CELL | {"seed": turn}, {"accuracy": turn})

    threads = [threading.Thread(target=write, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [store.get(CELL | {"seed": turn}) for turn in range(20)] == [{"accuracy": turn} for turn in range(20)]


def test_a_pickled_store_is_the_same_folder_wherever_it_is_opened(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = Store("here")
    store.put(CELL, {"accuracy": 1.0})
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    assert pickle.loads(pickle.dumps(store)).get(CELL) == {"accuracy": 1.0}


def test_the_users_own_store_is_named_by_the_environment(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "mine"))
    assert default_folder() == tmp_path / "mine"
    assert Store().folder == tmp_path / "mine"
    assert as_store(None).folder == tmp_path / "mine"
    monkeypatch.delenv("GRADAUDIT_STORE")
    assert default_folder().parts[-2:] == ("gradaudit", "store")


def test_a_store_may_be_given_as_a_folder_or_as_itself(tmp_path):
    store = Store(tmp_path)
    assert as_store(store) is store
    assert as_store(str(tmp_path)).folder == as_store(Path(tmp_path)).folder == tmp_path
    with pytest.raises(InputError, match=r"`store` \(=3\) must be a folder or a Store"):
        as_store(3)


def test_a_folder_that_cannot_be_written_names_the_argument(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"`store` \(='.*inside'\) must be a folder that can be written"):
        Store(tmp_path / "file" / "inside")


def test_what_killed_processes_left_is_removed_after_a_day(tmp_path):
    old, new, entry = (tmp_path / "fits" / "ab" / name for name in (".a.json.x.part", ".b.json.y.part", "ab.json"))
    folder = tmp_path / "audits" / ".abcd.z.part"
    folder.mkdir(parents=True)
    old.parent.mkdir(parents=True)
    for path in (old, new, entry, folder / "results.json"):
        path.write_text("half")
    for path in (old, entry, folder):
        os.utime(path, (time.time() - 90_000,) * 2)
    Store(tmp_path)
    assert (old.exists(), folder.exists()) == (False, False)
    assert (new.read_text(), entry.read_text()) == ("half", "half")
