"""Recipes by name, such as `"mnist/l2-2"`, from the files in `recipes/`."""

from __future__ import annotations

import difflib
import tomllib
from functools import cache
from importlib.resources import files
from typing import Any

from gradaudit.errors import InputError, require
from gradaudit.training import recipes
from gradaudit.training.recipe import Recipe


def named_recipe(name: str, **overrides: Any) -> Recipe:
    """The recipe of that name, with some fields changed.

    Args:
        name: data set and training, such as `"mnist/l2-2"`; see `recipe_summaries`.
        overrides: fields of a `Recipe`, such as `epochs=3`.

    Raises:
        InputError: there is no such recipe; or a field that a recipe lacks, or out of its range.
    """
    require(isinstance(name, str), "recipe", name, 'a name such as "mnist/l2-2"')
    if name not in _all():
        close = difflib.get_close_matches(name, _all(), n=1)
        hint = f" (did you mean {close[0]!r}?)" if close else ""
        raise InputError("recipe", name, f"the name of a recipe: {', '.join(_all())}{hint}")
    fields = {key: value for key, value in _all()[name].items() if key != "about"}
    return Recipe(**(fields | overrides))


def recipe_summaries() -> dict[str, str]:
    """Every recipe by name, with what it is for in one line."""
    return {name: str(fields["about"]) for name, fields in _all().items()}


@cache
def _all() -> dict[str, dict[str, Any]]:
    found = {}
    for file in sorted(files(recipes).iterdir(), key=lambda file: file.name):
        if file.name.endswith(".toml"):
            read = tomllib.loads(file.read_text(encoding="utf-8"))
            common = {key: value for key, value in read.items() if not isinstance(value, dict)}
            for name, fields in read.items():
                if isinstance(fields, dict):
                    found[f"{file.name.removesuffix('.toml')}/{name}"] = common | fields
    return found
