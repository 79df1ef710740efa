"""`load_images`: the one door through which images enter."""

from __future__ import annotations

import functools
import inspect
import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from gradaudit.datasets.flaws import OnError
from gradaudit.datasets.held import held_by
from gradaudit.errors import InputError, require, require_whole
from gradaudit.images import ImageSet
from gradaudit.registry import Registry, Spec, parse_spec

SOURCES = Registry("gradaudit.datasets.sources", "data set")
LIBRARIES = Registry("gradaudit.datasets.libraries", "library")

_ARGUMENT = "name_or_path"


def load_images(
    name_or_path: str | os.PathLike[str] | Mapping[str, Any] | Spec,
    *,
    folder: str | os.PathLike[str] | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    **options: Any,
) -> tuple[ImageSet, ImageSet]:
    """The training and the test images of a data set.

    Args:
        name_or_path: a name (`"mnist5k"`, see `data_sets()`), a spec with options (`"folder(size=64)"`), a path to a folder of
            class folders, of idx files or of CIFAR's or SVHN's, or to an `.npz`, `"torchvision:MNIST"`,
            `"huggingface:ylecun/mnist"`, or `"package.module:function"` for a function of your own that returns (train, test).
            A registered name goes before a folder of the same name; `"./mnist"` is the folder.
        folder: where the data set's files are; by default the environment variable `GRADAUDIT_DATA`, else `data`.
        seed: decides random splits; at least 0.
        on_error: what becomes of image files in class folders that can't be taken: `"raise"` names all of them in one error,
            `"skip"` leaves them out, with a warning.
        options: the data set's own.

    Raises:
        InputError: no such data set or option, absent or damaged files; names the file.
        MissingExtraError: the library of `library:name` is not installed.
    """
    require_whole("seed", seed)
    require(on_error in ("raise", "skip"), "on_error", on_error, '"raise" or "skip"')
    spec = _spec(name_or_path)
    spec = Spec(spec.name, spec.options | options, spec.positional)
    given: dict[str, Any] = {"seed": seed, "on_error": on_error} | ({} if folder is None else {"folder": Path(folder)})
    return _checked(spec, _function(spec, given)())


def _spec(source: str | os.PathLike[str] | Mapping[str, Any] | Spec) -> Spec:
    if isinstance(source, os.PathLike):
        return _path_spec(Spec(os.fspath(source)))
    if isinstance(source, str) and source not in _names() and _exists(source):  # before a bracket in it is taken for options
        return _path_spec(Spec(source))
    remote = isinstance(source, str) and re.match(r"\w+://", source) is not None
    require(not remote, _ARGUMENT, source, "a path on this machine, or the name of a data set: fetch the files first")
    spec = parse_spec(_ARGUMENT, source)
    return _path_spec(spec) if _is_path(spec.name) else spec


def _names() -> set[str]:
    return set(SOURCES.names()) | {name.replace("_", "-") for name in SOURCES.names()}


def _is_path(name: str) -> bool:
    if name in _names():
        return False
    rooted = name.startswith("~") or re.match(r"[A-Za-z]:[\\/]", name) is not None
    return _exists(name) or name.endswith(".npz") or rooted or (os.sep in name and ":" not in name)


def _exists(path: str) -> bool:
    return os.path.exists(os.path.expanduser(path))


def _path_spec(spec: Spec) -> Spec:
    path = os.path.expanduser(spec.name)
    require(os.path.exists(path), _ARGUMENT, path, "a path that exists, or the name of a data set")
    require(not spec.positional, _ARGUMENT, str(spec), "a path with options by name, such as size=64")
    name, option, place = held_by(Path(path))
    return Spec(name, {option: str(place)} | spec.options)


def _function(spec: Spec, given: dict[str, Any]) -> Callable[[], Any]:
    library, _, name = spec.name.partition(":")
    if library in LIBRARIES.names() and name:
        del given["on_error"]  # which is about files
        return functools.partial(LIBRARIES.function(_ARGUMENT, library), name, **(given | spec.options))
    function = SOURCES.bind(_ARGUMENT, spec, **given)
    try:
        inspect.signature(function).bind()
    except TypeError as error:
        raise InputError(_ARGUMENT, str(spec), f"given all that the function needs, as keyword-only options ({error})") from error
    return function


def _checked(spec: Spec, found: Any) -> tuple[ImageSet, ImageSet]:
    pair = isinstance(found, tuple) and len(found) == 2 and all(isinstance(part, ImageSet) for part in found)
    require(pair, _ARGUMENT, spec.name, f"a function that returns (train, test), two ImageSets; it returned {found!r:.200}")
    train, test = found
    for name, one, other in (("shape", train.shape, test.shape), ("classes", train.classes, test.classes)):
        expected = f"a data set whose training and test images agree in {name}; these have {one} and {other}"
        require(one == other, _ARGUMENT, spec.name, expected)
    return train, test
