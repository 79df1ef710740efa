"""Files appear whole or not at all; fingerprints tell contents apart."""

import errno
import os
import shutil
import stat

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from gradaudit.errors import InputError, StoreError
from gradaudit.files import (
    check_writable,
    ensure_room,
    fingerprint,
    map_array,
    whole_array,
    whole_file,
    writable_folder,
    write_array,
    write_text,
)

ARRAY = np.arange(12, dtype=np.float32).reshape(3, 4)


def full_disk(*args, **keywords):
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


def write_whole_file(path):
    with whole_file(path) as file:
        file.write(b"new")


def write_whole_array(path):
    with whole_array(path, ARRAY.shape, ARRAY.dtype) as array:
        array[:] = ARRAY


WRITERS = {
    "whole_file": write_whole_file,
    "write_text": lambda path: write_text(path, "new"),
    "write_array": lambda path: write_array(path, ARRAY),
    "whole_array": write_whole_array,
}
every_writer = pytest.mark.parametrize("write", WRITERS.values(), ids=WRITERS)


# Written whole


def test_text_and_arrays_come_back(tmp_path):
    assert write_text(tmp_path / "new" / "a.txt", "é\n").read_bytes() == "é\n".encode()
    assert np.array_equal(np.load(write_array(tmp_path / "a.npy", ARRAY)), ARRAY)
    write_whole_array(tmp_path / "b.npy")
    assert (tmp_path / "b.npy").read_bytes() == (tmp_path / "a.npy").read_bytes()


@every_writer
def test_nothing_but_the_file_is_left(tmp_path, write):
    write(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


@every_writer
def test_a_file_has_the_permissions_of_any_new_file(tmp_path, write):
    before = os.umask(0o027)
    try:
        write(tmp_path / "file")
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "file").stat().st_mode) == 0o640


def test_nothing_is_at_the_path_before_the_end(tmp_path):
    path = tmp_path / "file"
    with whole_file(path) as file:
        file.write(b"x" * 100_000)
        assert not path.exists()
    with whole_array(tmp_path / "array", (3, 4), np.dtype(np.uint8)) as array:
        array[0] = 1
        assert not (tmp_path / "array").exists()
    assert map_array(tmp_path / "array").tolist() == [[1] * 4, [0] * 4, [0] * 4]


# Or not at all


@pytest.mark.parametrize("kind", ["file", "array"])
@pytest.mark.parametrize("error", [KeyError("in the middle"), KeyboardInterrupt()], ids=["error", "interrupt"])
def test_an_error_in_the_middle_leaves_the_old_file(tmp_path, kind, error):
    path = tmp_path / "file"
    path.write_bytes(b"old")

    def fail():
        opened = whole_file(path) if kind == "file" else whole_array(path, (3,), np.dtype(np.uint8))
        with opened as target:
            if kind == "file":
                target.write(b"half")
            else:
                target[0] = 1
            raise error

    with pytest.raises(type(error)):
        fail()
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


FULL_DISKS = [(writer, os, "fsync") for writer in WRITERS if writer != "whole_array"]
FULL_DISKS += [(writer, os, "replace") for writer in WRITERS]
FULL_DISKS += [("whole_array", shutil, "disk_usage"), ("whole_array", os, "posix_fallocate")]


@pytest.mark.parametrize(("writer", "module", "call"), FULL_DISKS, ids=[f"{writer}-{call}" for writer, _, call in FULL_DISKS])
def test_a_full_disk_is_one_clear_error_and_loses_nothing(tmp_path, monkeypatch, writer, module, call):
    if not hasattr(module, call):
        pytest.skip(f"this system has no {call}")
    path = tmp_path / "file"
    path.write_bytes(b"old")
    monkeypatch.setattr(module, call, full_disk)
    with pytest.raises(StoreError, match="No space left on device") as caught:
        WRITERS[writer](path)
    assert caught.value.errno == errno.ENOSPC
    assert str(tmp_path) in str(caught.value)
    assert path.read_bytes() == b"old"
    assert os.listdir(tmp_path) == ["file"]


def test_a_device_that_is_full_is_a_store_error(tmp_path):
    if not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full on this system")

    def fill(path):
        with whole_file(path) as file, open("/dev/full", "wb", buffering=0) as full:
            file.write(b"x")
            full.write(b"x")

    with pytest.raises(StoreError, match=r"cannot write .*out.bin: No space left"):
        fill(tmp_path / "out.bin")
    assert os.listdir(tmp_path) == []


@every_writer
def test_a_folder_that_cannot_be_is_a_store_error(tmp_path, write):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(StoreError, match=r"cannot write .*file.*: (Not a directory|File exists)"):
        write(tmp_path / "file" / "below")
    assert (tmp_path / "file").read_text() == "in the way"


def test_too_little_room_is_found_before_writing(tmp_path):
    with pytest.raises(StoreError, match=r"MB are needed, [\d,]+ MB are free") as caught:
        ensure_room(tmp_path, 2**62)
    assert caught.value.errno == errno.ENOSPC
    ensure_room(tmp_path / "a" / "b", 1)
    assert os.listdir(tmp_path / "a" / "b") == []


def test_an_array_takes_its_room_at_once(tmp_path):
    shape = (64, 1 << 14)
    with whole_array(tmp_path / "a.npy", shape, np.dtype(np.uint8)):
        (part,) = tmp_path.iterdir()
        assert part.stat().st_blocks * 512 >= shape[0] * shape[1]


def test_a_writable_folder_is_made_and_left_empty(tmp_path):
    assert writable_folder("out", tmp_path / "new" / "out").is_dir()
    assert list((tmp_path / "new" / "out").iterdir()) == []


