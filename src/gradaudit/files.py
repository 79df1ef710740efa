"""Files that are written whole or not at all, and fingerprints of what they hold."""

from __future__ import annotations

import errno
import hashlib
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import numpy as np
import torch

from gradaudit.errors import InputError, StoreError

LACKING = {errno.EINVAL, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@contextmanager
def whole_file(path: str | os.PathLike[str], mode: str = "wb") -> Iterator[IO[Any]]:
    """Open a temporary neighbour of `path` that takes its place on success and vanishes on failure.

    Raises:
        StoreError: the file can't be written; names the path and the reason (a full disk, no permission).
    """
    encoding = None if "b" in mode else "utf-8"
    with _neighbour(Path(path)) as temporary, open(temporary, mode, encoding=encoding) as file:
        yield file
        file.flush()
        with _unless_unsupported():
            os.fsync(file.fileno())


def write_text(path: str | os.PathLike[str], text: str) -> Path:
    """Write `text` to `path`, whole or not at all."""
    with whole_file(path, "w") as file:
        file.write(_utf8(text))
    return Path(path)


def write_array(path: str | os.PathLike[str], array: np.ndarray) -> Path:
    """Write `array` as `.npy` to `path`, whole or not at all."""
    with whole_file(path) as file:
        np.save(file, array, allow_pickle=False)
    return Path(path)


@contextmanager
def whole_array(path: str | os.PathLike[str], shape: tuple[int, ...], dtype: np.dtype) -> Iterator[np.ndarray]:
    """Fill a memory-mapped `.npy` file row by row; it appears at `path` only when complete.

    Raises:
        StoreError: the disk has too little room, or the folder can't be written.
    """
    path = Path(path)
    ensure_room(path.parent, int(np.prod(shape)) * np.dtype(dtype).itemsize)
    with _neighbour(path) as temporary:
        array = np.lib.format.open_memmap(temporary, mode="w+", dtype=dtype, shape=shape)
        _reserve(temporary)
        yield array
        array.flush()


def map_array(path: str | os.PathLike[str]) -> np.ndarray:
    """Memory-map a `.npy` file; pages are shared between processes and never written back.

    Raises:
        OSError: there is no such file.
        ValueError: it is not `.npy`, is cut short, or holds pickled objects.
    """
    array: np.ndarray = np.load(path, mmap_mode="c", allow_pickle=False)
    return array


def ensure_room(folder: str | os.PathLike[str], size: int) -> None:
    """Make `folder` if need be and check that a file can be written there and `size` bytes are free.

    Raises:
        StoreError: there is no room, or no permission.
    """
    folder = own(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=folder, prefix=".probe"):
            pass
        disk = shutil.disk_usage(folder)
    except OSError as error:
        raise StoreError(error.errno, f"cannot write in {folder}: {_reason(error)}") from error
    if disk.free < size and disk.total > 0:  # some network folders don't tell
        left = f"{size / 1e6:,.0f} MB are needed, {disk.free / 1e6:,.0f} MB are free"
        raise StoreError(errno.ENOSPC, f"cannot write in {folder}: {left}")


def writable_folder(argument: str, folder: str | os.PathLike[str]) -> Path:
    """The folder, made if need be, after proving that a file can be written there.

    Raises:
        InputError: it can't; names the argument.
    """
    try:
        ensure_room(folder, 1)
    except StoreError as error:
        raise InputError(argument, str(folder), f"a folder that can be written ({error.strerror})") from error
    return own(folder)


def check_writable(argument: str, folder: str | os.PathLike[str]) -> None:
    """Prove, without making the folder, that a file could be written there.

    Raises:
        InputError: it can't; names the argument.
    """
    path = own(folder).absolute()
    writable_folder(argument, next(place for place in (path, *path.parents) if _is_there(argument, place)))


def own(path: str | os.PathLike[str]) -> Path:
    """The path, with the user's home in place of a `~` that no shell has seen."""
    return Path(os.path.expanduser(path))


def fingerprint(*parts: Any) -> str:
    """A SHA-256 in hexadecimal over tensors, arrays, bytes and text (`str` of anything else); order, shapes and dtypes count.

    A tensor and the array of its values have the same fingerprint, wherever they lie and in whatever memory layout.

    Raises:
        TypeError: an array of Python objects, whose bytes are addresses.
    """
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, torch.Tensor):
            part = part.detach().cpu().contiguous()
            if part.dtype == torch.bfloat16:  # which numpy lacks
                digest.update(b"bfloat16")
                part = part.view(torch.int16)
            part = part.numpy()
        if isinstance(part, np.ndarray):
            if part.dtype.hasobject:
                raise TypeError("an array of Python objects has no fingerprint")
            digest.update(f"{part.dtype.str}{part.shape}".encode())
            rows = part.reshape(1) if part.ndim == 0 else part
            step = max(1, (1 << 24) // max(1, rows[:1].nbytes))
            for start in range(0, len(rows), step):
                digest.update(np.ascontiguousarray(rows[start : start + step]).data)
        else:
            data = part if isinstance(part, bytes) else str(part).encode()
            digest.update(f"{len(data)}:".encode())
            digest.update(data)
    return digest.hexdigest()


def _is_there(argument: str, path: Path) -> bool:
    try:
        os.lstat(path)  # a link that leads nowhere is in the way
    except (FileNotFoundError, NotADirectoryError):
        return False
    except OSError as error:
        raise InputError(argument, str(path), f"a folder that can be written ({_reason(error)})") from error
    return True


def _utf8(text: str) -> str:
    """The text, with what a machine of another encoding made of a name's bytes turned back, or into question marks."""
    try:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    except UnicodeEncodeError:
        return text.encode("utf-8", "replace").decode("utf-8")


@contextmanager
def _neighbour(path: Path) -> Iterator[str]:
    path, temporary = own(path), None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        os.close(handle)
        yield temporary
        with suppress(OSError):  # some network folders have no permissions to change
            os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
    except OSError as error:
        raise StoreError(error.errno or errno.EIO, f"cannot write {path}: {_reason(error)}") from error
    finally:
        if temporary is not None:
            Path(temporary).unlink(missing_ok=True)


def _reserve(path: str) -> None:
    # A disk that fills up under a sparse memory map kills the process: take the room now, where the system can.
    if hasattr(os, "posix_fallocate"):
        with open(path, "r+b") as file, _unless_unsupported():
            os.posix_fallocate(file.fileno(), 0, os.path.getsize(path))


@contextmanager
def _unless_unsupported() -> Iterator[None]:
    """Go on where the file system, one on a network say, lacks what is asked of it; a full disk is another matter."""
    try:
        yield
    except OSError as error:
        if error.errno not in LACKING:
            raise


def _reason(error: OSError) -> str:
    return error.strerror or str(error)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask
