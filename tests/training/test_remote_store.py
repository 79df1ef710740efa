"""A store at a URL: memory, an emulation of S3, and a file system whose writes can be seen half done."""

import json
import os
import pickle
import sys

import fsspec
import numpy as np
import pandas as pd
import pytest
import torch
from fsspec.implementations.memory import MemoryFileSystem
from joblib.externals.loky import get_reusable_executor

import gradaudit as ga
from gradaudit.errors import InputError, MissingExtraError, StoreError
from gradaudit.files import write_array
from gradaudit.training.store import Store, as_store, default_folder, key_of
from gradaudit.training.store.remote import mirror, remote_files

CELL = {"what": "fits", "seed": 1, "recipe": {"network": "mlp", "lr": 0.1}}
ARRAY = {"what": "rankings", "seed": 3}


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    """Caches of this test alone."""
    monkeypatch.setenv("GRADAUDIT_CACHE", str(tmp_path / "cache"))


@pytest.fixture(scope="module", name="s3")
def s3_fixture():
    """An emulation of S3 in this process, with one bucket; its address is in the environment, as a user's would be."""
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'gradaudit[s3]'")
    server = pytest.importorskip("moto.server", reason="needs moto").ThreadedMotoServer(port=0, verbose=False)
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {"ACCESS_KEY_ID": "me", "SECRET_ACCESS_KEY": "mine", "DEFAULT_REGION": "us-east-1"}.items():
            patch.setenv(f"AWS_{name}", value)
        server.start()
        patch.setenv("AWS_ENDPOINT_URL", "http://{}:{}".format(*server.get_host_and_port()))
        fsspec.filesystem("s3").mkdir("bucket")
        yield fsspec.filesystem("s3")
        server.stop()


@pytest.fixture(params=["memory", "s3"], name="url")
def url_fixture(request, tmp_path):
    if request.param == "s3":
        request.getfixturevalue("s3")
    return f"{request.param}://bucket/{tmp_path.name}/store"


def elsewhere(store, tmp_path, monkeypatch):
    """The same store as another machine has it: with a cache of its own."""
    monkeypatch.setenv("GRADAUDIT_CACHE", str(tmp_path / "elsewhere"))
    remote_files.cache_clear()
    found = pickle.loads(pickle.dumps(store))
    assert found.folder != store.folder
    return found


def test_what_is_put_is_got_here_and_elsewhere(url, tmp_path, monkeypatch):
    store = Store(url + "/")
    assert store.get(CELL) is None
    store.put(CELL, {"accuracy": 1 / 3, "note": "é"})
    store.put(CELL | {"seed": 2}, {"accuracy": 0.5})
    assert Store(url).get(CELL) == {"accuracy": 1 / 3, "note": "é"}
    other = elsewhere(store, tmp_path, monkeypatch)
    assert other.get(CELL | {"seed": 2}) == {"accuracy": 0.5}
    other.put(CELL, {"accuracy": 0.25})
    assert store.get(CELL) == {"accuracy": 0.25}


def test_an_entry_is_one_object_that_says_what_it_is_the_outcome_of(url):
    store = Store(url)
    store.put(CELL, {"accuracy": 1.0})
    system, root = fsspec.core.url_to_fs(url)
    (entry,) = (name for name in system.find(root) if not name.endswith("/.gradaudit"))
    assert entry.endswith(f"/store/fits/{key_of(CELL)[:2]}/{key_of(CELL)}.json")
    assert json.loads(system.cat_file(entry)) == {"description": CELL, "outcome": {"accuracy": 1.0}}
    assert not [path for path in store.folder.rglob("*") if path.is_file()]


@pytest.mark.parametrize("damage", [b"", b"{", b"[]", b'{"outcome": null}', b"\xff\xfe\x00"])
def test_a_damaged_entry_is_none_with_a_warning_and_can_be_put_again(damage, tmp_path):
    store = Store(f"memory://{tmp_path.name}")
    store.files.write(store.path(CELL), damage)
    with pytest.warns(UserWarning, match=r"ignoring a damaged entry of the store, memory://.*\.json"):
        assert store.get(CELL) is None
    store.put(CELL, {"accuracy": 0.5})
    assert store.get(CELL) == {"accuracy": 0.5}


