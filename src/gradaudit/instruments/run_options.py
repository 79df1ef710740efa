"""Options that say how a run is done, which most instruments share; an audit gives them to all alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from gradaudit.memory import memory_limit
from gradaudit.options import Anything, Bytes, Flag, Options, Spec, Specs, Whole, WholeOr, declared, option

if TYPE_CHECKING:
    import os
    from contextlib import AbstractContextManager

    import torch

    from gradaudit.attributions import AttributionLike
    from gradaudit.training.backends import BackendLike
    from gradaudit.training.store import Store


@dataclass(frozen=True, kw_only=True)
class SeedOptions(Options):
    """A run that draws."""

    seed: int = option(0, Whole(), "every random draw comes from it", of_run=True)


@dataclass(frozen=True, kw_only=True)
class DeviceOptions(SeedOptions):
    """A run that computes."""

    device: str | torch.device = option(
        "auto", Anything(), '`"auto"`, `"cpu"`, `"cuda"`, `"cuda:1"`, ..., or a torch device', of_run=True
    )
    show_progress: bool = option(False, Flag(), "print the time left to standard error", python_only=True, of_run=True)
    memory: int | str | None = option(
        None,
        Bytes(),
        'bytes that a batch may take, or text such as `"1.5 GB"`, beside interpreter, weights and images; it changes no result '
        "beyond rounding",
        shown="`$GRADAUDIT_MEMORY`, or 512 MiB on a CPU",
        of_run=True,
    )

    def during(self) -> AbstractContextManager[None]:
        """The limit of memory holds."""
        return memory_limit(self.memory)


@dataclass(frozen=True, kw_only=True)
class StoreOptions(DeviceOptions):
    """A run whose finished work is kept, so that it continues where it was."""

    store: Store | str | os.PathLike[str] | None = option(
        None,
        Anything(),
        "where finished work is kept: a folder, a URL such as `s3://bucket/folder`, or a Store",
        shown="`$GRADAUDIT_STORE` or the cache",
        of_run=True,
    )


@dataclass(frozen=True, kw_only=True)
class WorkerOptions(StoreOptions):
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
        of_run=True,
    )


@dataclass(frozen=True, kw_only=True)
class MapsOptions(Options):
    """What is asked about maps."""

    attribution: AttributionLike | Mapping[str, AttributionLike] | Sequence[Any] = option(
        "logit_gradient",
        Specs(),
        "the spec of an attribution, or a `.npy` file of scores (N, C, H, W); in Python also an array of scores, a function "
        '`(classifier, images, targets) -> scores`, `{"my name": any of these}`, or a list; the verdict is about the first',
    )


def run_options(model: type[Options]) -> frozenset[str]:
    """The names of those options of a model that say how a run is done, and what only Python can give."""
    return frozenset(name for name, one in declared(model).items() if one.of_run or one.python_only)
