"""Denoisers that come with the package."""

from __future__ import annotations

from gradaudit.diffusion.adapters.trained import trained
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.zoo import zoo_file


def zoo(name: str) -> Denoiser:
    """The packaged denoiser of that name.

    Raises:
        InputError: there is none; lists the names that exist.
    """
    return trained(str(zoo_file("source", "denoisers", name)))