def test_an_array_is_fetched_once_and_then_read_from_the_cache(url, tmp_path, monkeypatch):
    store, array = Store(url), np.arange(12.0).reshape(3, 4)
    path = store.path(ARRAY, ".npy")
    assert not store.fetch(path).exists()
    write_array(path, array)
    store.publish(path)
    other = elsewhere(store, tmp_path, monkeypatch)
    there = other.fetch(other.path(ARRAY, ".npy"))
    np.testing.assert_array_equal(np.load(there, mmap_mode="r"), array)
    mark = there.stat().st_ino
    assert other.fetch(there).stat().st_ino == mark
    assert [found.name for found in other.folder.rglob("*") if found.is_file()] == [path.name]


def test_a_folder_is_one_object_and_comes_whole(url, tmp_path, monkeypatch):
    store = Store(url)
    folder = store.folder / "audits" / "abc"
    assert not store.fetch_folder(folder).exists()
    (folder / "deep").mkdir(parents=True)
    (folder / "deep" / "results.json").write_text("{}")
    store.publish_folder(folder)
    other = elsewhere(store, tmp_path, monkeypatch)
    there = other.fetch_folder(other.folder / "audits" / "abc")
    assert [found.relative_to(there).as_posix() for found in there.rglob("*") if found.is_file()] == ["deep/results.json"]
    assert not list(other.folder.rglob("*.part"))


def test_a_damaged_folder_is_none_with_a_warning_and_can_be_published_again(tmp_path, monkeypatch):
    store = Store(f"memory://{tmp_path.name}")
    folder = store.folder / "audits" / "abc"
    folder.mkdir(parents=True)
    (folder / "results.json").write_text("{}")
    store.publish_folder(folder)
    whole = store.files.read(folder.with_name("abc.zip"))
    store.files.write(folder.with_name("abc.zip"), whole[:40])
    other = elsewhere(store, tmp_path, monkeypatch)
    there = other.folder / "audits" / "abc"
    with pytest.warns(UserWarning, match=r"ignoring a damaged entry of the store, memory://.*/abc\.zip"):
        assert not other.fetch_folder(there).exists()
    store.publish_folder(folder)
    assert (other.fetch_folder(there) / "results.json").read_text() == "{}"
    assert [path.name for path in other.folder.rglob("*") if path.is_file()] == ["results.json"]


