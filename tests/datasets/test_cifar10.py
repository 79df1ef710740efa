"""CIFAR-10 from batches as Python 2 pickled them, from their archive, and from an .npz."""

import io
import os
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from gradaudit.datasets import load_images
from gradaudit.errors import InputError

NAMES = ["airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"]
BATCHES = "cifar-10-batches-py"


class Python2Pickler(pickle._Pickler):  # type: ignore[name-defined,misc]
    """Writes text as Python 2's byte strings, as the published batches have it."""

    dispatch: ClassVar[dict[Any, Any]] = dict(pickle._Pickler.dispatch)  # type: ignore[attr-defined]

    def save_string(self, text: str | bytes) -> None:
        data = text.encode("latin1") if isinstance(text, str) else text
        short = len(data) < 256
        self.write(pickle.SHORT_BINSTRING + bytes([len(data)]) if short else pickle.BINSTRING + struct.pack("<i", len(data)))
        self.write(data)
        self.memoize(text)

    dispatch[str] = dispatch[bytes] = save_string


def python2_pickle(value: Any) -> bytes:
    buffer = io.BytesIO()
    Python2Pickler(buffer, protocol=2).dump(value)
    return buffer.getvalue().replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")


def batches() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(0)

    def batch(count: int) -> dict[str, Any]:
        data, labels = rng.integers(0, 256, (count, 3072), np.uint8), rng.integers(0, 10, count).tolist()
        return {"batch_label": "a batch", "labels": labels, "data": data, "filenames": ["x.png"] * count}

    return {f"data_batch_{number}": batch(2 + number) for number in range(1, 6)} | {
        "test_batch": batch(4),
        "batches.meta": {"num_cases_per_batch": 10000, "label_names": NAMES, "num_vis": 3072},
    }


def write_batches(folder: Path) -> dict[str, dict[str, Any]]:
    folder.mkdir(parents=True)
    content = batches()
    for name, batch in content.items():
        (folder / name).write_bytes(python2_pickle(batch))
    return content


def write_archive(file: Path, folder: Path) -> None:
    with tarfile.open(file, "w:gz") as archive:
        for name in ("data_batch_4", "readme.html", "test_batch", "batches.meta", *(f"data_batch_{n}" for n in (5, 1, 2, 3))):
            if (folder / name).exists():
                archive.add(folder / name, f"{BATCHES}/{name}")


def test_the_batches_are_really_python_2s(tmp_path: Path) -> None:
    data = python2_pickle(batches()["test_batch"])
    assert b"cnumpy.core.multiarray\n_reconstruct" in data
    assert b"_codecs" not in data
    assert b"U\x04data" in data


@pytest.mark.parametrize("place", [BATCHES, f"cifar10/{BATCHES}"])
@pytest.mark.parametrize("packed", [False, True])
def test_batches_are_read_in_order(tmp_path: Path, place: str, packed: bool) -> None:
    content = write_batches(tmp_path / place)
    if packed:
        write_archive((tmp_path / place).parent / "cifar-10-python.tar.gz", tmp_path / place)
        for file in (tmp_path / place).iterdir():
            file.unlink()
        (tmp_path / place).rmdir()
    train, test = load_images("cifar10", folder=tmp_path)
    assert train.classes == tuple(NAMES)
    for images, names in ((train, [f"data_batch_{n}" for n in range(1, 6)]), (test, ["test_batch"])):
        pixels = np.concatenate([content[name]["data"] for name in names])
        np.testing.assert_array_equal(images.images.flatten(1), pixels)
        assert images.labels.tolist() == [label for name in names for label in content[name]["labels"]]
    # Red, green, blue, each row by row.
    assert int(test.images[1, 2, 3, 4]) == content["test_batch"]["data"][1, 2 * 1024 + 3 * 32 + 4]


class Evil:
    def __init__(self, call: Any, *arguments: Any) -> None:
        self.reduced = (call, arguments)

    def __reduce__(self) -> Any:
        return self.reduced


