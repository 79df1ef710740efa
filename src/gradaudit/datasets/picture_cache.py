"""Decoded image files in one memory-mapped array on disk: decoded once, and never all in memory."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from gradaudit.datasets.flaws import CLOSED, Flaw, flaw
from gradaudit.datasets.pictures import read_picture
from gradaudit.errors import InputError
from gradaudit.files import fingerprint, map_array, whole_array, writable_folder, write_text
from gradaudit.progress import progress

_CHUNK = 32
_FORMAT = 2  # to be raised when the pixels that read_picture gives change


def cached_pictures(
    files: Sequence[Path], size: int, channels: int, cache: str | os.PathLike[str] | None
) -> tuple[np.ndarray, dict[int, Flaw]]:
    """The pictures as uint8 (n, channels, size, size), memory-mapped from the cache, which is filled if need be.

    Args:
        files: image files, in the order wanted. The cache is valid for these paths as long as sizes and times are the same.
        size, channels: as for `read_picture`.
        cache: folder for the arrays; by default the user's cache folder.

    Returns:
        The pictures of those files that can be taken, in their order, and by index what keeps the others from it.

    Raises:
        InputError: the cache folder can't be written.
        StoreError: the disk has too little room.
    """
    from platformdirs import user_cache_path

    folder = Path(cache).expanduser() if cache is not None else user_cache_path("gradaudit") / "pictures"
    key = _key(files, size, channels)
    flaws = _noted(folder / f"{key}.json")
    good = [file for index, file in enumerate(files) if index not in flaws]
    if not good:
        return np.empty((0, channels, size, size), np.uint8), flaws
    path = folder / f"{_key(good, size, channels) if flaws else key}.npy"
    found = _cached(path, (len(good), channels, size, size))
    if found is not None:
        return found, flaws
    writable_folder("cache", folder)
    return _filled(folder, files, size, channels)


def _filled(folder: Path, files: Sequence[Path], size: int, channels: int) -> tuple[np.ndarray, dict[int, Flaw]]:
    """Decode everything, and keep the pictures that can be taken, and word of those that can't."""
    shape = (len(files), channels, size, size)
    with TemporaryDirectory(prefix=".decoding", dir=folder) as scratch:
        everything = Path(scratch) / "everything.npy"
        with whole_array(everything, shape, np.dtype(np.uint8)) as array:
            flaws = _decode(files, size, channels, array)
        rows = np.array([index for index in range(len(files)) if index not in flaws], np.int64)
        if not len(rows):
            return np.empty((0, *shape[1:]), np.uint8), flaws
        path = folder / f"{_key([files[row] for row in rows], size, channels)}.npy"
        if flaws:
            _note(folder / f"{_key(files, size, channels)}.json", flaws)
            _copy(map_array(everything), rows, path)
        else:
            os.replace(everything, path)
    return map_array(path), flaws


def _copy(source: np.ndarray, rows: np.ndarray, path: Path) -> None:
    with whole_array(path, (len(rows), *source.shape[1:]), source.dtype) as array:
        for start in range(0, len(rows), 1024):
            array[start : start + 1024] = source[rows[start : start + 1024]]


def _key(files: Sequence[Path], size: int, channels: int) -> str:
    def identity(file: Path) -> bytes:
        place = os.path.realpath(file)
        try:
            state = os.stat(place)
        except OSError:  # a link that leads nowhere
            return os.fsencode(f"{place}|absent")
        return os.fsencode(f"{place}|{state.st_size}|{state.st_mtime_ns}")  # names need not be text

    return fingerprint(f"{_FORMAT}|{size}|{channels}", *map(identity, files))


def _cached(path: Path, shape: tuple[int, ...]) -> np.ndarray | None:
    try:
        array = map_array(path)
    except (OSError, ValueError, EOFError):  # absent, or cut short by something that copied the cache
        return None
    return array if array.shape == shape and array.dtype == np.uint8 else None


def _note(path: Path, flaws: Mapping[int, Flaw]) -> None:
    if all(one.kind != CLOSED for one in flaws.values()):  # which may pass without a trace in the file's size and time
        write_text(path, json.dumps({index: asdict(one) for index, one in flaws.items()}))


def _noted(path: Path) -> dict[int, Flaw]:
    try:
        return {int(index): Flaw(**one) for index, one in json.loads(path.read_text(encoding="utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _decode(files: Sequence[Path], size: int, channels: int, array: np.ndarray) -> dict[int, Flaw]:
    """Fill the rows of the files that can be taken; what keeps the others from it, by index in ascending order."""
    flaws: dict[int, Flaw] = {}

    def chunk(start: int) -> int:
        for index, file in enumerate(files[start : start + _CHUNK], start):
            try:
                array[index] = read_picture(file, size, channels)
            except InputError as error:
                flaws[index] = flaw(file, error)
        return min(_CHUNK, len(files) - start)

    pool = ThreadPoolExecutor(os.cpu_count())  # Pillow decodes and resizes outside the interpreter's lock
    try:
        with progress("decoding images", len(files)) as advance:
            for future in as_completed([pool.submit(chunk, start) for start in range(0, len(files), _CHUNK)]):
                advance(future.result())
    finally:
        pool.shutdown(cancel_futures=True)
    return dict(sorted(flaws.items()))
