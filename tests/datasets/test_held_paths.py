"""A path is read by what it holds."""

import gzip
import pickle
import struct
import tarfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from gradaudit.datasets import load_images, save_images
from gradaudit.errors import InputError
from gradaudit.images import ImageSet


def encode(array: np.ndarray) -> bytes:
    return struct.pack(f">BBBB{array.ndim}I", 0, 0, 8, array.ndim, *array.shape) + array.tobytes()


def write_idx(folder: Path, form: str = "{half}-{part}", halves: tuple[str, str] = ("train", "t10k")) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for half, count in zip(halves, (6, 4), strict=True):
        for part, array in (
            ("images-idx3-ubyte", np.full((count, 5, 7), count, np.uint8)),
            ("labels-idx1-ubyte", np.arange(count, dtype=np.uint8)),
        ):
            name = form.format(half=half, part=part)
            data = encode(array)
            (folder / name).write_bytes(gzip.compress(data) if name.endswith(".gz") else data)


def check_idx(loaded: tuple[ImageSet, ImageSet]) -> None:
    train, test = loaded
    assert [len(train), len(test), train.shape, int(train.images[0, 0, 0, 0])] == [6, 4, (1, 5, 7), 6]
    assert train.labels.tolist() == [0, 1, 2, 3, 4, 5]
    assert train.classes == tuple("012345")


@pytest.mark.parametrize("form", ["{half}-{part}", "{half}-{part}.gz", "emnist-digits-{half}-{part}.gz"])
@pytest.mark.parametrize("place", [".", "raw", "MNIST/raw", "FashionMNIST/raw"])
def test_a_folder_of_idx_files_is_loaded_by_its_path(tmp_path: Path, form: str, place: str) -> None:
    write_idx(tmp_path / place, form)
    check_idx(load_images(tmp_path))


def test_idx_files_with_a_dot_or_called_test_are_known_too(tmp_path: Path) -> None:
    write_idx(tmp_path, halves=("train", "test"))
    for file in [*tmp_path.iterdir()]:
        file.rename(file.with_name(file.name.replace("-idx", ".idx")))
    (tmp_path / "train-images-idx3-ubyte").mkdir()  # as an archive of MNIST leaves them
    check_idx(load_images(tmp_path))


def test_one_of_the_idx_files_stands_for_their_folder(tmp_path: Path) -> None:
    write_idx(tmp_path, "{half}-{part}.gz")
    check_idx(load_images(str(tmp_path / "t10k-images-idx3-ubyte.gz")))


def test_class_names_may_be_given_to_idx_files(tmp_path: Path) -> None:
    write_idx(tmp_path)
    assert load_images(tmp_path, classes=tuple("abcdef"))[0].classes == tuple("abcdef")
    assert load_images("idx", folder=tmp_path)[0].fingerprint == load_images(tmp_path)[0].fingerprint


@pytest.mark.parametrize("absent", ["t10k-images-idx3-ubyte", "train-labels-idx1-ubyte"])
def test_an_absent_idx_file_is_named(tmp_path: Path, absent: str) -> None:
    write_idx(tmp_path)
    (tmp_path / absent).unlink()
    words, part = ("t10k or test", "images") if "t10k" in absent else ("train", "labels")
    with pytest.raises(InputError, match=f"with one file of {words} {part} in idx format, plain or .gz; it has none"):
        load_images(tmp_path)


def test_idx_files_of_two_data_sets_in_one_folder_are_refused(tmp_path: Path) -> None:
    for letters in ("digits", "letters"):
        write_idx(tmp_path, f"emnist-{letters}-{{half}}-{{part}}")
    with pytest.raises(InputError, match="it has emnist-digits-train-images-idx3-ubyte, emnist-letters-train-images"):
        load_images(tmp_path)