@pytest.mark.parametrize("protocol", [0, 2, 4])
@pytest.mark.parametrize("packed", [False, True])
def test_a_pickle_with_code_is_refused_and_not_run(tmp_path: Path, protocol: int, packed: bool) -> None:
    folder, trace = tmp_path / BATCHES, tmp_path / "trace"
    write_batches(folder)
    evil = pickle.dumps({"data": Evil(os.mkdir, str(trace)), "labels": [1]}, protocol)
    pickle.loads(evil)
    assert trace.exists()  # it would do harm
    trace.rmdir()
    (folder / "data_batch_3").write_bytes(evil)
    if packed:
        write_archive(tmp_path / "cifar-10-python.tar.gz", folder)
        folder.rename(tmp_path / "elsewhere")
    with pytest.raises(InputError, match=r"data_batch_3'\) .*asks for the global (posix|nt)\.mkdir, so it was not run"):
        load_images("cifar10", folder=tmp_path)
    assert not trace.exists()


@pytest.mark.parametrize("what", [eval, np.fromfile, np.ndarray.tofile, np.load, os.system], ids=lambda what: what.__name__)
def test_no_other_global_is_admitted(tmp_path: Path, what: Any) -> None:
    write_batches(tmp_path / BATCHES)
    (tmp_path / BATCHES / "test_batch").write_bytes(pickle.dumps(what, 4))
    with pytest.raises(InputError, match=r"test_batch'\) .*asks for the global"):
        load_images("cifar10", folder=tmp_path)


def test_an_array_of_objects_is_refused(tmp_path: Path) -> None:
    write_batches(tmp_path / BATCHES)
    (tmp_path / BATCHES / "test_batch").write_bytes(python2_pickle({"data": np.array([{}]), "labels": [1]}))
    with pytest.raises(InputError, match=r"test_batch'\) must be an intact pickle \(an array of dtype b'O8'\)"):
        load_images("cifar10", folder=tmp_path)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([1, 2], "a pickled dictionary, not a list"),
        ({"labels": [1]}, r"KeyError\(b'data'\)"),
        ({"data": np.zeros((2, 3072), np.uint8), "labels": [1]}, "cannot reshape"),
        ({"data": np.zeros((1, 3072), np.uint8), "labels": [10]}, "from 0 to 9"),
    ],
    ids=["list", "no data", "count", "label"],
)
def test_a_batch_of_another_kind_is_refused(tmp_path: Path, content: Any, message: str) -> None:
    write_batches(tmp_path / BATCHES)
    (tmp_path / BATCHES / "test_batch").write_bytes(python2_pickle(content))
    with pytest.raises(InputError, match=message) as caught:
        load_images("cifar10", folder=tmp_path)
    assert BATCHES in str(caught.value)


def test_a_truncated_batch_is_refused(tmp_path: Path) -> None:
    write_batches(tmp_path / BATCHES)
    file = tmp_path / BATCHES / "data_batch_2"
    file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(InputError, match=r"data_batch_2'\) must be an intact pickle"):
        load_images("cifar10", folder=tmp_path)


def test_a_truncated_archive_is_refused(tmp_path: Path) -> None:
    write_batches(tmp_path / "elsewhere")
    write_archive(tmp_path / "cifar-10-python.tar.gz", tmp_path / "elsewhere")
    whole = (tmp_path / "cifar-10-python.tar.gz").read_bytes()
    (tmp_path / "cifar-10-python.tar.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"cifar-10-python\.tar\.gz'\) must be an intact \.tar\.gz"):
        load_images("cifar10", folder=tmp_path)


def test_an_absent_batch_is_named(tmp_path: Path) -> None:
    write_batches(tmp_path / BATCHES)
    (tmp_path / BATCHES / "data_batch_5").unlink()
    with pytest.raises(InputError, match="data_batch_5 is not there"):
        load_images("cifar10", folder=tmp_path)


def test_no_files_at_all(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`folder` .*cifar-10-batches-py or cifar-10-python\.tar\.gz or cifar10\.npz"):
        load_images("cifar10", folder=tmp_path)


def test_an_npz_gets_cifars_class_names(tmp_path: Path) -> None:
    (tmp_path / "cifar10").mkdir()
    images, labels = np.random.default_rng(0).integers(0, 256, (3, 32, 32, 3), np.uint8), np.array([[9], [0], [3]])
    np.savez(tmp_path / "cifar10/cifar10.npz", x_train=images, y_train=labels, x_test=images, y_test=labels)
    train, _ = load_images("cifar10", folder=tmp_path)
    assert train.classes == tuple(NAMES)
    assert train.labels.tolist() == [9, 0, 3]
    np.testing.assert_array_equal(train.images.permute(0, 2, 3, 1), images)
