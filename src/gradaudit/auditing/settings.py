"""What an audit does: a preset, and what the user changes of it."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Mapping, Set
from dataclasses import dataclass
from importlib.resources import files
from typing import Any

from gradaudit.auditing import presets
from gradaudit.errors import InputError, is_whole, require
from gradaudit.instruments.contract import about, audited
from gradaudit.options import Options


@dataclass(frozen=True)
class Settings:
    """What an audit does.

    Args:
        train_images: training images used, drawn stratified; None for all.
        test_images: test images used, likewise.
        options: for each instrument's name what the preset and the user say of it; None where it is switched off. One that must be
            asked for is not there where nobody does.
        chosen: the same as records, with all that nobody said.
    """

    train_images: int | None
    test_images: int | None
    options: dict[str, dict[str, Any] | None]
    chosen: dict[str, Options | None]


def preset_names() -> tuple[str, ...]:
    """The names of the presets."""
    found = (file.name.removesuffix(".toml") for file in files(presets).iterdir() if file.name.endswith(".toml"))
    return tuple(sorted(found))


def read_preset(name: str) -> dict[str, Any]:
    """The preset's file.

    Raises:
        InputError: there is no such preset.
    """
    known = preset_names()
    require(name in known, "preset", name, f"one of {', '.join(known)}")
    return tomllib.loads((files(presets) / f"{name}.toml").read_text(encoding="utf-8"))


def resolve_settings(preset: str, changes: Mapping[str, Any]) -> Settings:
    """The preset with the user's changes.

    Args:
        preset: its name.
        changes: for an instrument's name the options to change, or False to leave it out; `train_images` and `test_images`.

    Raises:
        InputError: an unknown preset, instrument or option, or a value that an option does not take.
    """
    base, takes = read_preset(preset), {name: about(name).settable for name in audited()}
    for name in changes:
        _known("options", name, {*takes, "train_images", "test_images"}, "an instrument, train_images or test_images")
    counts = {name: _count(name, changes.get(name, base.get(name))) for name in ("train_images", "test_images")}
    options: dict[str, dict[str, Any] | None] = {}
    for name, allowed in takes.items():
        change = changes.get(name, {})
        if about(name).asked_for and name not in {*base, *changes}:
            continue
        require(isinstance(change, (Mapping, bool)), name, change, "a table of options, or false to leave the instrument out")
        given = {**base.get(name, {}), **(change if isinstance(change, Mapping) else {})}
        for option in given:
            _known(name, option, allowed, f"an option of {name}: {', '.join(sorted(allowed))}")
        options[name] = None if change is False else given
    chosen = {name: None if given is None else _record(name, given) for name, given in options.items()}
    return Settings(counts["train_images"], counts["test_images"], options, chosen)


def _record(name: str, given: Mapping[str, Any]) -> Options:
    model = about(name).audited
    assert model is not None
    try:
        return model(**given)
    except InputError as error:
        raise error.within(name) from None


def _known(argument: str, name: str, known: Set[str], expected: str) -> None:
    if name not in known:
        close = difflib.get_close_matches(name, known, n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError(argument, name, expected + hint)


def _count(argument: str, value: Any) -> int | None:
    good = value is None or (is_whole(value) and value > 0)
    require(good, argument, value, "a whole number above 0; left out for all images")
    return value if value is None else int(value)
