"""What a command is told: options that many commands share, and commands made of lists of them."""

from __future__ import annotations

import functools
import inspect
import re
import typing
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from gradaudit.cli import _options as shared

if TYPE_CHECKING:
    from pydantic import BaseModel

Word = inspect.Parameter
REQUIRED = Word.empty
ARGUMENT = re.compile(r"^    (\w+): (.*)$")  # of a docstring


def word(name: str, kind: Any, default: Any) -> Word:
    """An option of a command."""
    return Word(name, Word.KEYWORD_ONLY, default=default, annotation=kind)


def out(default: str, what: str) -> Word:
    """The folder to write to."""
    return word("out", Annotated[Path, typer.Option(help=f"Folder for {what}.")], Path(default))


TRAIN_IMAGES = word("train_images", shared.TrainImages, None)
IMAGES = (
    word("test_images", shared.TestImages, None),
    word("data_dir", shared.Folder, None),
    word("on_error", shared.OnImageError, shared.OnError.raises),
)
STORE = word("store", shared.StoreFolder, None)
CREW = (
    word("workers", shared.Workers, "auto"),
    word("backend", shared.Backend, "local"),
    word("address", shared.Address, None),
)
MEMORY = word("memory", shared.Memory, None)
DEVICE, SEED = word("device", shared.Device, "auto"), word("seed", shared.Seed, 0)
JSON = word("as_json", shared.AsJson, False)
DRY_RUN = word(
    "dry_run", Annotated[bool, typer.Option("--dry-run", help="Only say what would be done, and how long it takes.")], False
)


def told(*words: Word) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Give a command's function, which takes the rest as keyword arguments, these options after its own."""

    def dress(function: Callable[..., None]) -> Callable[..., None]:
        hints = typing.get_type_hints(function, include_extras=True)
        own = [one for one in inspect.signature(function).parameters.values() if one.kind is not Word.VAR_KEYWORD]
        every = [*(one.replace(annotation=hints[one.name], kind=Word.KEYWORD_ONLY) for one in own), *words]

        @functools.wraps(function)
        def command(**given: Any) -> None:
            function(**given)

        command.__signature__ = inspect.Signature(every)  # type: ignore[attr-defined]
        command.__annotations__ = {one.name: one.annotation for one in every}
        return command

    return dress


def recipe_words(model: type[BaseModel], *without: str) -> tuple[Word, ...]:
    """An option for each field of a recipe, helped by its docstring; one that is not given leaves the recipe's."""
    helped = _arguments(inspect.getdoc(model) or "")
    return tuple(
        word(name, Annotated[_plain(field.annotation) | None, typer.Option(help=helped.get(name, ""))], None)
        for name, field in model.model_fields.items()
        if name not in without
    )


def fields_given(model: type[BaseModel], words: dict[str, Any]) -> dict[str, Any]:
    """Those fields of a recipe that a command was told."""
    return {name: words[name] for name in model.model_fields if words.get(name) is not None}


def _plain(kind: Any) -> Any:
    return kind if kind in (int, float) else str


def _arguments(text: str) -> dict[str, str]:
    """What a docstring says of each argument, as sentences."""
    found: dict[str, list[str]] = {}
    name = ""
    for line in text.partition("Args:\n")[2].split("\n\n")[0].splitlines():
        if start := ARGUMENT.match(line):
            name = start[1]
        found.setdefault(name, []).append(start[2] if start else line.strip())
    joined = {name: " ".join(parts) for name, parts in found.items()}
    return {name: text[:1].upper() + text[1:] for name, text in joined.items()}


def images_told(data: str, words: Any) -> tuple[Any, Any]:
    """The training and the test images that a command was told."""
    counts = (words.get("train_images"), words.get("test_images"))
    return shared.images(data, words["data_dir"], words["seed"], *counts, words["on_error"])
