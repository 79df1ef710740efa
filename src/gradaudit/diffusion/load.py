"""A denoiser from a file, a folder, the zoo, another library, or a user's own function."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import torch

from gradaudit.devices import resolve_device
from gradaudit.diffusion.adapters import ADAPTERS
from gradaudit.diffusion.adapters.own import own
from gradaudit.diffusion.adapters.trained import is_trained
from gradaudit.diffusion.denoiser import Denoise, Denoiser
from gradaudit.errors import InputError, require
from gradaudit.registry import Spec, parse_spec

DenoiserLike = str | os.PathLike[str] | Spec | Denoise | Denoiser
SUFFIXES = {".pkl": "edm_pickle", ".pt": "adm", ".pth": "adm", ".ckpt": "adm"}


def load_denoiser(
    source: DenoiserLike,
    *,
    allow_pickle: bool = False,
    device: str | torch.device | None = None,
    **options: Any,
) -> Denoiser:
    """A denoiser in evaluation mode, of images in [0, 1].

    Args:
        source: one of

            - "zoo:NAME", one that comes with the package;
            - a `.safetensors` file that gradaudit's training wrote;
            - a folder that diffusers' `save_pretrained` wrote, or "hub:ORGANISATION/NAME" on the Hugging Face hub;
            - a checkpoint of OpenAI's guided-diffusion, `.pt` or `.safetensors`;
            - a pickle of NVIDIA's EDM, `.pkl`, with `allow_pickle`;
            - a user's own as "package.module:name": a function `(noisy, sigma, labels) -> denoised`, or a factory, called with
              nothing, that makes one or a `Denoiser`; or the function itself.

            Text may have options, as in "hub:google/ddpm-cifar10-32(revision=main)", and "ADAPTER:PATH" decides who reads it.
        allow_pickle: let a file run the code that it carries. Only for files whose author you trust.
        device: where to put it; None for the CPU, and a function or `Denoiser` that was given stays where it is.
        options: of the adapter in `gradaudit.diffusion.adapters`, such as `null_class`, `schedule` or `num_head_channels`.

    Raises:
        InputError: an unknown source or option; a file that can't be read, is another's, or is a pickle.
        MissingExtraError: a package that it needs is not installed.
    """
    place = None if device is None else resolve_device(device)
    adapter, location, written = _resolved(source)
    twice = sorted(written.keys() & options.keys())
    require(not twice, "source", str(source), f"given each option once; twice here: {', '.join(twice)}")
    chosen = Spec(adapter, written | options)
    found: Denoiser = ADAPTERS.bind("source", chosen, allow_pickle=allow_pickle)(location)
    return (found if place is None else found.to(place)).eval()


def _resolved(source: Any) -> tuple[str, Any, dict[str, Any]]:
    """The adapter's name, what it is to read, and the options that the text has."""
    if isinstance(source, os.PathLike):
        return _by_path(Path(source)), os.fspath(source), {}
    if callable(source):
        return own.__name__, source, {}
    if isinstance(source, str) and Path(source).exists() and source:
        return _by_path(Path(source)), source, {}
    spec = parse_spec("source", source)
    require(not spec.positional, "source", str(spec), "given options by name")
    adapter, colon, location = spec.name.partition(":")
    if colon and adapter in ADAPTERS.names():
        return adapter, location, spec.options
    return (own.__name__ if colon else _by_path(Path(spec.name))), spec.name, spec.options


def _by_path(path: Path) -> str:
    if path.is_dir():
        return "diffusers"
    if path.suffix == ".safetensors":
        return "trained" if is_trained(str(path)) else "adm"
    if path.suffix in SUFFIXES:
        return SUFFIXES[path.suffix]
    known = ", ".join((".safetensors", *SUFFIXES))
    expected = (
        f"a folder or file that exists ({known}), one of {', '.join(f'{name}:' for name in ADAPTERS.names())}, or module:function"
    )
    raise InputError("source", str(path), expected)
