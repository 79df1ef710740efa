"""Data sets of torchvision and of Hugging Face's `datasets`, written here in the packages' own formats."""

import numpy as np
import pytest
from PIL import Image

import gradaudit as ga
from gradaudit.errors import InputError

rng = np.random.default_rng(0)
PIXELS = rng.integers(0, 256, (6, 8, 8, 3), np.uint8)


def class_folders(path, splits=("train", "test")):
    for at, split in enumerate(splits):
        for place in range(6 if at == 0 else 4):
            folder = path / split / ("cat", "dog")[place % 2]
            folder.mkdir(parents=True, exist_ok=True)
            Image.fromarray(PIXELS[place]).save(folder / f"{place}.png")


def in_order(images):
    """The pixels, (H, W, C), whatever order a library reads files in."""
    return sorted(one.tobytes() for one in images)


class TestHuggingFace:
    datasets = pytest.importorskip("datasets", reason="datasets is not installed: pip install 'gradaudit[huggingface]'")

    @pytest.fixture(autouse=True)
    def _cache(self, monkeypatch, tmp_path):
        self.datasets.disable_progress_bars()
        monkeypatch.setattr(self.datasets.config, "HF_DATASETS_CACHE", tmp_path / "cache")

    def made(self, count, names=("dog", "cat")):
        features = self.datasets.Features({"picture": self.datasets.Image(), "kind": self.datasets.ClassLabel(names=[*names])})
        rows = {"picture": [Image.fromarray(one) for one in PIXELS[:count]], "kind": [place % 2 for place in range(count)]}
        return self.datasets.Dataset.from_dict(rows, features=features)

    def test_a_folder_of_save_to_disk_is_read_with_its_own_class_names(self, tmp_path):
        self.datasets.DatasetDict(train=self.made(6), test=self.made(4)).save_to_disk(tmp_path / "pets")
        train, test = ga.load_images(f"huggingface:{tmp_path / 'pets'}")
        np.testing.assert_array_equal(train.images.permute(0, 2, 3, 1), PIXELS)
        assert (train.classes, train.labels.tolist(), len(test)) == (("dog", "cat"), [0, 1, 0, 1, 0, 1], 4)

    def test_splits_of_other_names_and_a_set_without_them_are_told(self, tmp_path):
        self.datasets.DatasetDict(train=self.made(6), validation=self.made(4)).save_to_disk(tmp_path / "pets")
        with pytest.raises(InputError, match=r"`splits` .* of train, validation"):
            ga.load_images(f"huggingface:{tmp_path / 'pets'}")
        assert len(ga.load_images(f"huggingface:{tmp_path / 'pets'}", splits=("train", "validation"))[1]) == 4
        self.made(6).save_to_disk(tmp_path / "one")
        with pytest.raises(InputError, match="a data set of several splits"):
            ga.load_images(f"huggingface:{tmp_path / 'one'}")

    def test_an_image_folder_is_read_by_its_path_and_by_its_builder(self, tmp_path):
        class_folders(tmp_path / "pets")
        for name, options in (("imagefolder", {"data_dir": str(tmp_path / "pets")}), (str(tmp_path / "pets"), {})):
            train, test = ga.load_images(f"huggingface:{name}", folder=tmp_path / "cache", **options)
            assert train.classes == ("cat", "dog")
            assert in_order(train.images.permute(0, 2, 3, 1).numpy()) == in_order(PIXELS)
            assert sorted(test.labels.tolist()) == [0, 0, 1, 1]

    def test_columns_that_are_not_there_are_named(self, tmp_path):
        self.datasets.DatasetDict(train=self.made(6), test=self.made(4)).save_to_disk(tmp_path / "pets")
        with pytest.raises(InputError, match=r"`image_column` .*one of picture, kind"):
            ga.load_images(f"huggingface:{tmp_path / 'pets'}", image_column="image")


class TestTorchvision:
    torchvision = pytest.importorskip("torchvision", reason="torchvision is not installed: pip install 'gradaudit[torchvision]'")

    def test_digits_in_their_own_format_are_read(self, tmp_path):
        import struct

        raw = tmp_path / "MNIST" / "raw"
        raw.mkdir(parents=True)
        digits = PIXELS[..., 0].repeat(4, 1)[:, :28].repeat(4, 2)[:, :, :28]
        for half, count in (("train", 6), ("t10k", 4)):
            head = struct.pack(">IIII", 2051, count, 28, 28)
            (raw / f"{half}-images-idx3-ubyte").write_bytes(head + digits[:count].tobytes())
            labels = struct.pack(">II", 2049, count) + bytes([place % 10 for place in range(count)])
            (raw / f"{half}-labels-idx1-ubyte").write_bytes(labels)
        train, test = ga.load_images("torchvision:MNIST", folder=tmp_path, download=False)
        np.testing.assert_array_equal(train.images[:, 0], digits)
        assert (train.classes[0], test.labels.tolist()) == ("0 - zero", [0, 1, 2, 3])

    def test_what_is_not_there_is_one_error(self, tmp_path):
        with pytest.raises(InputError, match="that torchvision can load"):
            ga.load_images("torchvision:CIFAR10", folder=tmp_path, download=False)
