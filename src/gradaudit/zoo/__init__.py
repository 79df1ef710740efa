"""Classifiers and denoisers that come with the package; `benchmarks/zoo.py` makes them again."""

from __future__ import annotations

from pathlib import Path

from gradaudit.errors import InputError

FOLDER = Path(__file__).parent
PREFIX, SUFFIX = "zoo:", ".safetensors"


def zoo_names(kind: str) -> list[str]:
    """The names of what is packaged of a kind, `"classifiers"` or `"denoisers"`."""
    folder = FOLDER / kind
    return sorted(path.relative_to(folder).with_suffix("").as_posix() for path in folder.rglob(f"*{SUFFIX}"))


def zoo_file(argument: str, kind: str, name: str) -> Path:
    """The file of the packaged classifier or denoiser of that name, with or without `zoo:` before it.

    Raises:
        InputError: there is none; names `argument` and lists the names that exist.
    """
    known, wanted = zoo_names(kind), name.removeprefix(PREFIX)
    if wanted not in known:
        listing = ", ".join(PREFIX + one for one in known) or "none in this version"
        raise InputError(argument, PREFIX + wanted, f"one of the packaged {kind}: {listing}")
    return FOLDER / kind / f"{wanted}{SUFFIX}"
