"""`gradaudit data`, `networks`, `attributions`, `objectives` and `recipes`: what there is by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

import typer
from rich.table import Table

from gradaudit.cli._options import AsJson, Folder, OnError, OnImageError, Seed, images
from gradaudit.cli._output import console
from gradaudit.errors import InputError


def data(
    name: Annotated[str | None, typer.Argument(help="Describe this data set; list all unless given.")] = None,
    data_dir: Folder = None,
    on_error: OnImageError = OnError.raises,
    seed: Seed = 0,
    as_json: AsJson = False,
) -> None:
    """List the data sets, or describe one: sizes, classes, mean, fingerprint."""
    from gradaudit.datasets import data_sets, describe_images

    if name is None:
        _print_names("data set", data_sets(), as_json)
        return
    training, testing = images(name, data_dir, seed, None, None, on_error)
    described = {"train": describe_images(training), "test": describe_images(testing)}
    if as_json:
        print(json.dumps(described))
        return
    table = Table(title=name)
    for column in ("", "train", "test"):
        table.add_column(column, overflow="fold")
    for key in described["train"]:
        table.add_row(key, *(_spell(described[part][key]) for part in ("train", "test")))
    console().print(table)


def networks(
    shape: Annotated[str, typer.Option(help="Channels x height x width of the images.")] = "1x28x28",
    classes: Annotated[int, typer.Option(help="Number of classes.")] = 10,
    as_json: AsJson = False,
) -> None:
    """List the networks that can be trained, audited or used as learner, with their size for a given image."""
    from gradaudit.classifiers import describe_networks

    try:
        channels, height, width = (int(side) for side in shape.split("x"))
    except ValueError:
        raise InputError("--shape", shape, "written like 3x32x32") from None
    rows = describe_networks((channels, height, width), classes)
    if as_json:
        print(json.dumps([asdict(row) for row in rows]))
        return
    table = Table("network", "parameters", "what it is", "options")
    for row in rows:
        options = ", ".join(f"{key}={value}" for key, value in row.options.items())
        table.add_row(row.name, f"{row.parameters:,}" if row.parameters else "image too small", row.summary, options)
    console().print(table)


def attributions(as_json: AsJson = False) -> None:
    """List the attributions and controls."""
    from gradaudit.attributions import ATTRIBUTIONS

    _print_names("attribution", {name: ATTRIBUTIONS.summary(name) for name in ATTRIBUTIONS.names()}, as_json)


def objectives(as_json: AsJson = False) -> None:
    """List the training objectives."""
    from gradaudit.training import OBJECTIVES

    _print_names("objective", {name: OBJECTIVES.summary(name) for name in OBJECTIVES.names()}, as_json)


def recipes(
    name: Annotated[str | None, typer.Argument(help="Show all of this recipe; list all recipes unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the recipes for `gradaudit train`, or show one in full."""
    from gradaudit.training import named_recipe, recipe_summaries

    if name is None:
        _print_names("recipe", recipe_summaries(), as_json)
        return
    fields = named_recipe(name).model_dump()
    if as_json:
        print(json.dumps(fields))
        return
    table = Table("field", "value", title=name)
    for field, value in fields.items():
        table.add_row(field, str(value))
    console().print(table)


def _print_names(kind: str, summaries: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        print(json.dumps(summaries))
        return
    table = Table(kind, "what it is")
    for name, summary in summaries.items():
        table.add_row(name, summary)
    console().print(table)


def _spell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, dict):
        return ", ".join(f"{key}: {_spell(one)}" for key, one in value.items())
    return ", ".join(_spell(one) for one in value) if isinstance(value, (list, tuple)) else str(value)
