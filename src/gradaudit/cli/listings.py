"""What there is by name: `gradaudit names`, a command for each kind that is asked for most, and those that say more of a kind."""

from __future__ import annotations

import inspect
import json
from collections.abc import Callable, Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from gradaudit.cli._options import AsJson, Folder, OnError, OnImageError, Seed, images
from gradaudit.cli._output import console
from gradaudit.errors import InputError, require

if TYPE_CHECKING:
    from gradaudit.registry import Registry

PANEL = "What there is by name"
KINDS = {  # where each kind is found; in a kind, things are found by being there
    "data": "gradaudit.datasets.load:SOURCES",
    "libraries": "gradaudit.datasets.load:LIBRARIES",
    "nulls": "gradaudit.datasets.blocks:NULLS",
    "networks": "gradaudit.classifiers.build:NETWORKS",
    "network-libraries": "gradaudit.classifiers.libraries:LIBRARIES",
    "objectives": "gradaudit.training:OBJECTIVES",
    "optimizers": "gradaudit.training.recipe:OPTIMIZERS",
    "attributions": "gradaudit.attributions:ATTRIBUTIONS",
    "fills": "gradaudit.fills:FILLS",
    "attacks": "gradaudit.instruments.robustness.methods:ATTACKS",
    "gradients": "gradaudit.instruments.alignment.methods:GRADIENTS",
    "scores": "gradaudit.instruments.alignment.methods:SCORES",
    "similarities": "gradaudit.instruments.alignment.methods:SIMILARITIES",
    "tangents": "gradaudit.diffusion.tangents:TANGENTS",
    "methods": "gradaudit.instruments.counterfactual:METHODS",
    "guided-samplers": "gradaudit.instruments.counterfactual.guidance.sampling:SAMPLERS",
    "regions": "gradaudit.instruments.counterfactual.region:REGIONS",
    "measures": "gradaudit.instruments.counterfactual.measures:MEASURES",
    "denoisers": "gradaudit.diffusion.adapters:ADAPTERS",
    "denoiser-networks": "gradaudit.diffusion.recipe:NETWORKS",
    "samplers": "gradaudit.diffusion.sampling:SAMPLERS",
    "backends": "gradaudit.training.backends:BACKENDS",
}


def registry_of(kind: str) -> Registry:
    """Where things of a kind are found.

    Raises:
        InputError: there is no such kind.
    """
    from gradaudit.registry import imported

    require(kind in KINDS, "kind", kind, f"one of {', '.join(KINDS)}")
    found: Registry = imported("kind", KINDS[kind])
    return found


def names(
    kind: Annotated[str | None, typer.Argument(help="Describe what there is of this kind; list all kinds unless given.")] = None,
    as_json: AsJson = False,
) -> None:
    """List everything that is found by its name, or describe all of one kind: what it is, and its options."""
    if kind is not None:
        _print_kind(kind, as_json)
        return
    found = {one: registry_of(one).names() for one in KINDS}
    if as_json:
        print(json.dumps(found))
        return
    table = Table("kind", "names", title="`gradaudit names KIND` says more of one")
    for one, words in found.items():
        table.add_row(one, ", ".join(words))
    console().print(table)


def listing(kind: str, about: str) -> Callable[..., None]:
    """The command that lists a kind.

    Args:
        kind: one of `KINDS`, which is also the command's name.
        about: its help.
    """

    def command(as_json: AsJson = False) -> None:
        _print_kind(kind, as_json)

    command.__name__, command.__doc__ = kind, about
    return command


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


def _print_kind(kind: str, as_json: bool) -> None:
    """Each thing of a kind: what it is, and its options with their defaults; as JSON by name what it is."""
    registry = registry_of(kind)
    summaries = {name: registry.summary(name) for name in registry.names()}
    if as_json:
        print(json.dumps(summaries))
        return
    table = Table(registry.kind, "what it is", "options")
    for name, summary in summaries.items():
        table.add_row(escape(name), escape(summary), escape(_options(registry.function(kind, name))))
    console().print(table)


def _options(function: Callable[..., Any]) -> str:
    from gradaudit.registry import options_of

    known = options_of(function).items()
    return ", ".join(name if default is inspect.Parameter.empty else f"{name}={default}" for name, default in known)


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
