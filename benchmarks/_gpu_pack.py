"""What a run on a GPU has made, as few files of limited size; and back again for a later run. Needs nothing but Python."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Iterable
from pathlib import Path

FILES, FILE_LIMIT, LIMIT = 8, 16 * 10**6, 64 * 10**6  # bytes
RESULTS, WEIGHTS = "results.zip", "weights-{}.zip"
SUFFIX = ".safetensors"  # of weights
ROOM = 1000  # bytes of a zip file that no file in it accounts for, and as many for each of its files


def pack(made: Path, out: Path, texts: dict[str, str]) -> list[str]:
    """Write all that was made to `out`, each file whole or not at all, and delete there what an earlier packing had more.

    Args:
        made: a folder.
        out: gets the texts, `results.zip`, and the weights as `weights-1.zip` and so on.
        texts: by the name of their file; they have room in any case.

    Returns:
        What was left out, for want of room.
    """
    out.mkdir(parents=True, exist_ok=True)
    paths = sorted((path for path in made.rglob("*") if path.is_file()), key=lambda path: (path.stat().st_size, str(path)))
    others, weights = ([path for path in paths if (path.suffix == SUFFIX) == right] for right in (False, True))
    left = LIMIT - sum(len(text.encode()) for text in texts.values())
    bins, left_out = filled(others, 1, min(FILE_LIMIT, left))
    left -= sum(weight(path) for path in bins[0]) + ROOM if bins else 0
    boxes, too_many = filled(sorted(weights, key=lambda path: path.stat().st_mtime), FILES - len(texts) - 1, left)
    written = {RESULTS: bins[0]} if bins else {}
    written |= {WEIGHTS.format(number): box for number, box in enumerate(boxes, 1)}
    for name, files in written.items():
        replace(out / name, zipped(made, files))
    for name, text in texts.items():
        replace(out / name, text.encode())
    for path in [*out.glob(WEIGHTS.format("*")), out / RESULTS]:
        if path.name not in written:
            path.unlink(missing_ok=True)
    return [str(path.relative_to(made)) for path in (*left_out, *too_many)]


def filled(paths: Iterable[Path], boxes: int, room: int) -> tuple[list[list[Path]], list[Path]]:
    """The files in as many boxes as are needed of those there are, each in the first that takes it; and those that none takes."""
    found: list[list[Path]] = []
    sizes: list[int] = []
    left_out = []
    for path in paths:
        size = weight(path)
        place = next((number for number, taken in enumerate(sizes) if taken + size <= FILE_LIMIT), len(sizes))
        needed = size + (ROOM if place == len(sizes) else 0)
        if place >= boxes or needed > room or size + ROOM > FILE_LIMIT:
            left_out.append(path)
            continue
        if place == len(sizes):
            found.append([])
            sizes.append(ROOM)
        found[place].append(path)
        sizes[place] += size
        room -= needed
    return found, left_out


def weight(path: Path) -> int:
    """Bytes that the file takes in a zip file, at the most."""
    return path.stat().st_size + ROOM


def zipped(folder: Path, paths: Iterable[Path]) -> bytes:
    """The files by their names within the folder. Weights don't shrink, so they are stored as they are."""
    memory = io.BytesIO()
    with zipfile.ZipFile(memory, "w") as file:
        for path in paths:
            kind = zipfile.ZIP_STORED if path.suffix in (SUFFIX, ".png") else zipfile.ZIP_DEFLATED
            file.write(path, str(path.relative_to(folder)), kind)
    return memory.getvalue()


def replace(path: Path, data: bytes) -> None:
    """Write the file, whole or not at all."""
    beside = path.with_name(f"{path.name}.part")
    try:
        beside.write_bytes(data)
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def unpack(out: Path, made: Path) -> int:
    """What an earlier run packed, where it is not there any more; how many files that are."""
    count = 0
    for path in [*out.glob(WEIGHTS.format("*")), *out.glob(RESULTS)]:
        with zipfile.ZipFile(path) as file:
            for name in file.namelist():
                if not (made / name).exists():
                    file.extract(name, made)
                    count += 1
    return count
