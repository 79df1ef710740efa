"""Folders of class folders: which files, which pixels, which split, and the cache."""

import os
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from gradaudit.datasets import load_images
from gradaudit.datasets.pictures import as_pixels, read_picture
from gradaudit.errors import InputError
from gradaudit.images import ImageSet


def picture(value: int, width: int = 9, height: int = 8) -> Image.Image:
    rng = np.random.default_rng(value)
    pixels = rng.integers(0, 256, (height, width, 3), np.uint8)
    pixels[:, :, 0] = value  # tells which file an image came from
    return Image.fromarray(pixels)


def write_classes(root: Path, counts: dict[str, int], first: int = 0) -> None:
    for number, (name, count) in enumerate(sorted(counts.items())):
        (root / name).mkdir(parents=True)
        for index in range(count):
            picture(first + 20 * number + index).save(root / name / f"{index:02}.png")


def red(images: ImageSet) -> list[int]:
    return [int(image) for image in images.images[:, 0, 0, 0]]


def test_a_split_takes_every_image_once_and_keeps_shares(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"b": 10, "a": 5, "c": 20})
    train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert train.classes == ("a", "b", "c")
    assert Counter(test.labels.tolist()) == {0: 1, 1: 2, 2: 4}
    assert sorted(red(train) + red(test)) == [*range(5), *range(20, 30), *range(40, 60)]
    for images in (train, test):
        assert [value // 20 for value in red(images)] == images.labels.tolist()
    assert train.labels.tolist() != sorted(train.labels.tolist())


def test_the_seed_decides_the_split(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 10, "b": 10})

    def load(seed: int) -> list[int]:
        return red(load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", seed=seed, test_share=0.5)[1])

    assert load(0) == load(0) != load(1)


@pytest.mark.parametrize("held_out", ["test", "val"])
def test_given_halves_are_kept_in_one_order(tmp_path: Path, held_out: str) -> None:
    write_classes(tmp_path / "set/train", {"cat": 6, "dog": 5})
    write_classes(tmp_path / f"set/{held_out}", {"cat": 3, "dog": 2}, first=100)
    loaded = [load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", seed=seed) for seed in (0, 1)]
    train, test = loaded[0]
    assert sorted(red(train)) == [*range(6), *range(20, 25)]
    assert sorted(red(test)) == [100, 101, 102, 120, 121]
    assert train.fingerprint == loaded[1][0].fingerprint
    assert len(list((tmp_path / "cache").iterdir())) == 2


def test_a_class_may_be_called_train(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"car": 4, "train": 4})
    assert load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")[0].classes == ("car", "train")


def test_the_spec_says_the_same_as_the_path(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 4, "b": 4})
    by_path = load_images(tmp_path / "set", size=5, channels=1, cache=tmp_path / "cache")
    by_name = load_images("folder(size=5, channels=1)", folder=tmp_path / "set", cache=tmp_path / "cache")
    by_text = load_images(f"{tmp_path / 'set'}(size=5, channels=1)", cache=tmp_path / "cache")
    assert by_path[0].shape == (1, 5, 5)
    assert by_path[0].fingerprint == by_name[0].fingerprint == by_text[0].fingerprint


def test_nested_files_count_and_hidden_ones_do_not(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 2, "b": 2})
    (tmp_path / "set/a/more/deeper").mkdir(parents=True)
    picture(9).save(tmp_path / "set/a/more/deeper/x.PNG")
    (tmp_path / "set/.hidden").mkdir()
    (tmp_path / "set/a/.cache").mkdir()
    for name in ("set/a/.x.png", "set/.hidden/x.png", "set/a/.cache/x.png", "set/notes.txt"):
        (tmp_path / name).write_bytes(b"no image")
    train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert sorted(red(train) + red(test)) == [0, 1, 9, 20, 21]


def test_files_of_other_kinds_are_reported(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 2, "b": 2})
    (tmp_path / "set/b/notes.txt").touch()
    with pytest.warns(UserWarning, match=r"1 files in .* are no images and were left out, such as .*notes\.txt"):
        assert len(load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")[0]) == 3


def test_the_second_load_decodes_nothing(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 40, "b": 40})
    first, _ = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    for file in (tmp_path / "set").rglob("*.png"):  # unreadable, but of the same size and time
        state = file.stat()
        file.write_bytes(bytes(state.st_size))
        os.utime(file, ns=(state.st_atime_ns, state.st_mtime_ns))
    second, _ = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert second.fingerprint == first.fingerprint
    with pytest.raises(InputError, match="intact image file"):
        load_images(tmp_path / "set", size=7, cache=tmp_path / "cache")


def test_a_changed_file_is_decoded_again(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 2, "b": 2})
    before = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    picture(77).save(tmp_path / "set/a/00.png")
    os.utime(tmp_path / "set/a/00.png", ns=(0, 0))
    after = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert sorted(red(before[0]) + red(before[1])) == [0, 1, 20, 21]
    assert sorted(red(after[0]) + red(after[1])) == [1, 20, 21, 77]


def test_images_stay_on_disk(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 3, "b": 3})
    train, _ = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    mapped = Path("/proc/self/maps")
    if not mapped.exists():
        pytest.skip("needs /proc to see what is mapped")
    address = train.images.data_ptr()
    ranges = [line.split() for line in mapped.read_text().splitlines() if str(tmp_path / "cache") in line]
    bounds = [[int(bound, 16) for bound in line[0].split("-")] for line in ranges]
    assert any(low <= address < high for low, high in bounds)