def cifar_batch(count: int, key: bytes, classes: int) -> dict[bytes, Any]:
    data = np.random.default_rng(count).integers(0, 256, (count, 3072), np.uint8)
    return {key: (np.arange(count) % classes).tolist(), b"data": data}


def write_cifar(folder: Path, classes: int) -> None:
    folder.mkdir(parents=True)
    key, names = (b"labels", b"label_names") if classes == 10 else (b"fine_labels", b"fine_label_names")
    meta = {names: [f"class {number}".encode() for number in range(classes)]}
    train = [f"data_batch_{number}" for number in range(1, 6)] if classes == 10 else ["train"]
    content = {name: cifar_batch(3 + place, key, classes) for place, name in enumerate(train)}
    content |= {"test_batch" if classes == 10 else "test": cifar_batch(9, key, classes)}
    content |= {"batches.meta" if classes == 10 else "meta": meta}
    for name, batch in content.items():
        # Bytes are plain from protocol 3 on, as Python 2 had them.
        (folder / name).write_bytes(pickle.dumps(batch, protocol=3))


@pytest.mark.parametrize(("classes", "inner"), [(10, "cifar-10-batches-py"), (100, "cifar-100-python")])
def test_folders_and_archives_of_cifar_batches_are_loaded_by_their_path(tmp_path: Path, classes: int, inner: str) -> None:
    write_cifar(tmp_path / "data" / inner, classes)
    (tmp_path / "data" / inner).joinpath("readme.html").touch()
    write_cifar(tmp_path / "renamed", classes)
    archive = tmp_path / f"packed/cifar-{classes}-python.tar.gz"
    archive.parent.mkdir()
    with tarfile.open(archive, "w:gz") as packed:
        packed.add(tmp_path / "data" / inner, inner)
    loaded = [load_images(path) for path in (tmp_path / "data", tmp_path / "data" / inner, tmp_path / "renamed", archive)]
    loaded += [load_images(f"cifar{classes}", folder=tmp_path / "data")]
    for train, test in loaded:
        assert (len(train), len(test), train.shape) == (25 if classes == 10 else 3, 9, (3, 32, 32))
        assert train.classes[1] == "class 1"
        assert train.fingerprint == loaded[0][0].fingerprint
    expected = cifar_batch(9, b"labels", classes)
    np.testing.assert_array_equal(loaded[0][1].images.reshape(9, -1), expected[b"data"])
    assert loaded[0][1].labels.tolist() == expected[b"labels"]


def test_a_cifar_batch_with_code_in_it_runs_nothing(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple[Any, tuple[str]]:
            return exec, (f"open({str(tmp_path / 'mark')!r}, 'w')",)

    write_cifar(tmp_path / "set", 100)
    (tmp_path / "set/meta").write_bytes(pickle.dumps({b"fine_label_names": Trap()}, protocol=3))
    with pytest.raises(InputError, match=r"builtins\.exec, so it was not run"):
        load_images(tmp_path / "set")
    assert not (tmp_path / "mark").exists()


def test_a_folder_with_one_npz_stands_for_it(tmp_path: Path) -> None:
    images = ImageSet(torch.arange(32, dtype=torch.uint8).reshape(2, 1, 4, 4), torch.tensor([0, 1]), ("a", "b"))
    save_images(tmp_path / "set.npz", images, images[:1])
    for path in (tmp_path, tmp_path / "set.npz"):
        assert load_images(path)[0].fingerprint == images.fingerprint


def test_svhns_folder_is_loaded_by_its_path(tmp_path: Path) -> None:
    from scipy.io import savemat

    for half, count in (("train", 3), ("test", 2)):
        pixels = np.full((32, 32, 3, count), count, np.uint8)
        savemat(tmp_path / f"{half}_32x32.mat", {"X": pixels, "y": np.arange(1, count + 1, dtype=np.uint8)[:, None]})
    train, test = load_images(tmp_path)
    assert [len(train), len(test), train.labels.tolist()] == [3, 2, [1, 2, 3]]
