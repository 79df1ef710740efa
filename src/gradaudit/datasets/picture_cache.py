"""Decoded image files in one memory-mapped array on disk: decoded once, and never all in memory."""

from __future__ import annotations

import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

import numpy as np

from gradaudit.datasets.pictures import read_picture
from gradaudit.files import fingerprint, map_array, whole_array, writable_folder
from gradaudit.progress import progress

_CHUNK = 32
_FORMAT = 1  # to be raised when the pixels that read_picture gives change


def cached_pictures(files: Sequence[Path], size: int, channels: int, cache: str | os.PathLike[str] | None) -> np.ndarray:
    """The pictures as uint8 (N, channels, size, size), memory-mapped from the cache, which is filled if need be.

    Args:
        files: image files, in the order wanted. The cache is valid for these paths as long as sizes and times are the same.
        size, channels: as for `read_picture`.
        cache: folder for the arrays; by default the user's cache folder.

    Raises:
        InputError: the cache folder can't be written, or a file can't be decoded; nothing is left in the cache then.
        StoreError: the disk has too little room.
    """
    from platformdirs import user_cache_path

    folder = Path(cache).expanduser() if cache is not None else user_cache_path("gradaudit") / "pictures"
    shape = (len(files), channels, size, size)
    path = folder / f"{_key(files, size, channels)}.npy"
    found = _cached(path, shape)
    if found is not None:
        return found
    writable_folder("cache", folder)
    with whole_array(path, shape, np.dtype(np.uint8)) as array:
        _decode(files, size, channels, array)
    return map_array(path)


def _key(files: Sequence[Path], size: int, channels: int) -> str:
    def identity(file: Path) -> str:
        state = file.stat()
        return f"{file.resolve()}|{state.st_size}|{state.st_mtime_ns}"

    return fingerprint(f"{_FORMAT}|{size}|{channels}", *map(identity, files))


def _cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        array = map_array(path)
    except (OSError, ValueError, EOFError):  # absent, or cut short by something that copied the cache
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _decode(files: Sequence[Path], size: int, channels: int, array: np.ndarray) -> None:
    def chunk(start: int) -> int:
        for index, file in enumerate(files[start : start + _CHUNK], start):
            array[index] = read_picture(file, size, channels)
        return min(_CHUNK, len(files) - start)

    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes and resizes outside the interpreter's lock
    try:
        with progress("decoding images", len(files)) as advance:
            for future in as_completed([pool.submit(chunk, start) for start in range(0, len(files), _CHUNK)]):
                advance(future.result())
    finally:
        pool.shutdown(cancel_futures=True)
