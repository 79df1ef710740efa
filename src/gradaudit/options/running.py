"""Options that say how a run is done, which most instruments share; an audit gives them to all alike."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Literal

from gradaudit.options.declared import Options, option
from gradaudit.options.forms import Anything, Flag, Spec, Whole, WholeOr

if TYPE_CHECKING:
    import os

    import torch

    from gradaudit.training.backends import BackendLike
    from gradaudit.training.store import Store


@dataclass(frozen=True, kw_only=True)
class Seeded(Options):
    """A run that draws."""

    seed: int = option(0, Whole(), "every random draw comes from it")


@dataclass(frozen=True, kw_only=True)
class Placed(Seeded):
    """A run that computes."""

    device: str | torch.device = option("auto", Anything(), '`"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, ..., or a torch device')
    show_progress: bool = option(False, Flag(), "print the time left to standard error", python_only=True)


@dataclass(frozen=True, kw_only=True)
class Stored(Placed):
    """A run whose finished work is kept, so that it continues where it was."""

    store: Store | str | os.PathLike[str] | None = option(
        None,
        Anything(),
        "where finished work is kept: a folder, a URL such as `s3://bucket/folder`, or a Store",
        shown="`$GRADAUDIT_STORE` or the cache",
    )


@dataclass(frozen=True, kw_only=True)
class Spread(Stored):
    """A run of many trainings."""

    workers: int | Literal["auto"] = option(
        "auto",
        WholeOr(),
        'trainings at once, each on one thread; `"auto"` for one a core (one on an accelerator), or as many as a cluster has room '
        "for",
    )
    backend: BackendLike = option(
        "local",
        Spec(),
        "where they run: `local`, this machine, or a cluster, `ray` or `ray(cpus=1, gpus=0.25)`; it changes no result",
    )


def running(model: type[Options]) -> frozenset[str]:
    """The names of those options of a model that say how a run is done, and what only Python can give."""
    shared = {one.name for one in fields(Spread)}
    return frozenset(one.name for one in fields(model) if one.name in shared or one.metadata["option"].python_only)
