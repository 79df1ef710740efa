"""The other libraries' networks, found by the library's name."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gradaudit.classifiers.libraries._network import Asked, LibraryNetwork
from gradaudit.errors import InputError, MissingExtraError, first_line, require
from gradaudit.registry import Registry, Spec

LIBRARIES = Registry("gradaudit.classifiers.libraries", "library")
FOLDERS = ("transformers:", "timm:local-dir:")  # whose names are folders with weights in them
SAFE = "TORCH_FORCE_WEIGHTS_ONLY_LOAD"


def names_library(spec: Spec) -> bool:
    """Whether the spec names a network of another library."""
    library, colon, _ = spec.name.partition(":")
    return bool(colon) and library in LIBRARIES.names()


def brings_weights(spec: Spec) -> bool:
    """Whether the spec asks for weights that come with the name: those that the library publishes, or a folder's."""
    return names_library(spec) and (spec.options.get("pretrained") is True or spec.name.startswith(FOLDERS))


def library_network(
    spec: Spec,
    input_shape: tuple[int, int, int] | None,
    classes: int | None,
    argument: str = "network",
    *,
    pretrained: bool = False,
    weights: str | os.PathLike[str] | None = None,
    allow_pickle: bool = False,
) -> LibraryNetwork:
    """The library's network with what the library says of it.

    With the weights that come with its name, it keeps the channels and classes that it was trained for; another gets those of
    `input_shape` and `classes`. Other options go to the library as they are.

    Args:
        spec: `library:name`.
        input_shape: (C, H, W) of an image; None for the library's own.
        classes: their number; None for the library's own.
        argument: the word for the network in errors.
        pretrained: with the weights that come with the name.
        weights: the file that will be loaded into it.
        allow_pickle: let a file that is not of tensors alone run the code that it carries.

    Raises:
        InputError: the library does not know the name or an option, can't read or download the weights, or the network takes
            images of another number of channels.
        MissingExtraError: the library is not installed.
    """
    library, _, name = spec.name.partition(":")
    require(bool(name), argument, str(spec), f"given with a name, as {library}:NAME")
    # Numbers only: a text option could be a path or an address that the library would load from.
    plain = not spec.positional and all(isinstance(value, bool | int | float) for value in spec.options.values())
    require(plain, argument, str(spec), "given options by name that are numbers, true or false")
    options = {key: value for key, value in spec.options.items() if key != "pretrained"}
    asked = Asked(pretrained, input_shape, classes, "" if weights is None else os.fspath(weights), options, allow_pickle)
    make = LIBRARIES.function(argument, library)
    try:
        with tensors_alone(not allow_pickle):
            found: LibraryNetwork = make(name, asked)
    except InputError as error:
        raise InputError(argument, str(spec), str(error).partition(" must be ")[2]) from error.__cause__
    except MissingExtraError:
        raise
    except (OSError, RuntimeError, ValueError, TypeError, pickle.UnpicklingError) as error:
        # No connection, an unknown name, an unknown option, a file that is not of tensors alone.
        raise InputError(argument, str(spec), f"a network that {library} can build ({first_line(error)})") from error
    if input_shape is not None:
        expected = f"of {found.channels} channels, which {spec.name} takes"
        require(input_shape[0] == found.channels, "input_shape", input_shape, expected)
    return found


@contextmanager
def tensors_alone(wanted: bool = True) -> Iterator[None]:
    """Whatever a library unpickles inside, it is tensors; torchvision would run what code a downloaded file carries."""
    before: Mapping[str, Any] = {SAFE: os.environ[SAFE]} if SAFE in os.environ else {}
    try:
        if wanted:
            os.environ[SAFE] = "1"
        yield
    finally:
        os.environ.pop(SAFE, None)
        os.environ.update(before)