def test_a_damaged_cache_is_made_anew(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 3, "b": 3})
    first = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")[0].fingerprint
    for damage in (b"", b"\x93NUMPY"):
        for file in (tmp_path / "cache").iterdir():
            file.unlink()
            file.write_bytes(damage)
        assert load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")[0].fingerprint == first


def test_a_corrupted_image_is_named_and_leaves_no_cache(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 50, "b": 50})
    file = tmp_path / "set/b/33.png"
    file.write_bytes(file.read_bytes()[:60])
    with pytest.raises(InputError, match=r"`file` \(='.*b/33\.png'\) must be an intact image file"):
        load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", test_share=0.01)
    assert list((tmp_path / "cache").glob("*.part")) == list((tmp_path / "cache").glob(".*")) == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"`size` \(=0\)"),
        ({"size": 8.0}, r"`size` \(=8\.0\)"),
        ({"channels": 4}, r"`channels` \(=4\)"),
        ({"test_share": 0.0}, r"`test_share` \(=0\.0\)"),
        ({"test_share": 1}, r"`test_share` \(=1\)"),
        ({"sise": 8}, "given options that folder has: .*size=112"),
    ],
)
def test_bad_options_are_refused(tmp_path: Path, options: dict[str, Any], message: str) -> None:
    write_classes(tmp_path / "set", {"a": 2, "b": 2})
    with pytest.raises(InputError, match=message):
        load_images(tmp_path / "set", cache=tmp_path / "cache", **options)
    assert not (tmp_path / "cache").exists()


def test_a_cache_that_cannot_be_written_is_named_before_any_decoding(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 2, "b": 2})
    (tmp_path / "set/a/00.png").write_bytes(b"would fail")
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match=r"`cache` \(='.*file/cache'\) must be a folder that can be written"):
        load_images(tmp_path / "set", cache=tmp_path / "file/cache")


def test_bad_folders_are_refused(tmp_path: Path) -> None:
    def refused(message: str, path: Path) -> None:
        with pytest.raises(InputError, match=message):
            load_images(path, size=8, cache=tmp_path / "cache")

    write_classes(tmp_path / "set", {"a": 2})
    refused("at least two class folders.* has a$", tmp_path / "set")
    (tmp_path / "set/b").mkdir()
    refused(r"set/b'\) must be a class folder with at least one image", tmp_path / "set")
    picture(0).save(tmp_path / "set/b/0.png")
    refused("at least 2 images a class.*; b has 1", tmp_path / "set")
    write_classes(tmp_path / "halves/train", {"a": 2, "b": 2})
    write_classes(tmp_path / "halves/val", {"a": 2, "c": 2})
    refused(r"halves/val'\) .*class folders of train/, \('a', 'b'\); it has \('a', 'c'\)", tmp_path / "halves")
    with pytest.raises(InputError, match=r"`folder` \(=None\) must be given"):
        load_images("folder")
    with pytest.raises(InputError, match=r"`folder` .*exists"):
        load_images("folder", folder=tmp_path / "absent")


@pytest.mark.parametrize(("width", "height"), [(9, 8), (8, 9), (8, 8), (13, 8), (8, 15)])
def test_without_resizing_the_centre_is_cut_out(width: int, height: int) -> None:
    image = picture(3, width, height)
    pixels = np.asarray(image).transpose(2, 0, 1)
    left, top = round((width - 8) / 2), round((height - 8) / 2)
    np.testing.assert_array_equal(as_pixels(image, 8, 3), pixels[:, top : top + 8, left : left + 8])


@pytest.mark.parametrize(("width", "height"), [(30, 20), (20, 30), (47, 20), (20, 20)])
def test_halving_agrees_with_torchs_antialiased_resize(width: int, height: int) -> None:
    image = picture(3, width, height)
    pixels = torch.from_numpy(np.asarray(image).transpose(2, 0, 1).copy())[None].float()
    new = [int(10 * side / 20) for side in (height, width)]
    resized = torch.nn.functional.interpolate(pixels, new, mode="bilinear", antialias=True, align_corners=False)[0]
    top, left = (round((side - 10) / 2) for side in new)
    expected = resized[:, top : top + 10, left : left + 10]
    assert np.abs(as_pixels(image, 10, 3) - expected.numpy()).max() <= 1.01  # Pillow rounds after each axis


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    image = picture(3, 8, 8)
    exif = Image.Exif()
    exif[0x0112] = 6  # shown after a quarter turn clockwise
    image.save(tmp_path / "turned.png", exif=exif)
    turned = np.rot90(np.asarray(image), -1).transpose(2, 0, 1)
    np.testing.assert_array_equal(read_picture(tmp_path / "turned.png", 8, 3), turned)


def test_modes(tmp_path: Path) -> None:
    grey = np.arange(64, dtype=np.uint8).reshape(8, 8)
    image = Image.fromarray(grey)
    np.testing.assert_array_equal(as_pixels(image, None, None), grey[None])
    np.testing.assert_array_equal(as_pixels(image, None, 3), np.stack([grey] * 3))
    np.testing.assert_array_equal(as_pixels(image.convert("P"), None, 1), grey[None])
    assert as_pixels(image.convert("RGBA"), None, None).shape == (3, 8, 8)
    assert set(np.unique(as_pixels(Image.fromarray(grey > 9), None, None))) == {0, 255}


def test_more_than_eight_bits_are_refused(tmp_path: Path) -> None:
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(tmp_path / "deep.png")
    with pytest.raises(InputError, match=r"deep\.png'\) .*8 bits a channel"):
        read_picture(tmp_path / "deep.png", 8, 1)
