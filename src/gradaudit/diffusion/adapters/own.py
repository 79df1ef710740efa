"""A user's own denoiser: a function, a module, or a factory of one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from torch import nn

from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError, require
from gradaudit.registry import imported


def own(source: Any, *, shape: tuple[int, int, int] | None = None, classes: int = 0) -> Denoiser:
    """The user's denoiser.

    Args:
        source: a `Denoiser`; a function or module `(noisy, sigma, labels) -> denoised` of images in [0, 1], as `Denoiser` takes
            it; a factory, called with nothing, that makes either; or one of these as "package.module:name".
        shape: (C, H, W) of its images, where a function doesn't say it itself.
        classes: the number of classes, likewise.

    Raises:
        InputError: it can't be imported, or is none of these; or `shape` or `classes` are given for a `Denoiser`.
    """
    found = imported("source", source) if isinstance(source, str) else source
    made = _called(found, source) if _is_factory(found) else found
    if isinstance(made, Denoiser):
        require(shape is None, "shape", shape, "left out: a Denoiser has its own")
        require(classes == 0, "classes", classes, "left out: a Denoiser has its own")
        return made
    if not callable(made):
        raise InputError("source", source, f"a function (noisy, sigma, labels) or a factory of a Denoiser; it is a {_kind(made)}")
    name = source if isinstance(source, str) else getattr(made, "__qualname__", _kind(made))
    return Denoiser(made, shape=shape, classes=classes, description={"adapter": "own", "source": name})


def _is_factory(found: object) -> bool:
    """Whether it is called without arguments; a denoiser takes three."""
    if not callable(found) or isinstance(found, nn.Module):
        return False
    return isinstance(found, type) or not _takes_some(found)


def _called(factory: Callable[[], object], source: Any) -> object:
    try:
        return factory()
    except TypeError as error:
        raise InputError("source", source, f"a factory that can be called with nothing ({error})") from error


def _takes_some(function: Callable[..., object]) -> bool:
    try:
        words = inspect.signature(function).parameters.values()
    except ValueError:  # a function written in C may have no signature
        return True
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    some = any(word.kind in positional and word.default is word.empty for word in words)
    return some or any(word.kind is inspect.Parameter.VAR_POSITIONAL for word in words)


def _kind(made: object) -> str:
    return type(made).__name__
