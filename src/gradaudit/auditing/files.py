"""An audit as a file: TOML with what is audited, on what, and how."""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from torch import nn

from gradaudit.classifiers import classifier_metadata, load_classifier
from gradaudit.classifiers.checkpoints import FOREIGN, SUFFIXES
from gradaudit.datasets.flaws import OnError
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.registry import parse_spec
from gradaudit.training import Recipe
from gradaudit.zoo import PREFIX, zoo_file

LOADING = ("weights", "normalisation", "allow_pickle")
KEYS = {"classes", "data", "data_dir", "on_error", "preset", "seed", "denoiser", "robust", "classifiers", "oracles", "on_blocks"}


@dataclass(frozen=True)
class Request:
    """What a user asks for, as text; options of instruments as the preset has them.

    Args:
        classifiers: for each name what `read_classifier` takes.
        data: a data set.
        preset: the preset's name.
        seed: every random draw comes from it.
        denoiser: what `load_denoiser` takes, or None.
        robust: what `read_classifier` takes, or None.
        oracles: as `classifiers`.
        on_blocks: as `classifiers`, trained alike on blocks of such images.
        data_dir: where the data sets' files lie.
        on_error: what becomes of image files that can't be taken, as `load_images` has it.
        classes: the names of the classes in the order of the classifiers' outputs; as the data set has them where None.
        options: changes of the preset.
    """

    classifiers: Mapping[str, Any]
    data: str
    preset: str = "standard"
    seed: int = 0
    denoiser: str | None = None
    robust: Any = None
    oracles: Mapping[str, Any] = field(default_factory=dict)
    on_blocks: Mapping[str, Any] = field(default_factory=dict)
    data_dir: Path | None = None
    on_error: OnError = "raise"
    classes: Sequence[str] | None = None
    options: Mapping[str, Any] = field(default_factory=dict)


def read_request(path: str | os.PathLike[str], instruments: set[str]) -> Request:
    """The audit that a TOML file asks for; paths in it are relative to the working folder.

    Raises:
        InputError: the file can't be read, or has keys that mean nothing.
    """
    try:
        data = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("audit", str(path), f"a readable TOML file ({error})") from error
    options = {key: data.pop(key) for key in [*data] if key in instruments | {"train_images", "test_images"}}
    unknown = sorted(data.keys() - KEYS)
    require(
        not unknown, "audit", ", ".join(unknown), f"keys from: {', '.join(sorted(KEYS | instruments))}, train_images, test_images"
    )
    for key in ("classifiers", "data"):
        require(key in data, "audit", str(path), f"a file with {key!r}")
    for key in ("classifiers", "oracles", "on_blocks"):
        require(isinstance(data.get(key, {}), dict), key, data.get(key), 'a table, such as standard = "zoo:mnist/standard"')
    named = data.get("classes")
    require(named is None or isinstance(named, list), "classes", named, 'a list of class names, such as ["dog", "cat"]')
    folder = data.pop("data_dir", None)
    return Request(**data, options=options, data_dir=None if folder is None else Path(folder))


def read_classifier(argument: str, value: Any, like: ImageSet) -> tuple[nn.Module, Recipe | None]:
    """The classifier and, where its file says so, the recipe that made it.

    Args:
        argument: for errors.
        value: a name, file or `package.module:model` as `load_classifier` takes it; a network's spec may carry `weights`,
            `normalisation` and `allow_pickle` among its options, and a mapping has the classifier under `classifier` beside these.
        like: images that it takes.

    Raises:
        InputError: as `load_classifier`.
    """
    spec, loading = _parts(argument, value)
    try:
        found = load_classifier(spec, input_shape=like.shape, classes=len(like.classes), **loading)
    except InputError as error:
        raise InputError(argument, value, f"a classifier that can be loaded ({error}){_hint(spec)}") from error
    return found, _recipe(spec)


def _hint(spec: Any) -> str:
    """What usually is meant by a classifier that can't be loaded; empty where nothing is known of it."""
    if not isinstance(spec, str):
        return ""
    if spec.endswith(FOREIGN):
        return ". Weights of another framework need a function that makes the module of them, given as my_file:my_function"
    if ".py:" in spec:
        return f". A module is named without .py: {spec.replace('.py:', ':').replace('/', '.')}"
    return (
        f". Here that is written NETWORK(weights='{spec}'), or my_file:MyNetwork(weights='{spec}')"
        if spec.endswith(SUFFIXES)
        else ""
    )


def _parts(argument: str, value: Any) -> tuple[Any, dict[str, Any]]:
    if isinstance(value, Mapping):
        require("classifier" in value, argument, dict(value), 'a table with "classifier", and perhaps weights and normalisation')
        rest = {key: one for key, one in value.items() if key != "classifier"}
        unknown = sorted(rest.keys() - {*LOADING})
        require(not unknown, argument, ", ".join(unknown), f"only {', '.join(LOADING)} beside classifier")
        return value["classifier"], rest
    require(isinstance(value, str) and value != "", argument, value, "a name, a file or package.module:model")
    if "(" not in value or Path(value).exists():
        return value, {}
    found = parse_spec(argument, value)
    loading = {key: one for key, one in found.options.items() if key in LOADING}
    return {"name": found.name} | {key: one for key, one in found.options.items() if key not in LOADING}, loading


def _recipe(spec: Any) -> Recipe | None:
    """The recipe in a file of ours."""
    if not isinstance(spec, str) or not (spec.startswith(PREFIX) or spec.endswith(".safetensors")):
        return None
    path = zoo_file("classifier", "classifiers", spec) if spec.startswith(PREFIX) else Path(spec)
    try:
        kept = classifier_metadata(path)["metadata"].get("recipe")
    except InputError:
        return None  # somebody else's file
    return None if kept is None else Recipe(**kept)
