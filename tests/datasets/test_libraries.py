"""torchvision's and Hugging Face's data sets, on small stand-ins with the interfaces of those packages."""

import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from PIL import Image

from gradaudit.datasets import load_images
from gradaudit.errors import InputError, MissingExtraError

GREY = np.random.default_rng(0).integers(0, 256, (5, 4, 6), np.uint8)
COLOUR = np.random.default_rng(1).integers(0, 256, (5, 4, 6, 3), np.uint8)


class Digits:
    classes = ("0 - zero", "1 - one")
    made: list[Any] = []  # noqa: RUF012

    def __init__(self, root: Any, train: bool = True, transform: Any = None, download: bool = False) -> None:
        Digits.made.append((str(root), train, download))
        self.pixels = GREY if train else GREY[:2]
        self.transform = transform

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.pixels[index])
        return (self.transform(image) if self.transform else image), index % 2


class Scenes:
    """As SVHN, STL10 and ImageNet: halves by name, no class names, images of several sizes."""

    def __init__(self, root: Any, split: str = "train") -> None:
        if split not in ("train", "val"):
            raise ValueError(f"Unknown value {split!r} for argument split")

    def __len__(self) -> int:
        return 3

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return Image.fromarray(COLOUR[index][:, : 4 + index % 2]), index


class Letters(Digits):
    """As EMNIST: `split` says which letters, `train` goes to the class below."""

    def __init__(self, root: Any, split: str, **others: Any) -> None:
        assert split == "upper"
        super().__init__(root, **others)


class Nothing:
    def __init__(self, root: Any) -> None:
        raise AssertionError("not to be made")


@pytest.fixture
def torchvision(monkeypatch: pytest.MonkeyPatch) -> None:
    package, datasets = ModuleType("torchvision"), ModuleType("torchvision.datasets")
    datasets.Digits, datasets.Scenes, datasets.Letters, datasets.Nothing = Digits, Scenes, Letters, Nothing  # type: ignore[attr-defined]
    package.datasets = datasets  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "torchvision", package)
    monkeypatch.setitem(sys.modules, "torchvision.datasets", datasets)
    Digits.made.clear()


@pytest.mark.usefixtures("torchvision")
def test_torchvision_by_train() -> None:
    train, test = load_images("torchvision:Digits", folder="somewhere")
    np.testing.assert_array_equal(train.images[:, 0], GREY)
    assert train.labels.tolist() == [0, 1, 0, 1, 0]
    assert train.classes == ("0 - zero", "1 - one")
    assert len(test) == 2
    assert Digits.made == [("somewhere", True, True), ("somewhere", False, True)]


@pytest.mark.usefixtures("torchvision")
def test_torchvision_options_are_passed_on() -> None:
    train, _ = load_images("torchvision:Digits(channels=3)", download=False, size=2)
    assert train.shape == (3, 2, 2)
    assert [download for _, _, download in Digits.made] == [False, False]


@pytest.mark.usefixtures("torchvision")
def test_torchvision_where_split_is_no_half() -> None:
    train, test = load_images("torchvision:Letters(split=upper)")
    assert (len(train), len(test)) == (5, 2)


@pytest.mark.usefixtures("torchvision")
def test_torchvision_by_split_with_sizes() -> None:
    with pytest.raises(InputError, match=r"`size` .*images of \(4, 4\) and of \(4, 5\) pixels"):
        load_images("torchvision:Scenes", splits=("train", "val"))
    train, _ = load_images("torchvision:Scenes", splits=("train", "val"), size=4)
    assert train.classes == ("0", "1", "2")
    np.testing.assert_array_equal(train.images[0].permute(1, 2, 0), COLOUR[0][:, :4])


@pytest.mark.usefixtures("torchvision")
@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("torchvision:Digit", {}, "the name of a class in torchvision.datasets"),
        ("torchvision:Nothing", {}, "a train or a split argument"),
        ("torchvision:Digits", {"sise": 3}, r"\['sise'\].*options that torchvision:Digits has: root, train"),
        ("torchvision:Digits", {"size": 0}, r"`size` \(=0\)"),
        ("torchvision:Digits", {"channels": 2}, r"`channels` \(=2\)"),
        ("torchvision:Digits", {"transform": np.asarray}, "Pillow images, not ndarray"),
        ("torchvision:Scenes", {}, r"that torchvision can load \(Unknown value 'test'"),
    ],
)
def test_torchvision_refusals(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(name, **options)


class ClassLabel:
    def __init__(self, names: list[str]) -> None:
        self.names = names


class Image_:  # noqa: N801
    pass


Image_.__name__ = "Image"


class Table:
    def __init__(self, count: int, features: dict[str, Any]) -> None:
        self.count, self.features = count, features

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return ({"img": Image.fromarray(COLOUR[i]), "fine": i % 2, "coarse": 0, "id": i} for i in range(self.count))


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    made: list[Any] = []

    def load_dataset(name: str, *, split: str, **options: Any) -> Table:
        made.append((name, split, options))
        if split == "validation":
            raise KeyError("no such split")
        features = {"img": Image_(), "fine": ClassLabel(["cat", "dog"]), "id": object()}
        if name == "two/labels":
            features["coarse"] = ClassLabel(["animal"])
        return Table(5 if split == "train" else 3, features)

    module = ModuleType("datasets")
    module.load_dataset = load_dataset  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "datasets", module)
    return made


def test_huggingface_columns_are_found(calls: list[Any]) -> None:
    train, test = load_images("huggingface:some/pets", folder="there", revision="v2")
    np.testing.assert_array_equal(train.images.permute(0, 2, 3, 1), COLOUR)
    assert train.labels.tolist() == [0, 1, 0, 1, 0]
    assert train.classes == ("cat", "dog")
    assert len(test) == 3
    options = {"cache_dir": "there", "revision": "v2"}
    assert calls == [("some/pets", "train", options), ("some/pets", "test", options)]


@pytest.mark.usefixtures("calls")
def test_huggingface_ambiguous_columns_need_a_word() -> None:
    with pytest.raises(InputError, match=r"`label_column` \(=\['fine', 'coarse'\]\) must be given"):
        load_images("huggingface:two/labels")
    assert load_images("huggingface:two/labels(label_column=coarse)")[0].classes == ("animal",)


@pytest.mark.usefixtures("calls")
def test_huggingface_refusals() -> None:
    with pytest.raises(InputError, match=r"a data set that loads, split 'validation' \('no such split'\)"):
        load_images("huggingface:some/pets", splits=("train", "validation"))
    with pytest.raises(InputError, match=r"`image_column` \(='image'\) must be one of img, fine, id"):
        load_images("huggingface:some/pets", image_column="image")


@pytest.mark.parametrize(
    ("name", "package", "extra"),
    [("torchvision:MNIST", "torchvision", "torchvision"), ("huggingface:a/b", "datasets", "huggingface")],
)
def test_an_absent_library_is_named_with_its_extra(monkeypatch: pytest.MonkeyPatch, name: str, package: str, extra: str) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(MissingExtraError, match=rf"{name} needs the package `{package}`: pip install 'gradaudit\[{extra}\]'"):
        load_images(name)