def test_a_folder_that_cannot_be_written_names_the_argument(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("x")
    with pytest.raises(InputError, match=r"`out` \(='.*below'\) must be a folder that can be written \(.*Not a directory"):
        writable_folder("out", tmp_path / "file" / "below")
    monkeypatch.setattr(shutil, "disk_usage", full_disk)
    with pytest.raises(InputError, match=r"`out`.*No space left on device"):
        writable_folder("out", tmp_path)


# Folders on a network


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP, errno.ENOSYS])
@every_writer
def test_a_file_system_that_can_do_less_is_written_all_the_same(tmp_path, monkeypatch, write, number):
    def lacking(*args):
        raise OSError(number, os.strerror(number))

    for call in ("fsync", "chmod", "posix_fallocate"):
        monkeypatch.setattr(os, call, lacking)
    write(tmp_path / "file")
    assert os.listdir(tmp_path) == ["file"]


def test_a_disk_that_does_not_tell_its_size_is_written(tmp_path, monkeypatch):
    monkeypatch.setattr(shutil, "disk_usage", lambda folder: shutil._ntuple_diskusage(0, 0, 0))
    write_whole_array(tmp_path / "a.npy")
    assert np.array_equal(np.load(tmp_path / "a.npy"), ARRAY)


# Names


def test_a_tilde_is_the_users_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    assert writable_folder("out", "~/a") == tmp_path / "a"
    write_text("~/a/b.txt", "b")
    assert (tmp_path / "a" / "b.txt").read_text() == "b"
    check_writable("out", "~/c")
    assert not (tmp_path / "c").exists()


@pytest.mark.parametrize(("text", "read"), [("\udce7\udc8c\udcab", "猫"), ("a\ud800b", "a?b"), ("\udcff", "\ufffd")])
def test_what_another_encoding_made_of_a_name_is_written_as_utf_8(tmp_path, text, read):
    assert write_text(tmp_path / "a", text).read_bytes().decode() == read


@pytest.mark.parametrize("kind", ["dangling", "loop", "long"])
def test_a_place_that_can_not_be_is_named_before_any_work(tmp_path, kind):
    (tmp_path / "dangling").symlink_to("nowhere")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(InputError, match=r"^`out` .* must be a folder that can be written"):
        check_writable("out", tmp_path / (kind if kind != "long" else "x" * 300) / "below")


# Memory maps


def test_a_mapped_array_is_never_written_back(tmp_path):
    path = write_array(tmp_path / "a.npy", ARRAY)
    mapped = map_array(path)
    mapped[:] = -1
    assert np.array_equal(map_array(path), ARRAY)


def test_pickled_objects_are_not_loaded(tmp_path):
    np.save(tmp_path / "a.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ValueError, match="objects"):
        map_array(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=r"[Oo]bject"):
        write_array(tmp_path / "b.npy", np.array([{"a": 1}], dtype=object))


# Fingerprints


PARTS = [
    ("ab", "c"),
    ("a", "bc"),
    ("abc",),
    ("c", "ab"),
    (),
    ("",),
    ("", ""),
    (ARRAY,),
    (ARRAY.astype(np.float64),),
    (ARRAY.astype(">f4"),),
    (ARRAY.reshape(4, 3),),
    (ARRAY.reshape(12),),
    (ARRAY.T,),
    (ARRAY, ARRAY),
    (ARRAY[:1], ARRAY[1:]),
    (ARRAY[:2], ARRAY[2:]),
    (ARRAY.tobytes(),),
    (np.zeros((0, 3)),),
    (np.zeros((3, 0)),),
    (np.float32(0),),
    (np.zeros((), dtype=np.float32),),
    (np.zeros((1,), dtype=np.float32),),
    (torch.zeros(2, dtype=torch.bfloat16),),
    (torch.zeros(2, dtype=torch.int16),),
    (torch.zeros(2, dtype=torch.float16),),
    (np.zeros(2, dtype=bool),),
    (np.zeros(2, dtype=np.uint8),),
]


def test_different_contents_have_different_fingerprints():
    assert len({fingerprint(*parts) for parts in PARTS}) == len(PARTS)


@given(st.lists(st.text(max_size=4) | st.binary(max_size=4)), st.lists(st.text(max_size=4) | st.binary(max_size=4)))
def test_text_does_not_run_together(first, second):
    def plain(parts):
        return [part if isinstance(part, bytes) else part.encode() for part in parts]

    assert (fingerprint(*first) == fingerprint(*second)) == (plain(first) == plain(second))


arrays = hnp.arrays(hnp.integer_dtypes() | hnp.boolean_dtypes(), hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=4))


@given(arrays)
def test_only_the_content_of_an_array_counts(array):
    expected = fingerprint(array)
    assert fingerprint(np.asfortranarray(array)) == expected
    assert fingerprint(array.copy()[...]) == expected
    if array.dtype.isnative:
        assert fingerprint(torch.from_numpy(np.array(array))) == expected


def test_an_array_larger_than_one_block_counts_to_its_last_byte():
    large = np.zeros((3, 1 << 23), dtype=np.uint8)
    before = fingerprint(large)
    large[-1, -1] = 1
    assert fingerprint(large) != before


def test_it_is_a_sha256_that_stays_the_same_between_versions():
    import hashlib

    assert fingerprint("ab", b"c") == hashlib.sha256(b"2:ab1:c").hexdigest()
    assert fingerprint(np.array([1, 2], dtype=np.uint8)) == hashlib.sha256(b"|u1(2,)\x01\x02").hexdigest()


def test_gradients_do_not_count_and_objects_are_refused():
    assert fingerprint(torch.ones(2, requires_grad=True)) == fingerprint(torch.ones(2))
    with pytest.raises(TypeError, match="objects"):
        fingerprint(np.array([None, "a"], dtype=object))