class Torn(MemoryFileSystem):
    """Shows the first half of what is written before the second, as a network drive may."""

    protocol = "torn"
    store: dict = {}  # noqa: RUF012 - as its base class has it
    pseudo_dirs = [""]  # noqa: RUF012
    watch = None

    def pipe_file(self, path, value, **options):
        super().pipe_file(path, value[: len(value) // 2])
        type(self).watch()
        super().pipe_file(path, value)

    def mv(self, path1, path2, **options):
        self.store[path2] = self.store.pop(path1)


def test_where_halves_could_be_seen_a_file_is_renamed_into_its_place(tmp_path, monkeypatch):
    fsspec.register_implementation("torn", Torn, clobber=True)
    seen = []
    monkeypatch.setattr(Torn, "watch", lambda: None)
    store = Store("torn://drive/store")
    monkeypatch.setattr(Torn, "watch", lambda: seen.append(store.get(CELL)))
    for accuracy in (0.25, 0.5):
        store.put(CELL, {"accuracy": accuracy})  # a half that is read would warn
    assert seen == [None, {"accuracy": 0.25}]
    assert store.get(CELL) == {"accuracy": 0.5}
    assert not [name for name in Torn.store if name.endswith(".part")]


def test_a_file_url_is_the_folder(tmp_path):
    store = Store(f"file://{tmp_path}/here")
    assert (store.folder, store.remote) == (tmp_path / "here", False)
    assert as_store(store.place).path(CELL) == store.path(CELL)


def test_the_users_own_store_may_be_a_url(monkeypatch):
    monkeypatch.setenv("GRADAUDIT_STORE", "memory://mine")
    assert default_folder() == "memory://mine"
    assert Store().place == "memory://mine"


def test_a_bucket_that_is_not_there_is_refused_before_any_work(s3):
    with pytest.raises(InputError, match=r"^`store` \(='s3://nowhere/store'\) must be a place that can be written .*bucket"):
        Store("s3://nowhere/store")


def test_a_store_that_vanishes_is_an_error_and_no_missing_entry(s3, tmp_path, monkeypatch):
    store = Store(f"s3://bucket/{tmp_path.name}")

    def refused(*arguments, **options):
        raise PermissionError("Forbidden")

    monkeypatch.setattr(store.files.system, "cat_file", refused)
    monkeypatch.setattr(store.files.system, "pipe_file", refused)
    with pytest.raises(StoreError, match=r"cannot read s3://bucket/.*\.json: Forbidden"):
        store.get(CELL)
    with pytest.raises(StoreError, match=r"cannot write s3://bucket/.*\.json: Forbidden"):
        store.put(CELL, {"accuracy": 1.0})


def test_without_credentials_it_is_refused_before_any_work(s3, tmp_path, run_program):
    """In a process of its own, since clients keep the credentials with which they were made."""
    hidden = {name: None for name in os.environ if "KEY" in name}
    code = "import gradaudit as ga; ga.Store('s3://bucket/store')"
    ended = run_program(code, AWS_EC2_METADATA_DISABLED="true", HOME=str(tmp_path), **hidden)
    assert ended.stderr.splitlines()[-1].endswith("must be a place that can be written and read (Unable to locate credentials)")


def test_a_missing_package_names_its_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    monkeypatch.delitem(sys.modules["fsspec.registry"]._registry, "s3", raising=False)
    with pytest.raises(MissingExtraError, match=r"a store at s3://bucket/new needs the package `s3fs`.*'gradaudit\[s3\]'"):
        Store("s3://bucket/new")


@pytest.mark.parametrize(("url", "reason"), [("nothing://there", "nothing"), ("gs://bucket/x", "gcsfs")])
def test_other_urls_say_what_they_lack(url, reason):
    with pytest.raises(InputError, match=rf"^`store` \(='{url}'\) must be .*{reason}"):
        Store(url)


def test_a_mirror_belongs_to_its_url(tmp_path):
    assert mirror("s3://one/a") != mirror("s3://one/b")
    assert mirror("s3://one/a").is_relative_to(tmp_path / "cache")


def test_a_classifier_is_trained_once_for_all_machines(url, tmp_path, monkeypatch):
    pixels = torch.randint(0, 256, (40, 1, 8, 8), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    images, recipe = ga.ImageSet(pixels, torch.arange(40) % 2, ("a", "b")), ga.Recipe(network="linear", epochs=1)
    store = Store(url)
    first = ga.train_once(recipe, images, store=store, device="cpu")
    other = elsewhere(store, tmp_path, monkeypatch)
    monkeypatch.setattr("gradaudit.training.once.train", None)  # calling it would raise
    second = ga.train_once(recipe, images, store=other, device="cpu")
    assert all(torch.equal(one, two) for one, two in zip(first.parameters(), second.parameters(), strict=True))


def grid(store, **options):
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (90, 1, 8, 8), dtype=np.uint8), np.arange(90) % 3
    images = ga.ImageSet(pixels, labels, ("a", "b", "c"))
    torch.manual_seed(0)
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 3))
    learner = ga.Recipe(network="linear", epochs=1)
    shape = {"levels": (0.2,), "seeds": 2, "controls": (), "conditional": False, "fill": "imputation"}
    return ga.diffroar(
        classifier, images[:60], images[60:], evaluate="retrain", learner=learner, store=store, device="cpu", **shape, **options
    )


@pytest.mark.slow
def test_a_grid_in_a_bucket_is_that_of_a_folder_and_goes_on_elsewhere(s3, tmp_path, monkeypatch):
    url = f"s3://bucket/{tmp_path.name}"
    get_reusable_executor().shutdown()  # workers of earlier tests don't know this one's environment
    found = grid(url, workers=2)
    pd.testing.assert_frame_equal(found.table, grid(tmp_path / "folder", workers=1).table)
    before = {name: one["LastModified"] for name, one in s3.find(url.removeprefix("s3://"), detail=True, refresh=True).items()}
    assert sum("/fits/" in name for name in before) == 2 * 5
    again = grid(elsewhere(Store(url), tmp_path, monkeypatch), workers=1)
    pd.testing.assert_frame_equal(again.table, found.table)
    after = {name: one["LastModified"] for name, one in s3.find(url.removeprefix("s3://"), detail=True, refresh=True).items()}
    del before[f"{url.removeprefix('s3://')}/.gradaudit"], after[f"{url.removeprefix('s3://')}/.gradaudit"]
    assert after == before
