"""Denoisers that gradaudit trained, each one file that describes itself."""

from __future__ import annotations

from pathlib import Path

from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.trained import FORMAT, read_denoiser
from gradaudit.errors import InputError, require


def trained(file: str) -> Denoiser:
    """The denoiser in a `.safetensors` file that gradaudit's own training wrote.

    Raises:
        InputError: the file can't be read, or is another's.
    """
    require(is_trained(file), "source", str(file), f'a file whose metadata has "format": "{FORMAT}"')
    return read_denoiser(file)


def is_trained(file: str) -> bool:
    """Whether gradaudit's training wrote this `.safetensors` file, by its header alone.

    Raises:
        InputError: there is no such file, or it is damaged.
    """
    from safetensors import SafetensorError, safe_open

    require(Path(file).is_file(), "source", str(file), "a file that exists")
    try:
        with safe_open(file, framework="pt") as opened:
            return (opened.metadata() or {}).get("format") == FORMAT
    except (SafetensorError, OSError) as error:
        raise InputError("source", str(file), f"a readable .safetensors file ({error})") from error
