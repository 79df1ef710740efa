"""Folders of class folders: which files, which pixels, which split, and the cache."""

import os
import struct
import zlib
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


def spoil(root: Path) -> None:
    """Break two images in folder b, and put a 16-bit one, a pipe and a link that leads nowhere beside them."""
    for name in ("02.png", "03.png"):
        (root / "b" / name).write_bytes((root / "b" / name).read_bytes()[:60])
    Image.fromarray(np.full((8, 8), 40_000, np.uint16)).save(root / "a/deep.png")
    os.mkfifo(root / "a/pipe.png")
    (root / "b/gone.png").symlink_to(root / "nowhere.png")


def test_all_images_that_cannot_be_taken_are_named_at_once_by_kind(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 8, "b": 8})
    spoil(tmp_path / "set")
    with pytest.raises(InputError) as caught:
        load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    for part in (
        f"`folder` (='{tmp_path / 'set'}') must be a folder of intact image files of 8 bits a channel; 5 of 19 are not",
        "2 damaged, or of no known format: b/0",
        "1 of more than 8 bits a channel, to be converted first, since only you know their range: a/deep.png",
        "2 no regular files: pipes, or links that lead nowhere: ",
        "a/pipe.png",
        "b/gone.png",
        'on_error="skip"',
    ):
        assert part in str(caught.value)
    assert str(caught.value).count("b/02.png") == str(caught.value).count("b/03.png") == 1
    assert list((tmp_path / "cache").glob(".*")) == []


def test_skipping_leaves_them_out_and_says_so_in_one_warning(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 8, "b": 8})
    spoil(tmp_path / "set")
    for _ in range(2):  # the second from the cache
        with pytest.warns(UserWarning, match=r"5 of 19 image files in .* were left out: .*a/deep\.png") as caught:
            train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", on_error="skip")
        assert len(caught) == 1
        assert sorted(red(train) + red(test)) == [*range(8), 20, 21, *range(24, 28)]
        assert [value // 20 for images in (train, test) for value in red(images)] == [*train.labels, *test.labels]


def test_a_long_list_is_cut(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 4, "b": 4})
    for index in range(25):
        (tmp_path / f"set/a/bad{index:02}.png").write_bytes(b"no picture")
    with pytest.raises(InputError, match=r"25 damaged.*bad\d\d\.png \(cannot identify image file\).* and 15 more\."):
        load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")


def test_a_class_of_which_nothing_is_left_is_named(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 4, "b": 4})
    for file in (tmp_path / "set/b").iterdir():
        file.write_bytes(b"no picture")
    with (
        pytest.warns(UserWarning, match="4 of 8 image files"),
        pytest.raises(InputError, match="each class keeps an image to train on; b keeps none"),
    ):
        load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", on_error="skip")


def test_links_that_lead_back_up_load_nothing_twice(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 5, "b": 5})
    (tmp_path / "set/a/up").symlink_to(tmp_path / "set")
    (tmp_path / "set/a/further").symlink_to(tmp_path)
    (tmp_path / "set/loop").symlink_to(tmp_path / "set")
    with pytest.warns(UserWarning, match=r"2 links in .* lead to files or folders that another path leads to") as caught:
        train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert len(caught) == 1
    assert train.classes == ("a", "b")
    assert sorted(red(train) + red(test)) == [*range(5), *range(20, 25)]


def test_a_file_that_several_names_lead_to_counts_once_by_its_own(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 4, "b": 4})
    (tmp_path / "set/a/00again.png").symlink_to(tmp_path / "set/b/00.png")  # comes first, but is the link
    os.link(tmp_path / "set/a/01.png", tmp_path / "set/a/same.png")
    (tmp_path / "set/a/more").symlink_to(tmp_path / "set/b")
    (tmp_path / "set/b/more").symlink_to(tmp_path / "set/a")
    with pytest.warns(UserWarning, match="4 links in"):
        train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert sorted(red(train) + red(test)) == [*range(4), *range(20, 24)]
    assert [value // 20 for images in (train, test) for value in red(images)] == [*train.labels, *test.labels]


def test_class_folders_of_links_to_one_pool_are_read(tmp_path: Path) -> None:
    write_classes(tmp_path / "pool", {"a": 4, "b": 4})
    for name in ("a", "b"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for file in (tmp_path / "pool" / name).iterdir():
            (tmp_path / "set" / name / file.name).symlink_to(file)
    (tmp_path / "set/c").symlink_to(tmp_path / "elsewhere")
    write_classes(tmp_path, {"elsewhere": 3}, first=100)
    train, test = load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    assert sorted(red(train) + red(test)) == [*range(4), *range(20, 24), 100, 101, 102]


def test_links_that_lead_to_each_other_are_named_or_left_out(tmp_path: Path) -> None:
    write_classes(tmp_path / "set", {"a": 4, "b": 4})
    (tmp_path / "set/a/x.png").symlink_to(tmp_path / "set/a/y.png")
    (tmp_path / "set/a/y.png").symlink_to(tmp_path / "set/a/x.png")
    with pytest.raises(InputError, match=r"no regular files: .*a/[xy]\.png, a/[xy]\.png"):
        load_images(tmp_path / "set", size=8, cache=tmp_path / "cache")
    with pytest.warns(UserWarning, match="2 of 10 image files"):
        assert sum(map(len, load_images(tmp_path / "set", size=8, cache=tmp_path / "cache", on_error="skip"))) == 8


def test_sixteen_bits_of_colour_are_refused_and_five_are_not(tmp_path: Path) -> None:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = struct.pack(">IIBBBBB", 8, 8, 16, 2, 0, 0, 0)  # 8 x 8, of 16 bits, RGB
    body = zlib.compress((b"\0" + bytes(8 * 6)) * 8)
    parts = chunk(b"IHDR", head) + chunk(b"IDAT", body) + chunk(b"IEND", b"")
    (tmp_path / "deep.png").write_bytes(b"\x89PNG\r\n\x1a\n" + parts)
    with pytest.raises(InputError, match=r"deep\.png'\) .*8 bits a channel"):
        read_picture(tmp_path / "deep.png", 8, 3)
    bitmap = b"BM" + struct.pack("<IHHI", 54 + 128, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 8, 8, 1, 16, 0, 128, 0, 0, 0, 0)
    (tmp_path / "shallow.bmp").write_bytes(bitmap + bytes(128))
    assert not read_picture(tmp_path / "shallow.bmp", 8, 3).any()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"size": 0}, r"`size` \(=0\)"),
        ({"size": 8.0}, r"`size` \(=8\.0\)"),
        ({"channels": 4}, r"`channels` \(=4\)"),
        ({"test_share": 0.0}, r"`test_share` \(=0\.0\)"),
        ({"test_share": 1}, r"`test_share` \(=1\)"),
        ({"on_error": "ignore"}, r"`on_error` \(='ignore'\) must be \"raise\" or \"skip\""),
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
