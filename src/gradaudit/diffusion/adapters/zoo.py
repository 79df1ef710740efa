"""Denoisers that come with the package."""

from __future__ import annotations

from importlib.resources import as_file, files
from importlib.resources.abc import Traversable

from gradaudit.diffusion.adapters.trained import trained
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError

PACKAGE = "gradaudit.zoo"
SUFFIX = ".safetensors"


def zoo(name: str) -> Denoiser:
    """The packaged denoiser of that name.

    Raises:
        InputError: there is none; lists the names that exist.
    """
    entries = packaged()
    if name not in entries:
        listing = ", ".join(sorted(entries)) or "none in this version"
        raise InputError("source", f"zoo:{name}", f"the name of a packaged denoiser: {listing}")
    with as_file(entries[name]) as path:
        return trained(str(path))


def packaged() -> dict[str, Traversable]:
    """The files of the packaged denoisers, by name."""
    try:
        folder = files(PACKAGE) / "denoisers"
        found = list(folder.iterdir()) if folder.is_dir() else []
    except ModuleNotFoundError:
        return {}
    return {entry.name.removesuffix(SUFFIX): entry for entry in found if entry.name.endswith(SUFFIX)}
