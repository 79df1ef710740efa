"""How a data set is named, and what a user's own function must return."""

import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
import torch

from gradaudit.datasets import data_sets, describe_images, load_images
from gradaudit.errors import InputError
from gradaudit.images import ImageSet


def images(count: int = 3, classes: tuple[str, ...] = ("a", "b"), side: int = 2, seed: int = 0) -> ImageSet:
    pixels = np.random.default_rng(seed).integers(0, 256, (count, 1, side, side), np.uint8)
    return ImageSet(torch.from_numpy(pixels), torch.arange(count) % 2, classes)


@pytest.fixture
def own(monkeypatch: pytest.MonkeyPatch) -> Callable[[Callable[..., Any]], str]:
    def register(function: Callable[..., Any]) -> str:
        module = ModuleType("my_own_images")
        module.make = function  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "my_own_images", module)
        return "my_own_images:make"

    return register


def test_an_own_function_gets_its_options_and_the_seed(own: Callable[..., str]) -> None:
    def make(*, seed: int, side: int = 2) -> tuple[ImageSet, ImageSet]:
        return images(side=side, seed=seed), images(side=side)

    train, test = load_images(own(make), seed=5, side=3)
    assert train.fingerprint == images(side=3, seed=5).fingerprint
    assert load_images("my_own_images:make(side=3)", seed=5)[0].fingerprint == train.fingerprint
    assert load_images({"name": "my_own_images:make", "side": 3}, seed=5)[1].fingerprint == test.fingerprint


def test_an_own_function_may_have_no_options(own: Callable[..., str]) -> None:
    assert len(load_images(own(lambda: (images(), images(4))), folder="anywhere")[1]) == 4


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (None, "two ImageSets; it returned None"),
        ((np.zeros(3), np.zeros(3)), "two ImageSets; it returned"),
        ((images(), images(), images()), "two ImageSets; it returned"),
        ((images(), images(side=3)), r"agree in shape; these have \(1, 2, 2\) and \(1, 3, 3\)"),
        ((images(), images(classes=("a", "c"))), r"agree in classes; these have \('a', 'b'\)"),
    ],
)
def test_what_an_own_function_returns_is_checked(own: Callable[..., str], returned: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(own(lambda: returned))


def test_an_own_function_with_an_open_argument_is_refused(own: Callable[..., str]) -> None:
    with pytest.raises(InputError, match=r"keyword-only options .*missing a required argument: 'size'"):
        load_images(own(lambda size: (images(), images())))


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("fashon-mnist", r"`name_or_path` \(='fashon-mnist'\) .*did you mean 'fashion_mnist'"),
        ("mnist(side=3)", "given options that mnist has: folder=None"),
        ("no_such_module:make", "importable as package.module:function"),
        ("mnist(", "written like"),
        ("", "a name such as"),
        (3, "a name such as"),
        ("./absent", "a path that exists"),
        (Path("absent"), "a path that exists"),
        ("absent.npz", "a path that exists"),
        (Path(__file__), r"a folder of class folders, idx files, .* or an \.npz file"),
    ],
)
def test_bad_names_are_refused(name: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_images(name)


@pytest.mark.parametrize("seed", [-1, 0.5, "1"])
def test_bad_seeds_are_refused(seed: Any) -> None:
    with pytest.raises(InputError, match="`seed`"):
        load_images("mnist5k", seed=seed)


def test_a_name_goes_before_a_folder_of_that_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mnist").mkdir()
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GRADAUDIT_DATA", raising=False)
    with pytest.raises(InputError, match="train-images-idx3-ubyte"):
        load_images("mnist")
    with pytest.raises(InputError, match="at least two class folders"):
        load_images("./mnist")


def test_a_path_may_have_brackets(tmp_path: Path) -> None:
    (tmp_path / "set (copy)").mkdir()
    with pytest.raises(InputError, match="at least two class folders"):
        load_images(str(tmp_path / "set (copy)"))


def test_every_data_set_is_listed_with_a_line() -> None:
    listing = data_sets()
    real = {"cifar10", "cifar100", "fashion-mnist", "folder", "idx", "mnist", "mnist5k", "npz", "svhn"}
    assert set(listing) == real | {"blocks", "block-vectors", "coordinate", "trigger"}
    assert all(len(line) > 20 and line.endswith(".") for line in listing.values())


def test_a_description_holds_the_closed_forms() -> None:
    pixels = torch.tensor([0, 255, 0, 255, 51, 51, 51, 51, 0, 0, 0, 255], dtype=torch.uint8).reshape(2, 3, 1, 2)
    described = describe_images(ImageSet(pixels, torch.tensor([2, 2]), ("a", "b", "c")))
    floats = pixels.double() / 255
    assert described["images"] == 2
    assert described["shape"] == [3, 1, 2]
    assert described["counts"] == [0, 0, 2]
    assert described["classes"] == ["a", "b", "c"]
    assert described["mean"] == pytest.approx(floats.mean(dim=(0, 2, 3)).tolist(), abs=1e-12)
    assert described["std"] == pytest.approx(floats.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-12)
    assert described["signal_mask"] is False


def test_a_description_counts_images_beyond_one_pass() -> None:
    many = images(2500, side=3)
    described = describe_images(many)
    assert described["mean"] == pytest.approx([float(many.images.double().mean()) / 255], abs=1e-12)
    assert described["counts"] == [1250, 1250]
