"""Checkpoints: a training's whole state in one file, to go on from after an interruption."""

from __future__ import annotations

import os
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch

from gradaudit.errors import InputError, first_line
from gradaudit.files import whole_file, writable_folder
from gradaudit.training.curves import Epoch
from gradaudit.training.run import TrainingRun
from gradaudit.training.store import key_of

FORMAT = 1
SUFFIX = ".checkpoint"


class Checkpoint:
    """The file in which the state of one training is kept, written whole or not at all.

    Args:
        path: a file that ends in `.checkpoint`, or a folder, in which the file is named after what is trained.
        description: all that decides the training, in JSON values.

    Raises:
        InputError: nothing can be written there.
    """

    def __init__(self, path: str | os.PathLike[str], description: Mapping[str, Any]) -> None:
        given = Path(path)
        own = given if given.suffix == SUFFIX else given / (key_of(description)[:16] + SUFFIX)
        writable_folder("checkpoint", own.parent)
        self.path = own
        self.description = dict(description)

    def load(self) -> dict[str, Any] | None:
        """The state saved last, on the CPU; None where there is none. Nothing is unpickled but tensors, numbers and text.

        Raises:
            InputError: the file is damaged, or is another training's; says what differs.
        """
        if not self.path.exists():
            return None
        try:
            with warnings.catch_warnings():  # of torch's, about files that are no checkpoints
                warnings.simplefilter("ignore")
                saved = torch.load(self.path, map_location="cpu", weights_only=True)
            form, description, state = saved["format"], saved["description"], saved["state"]
        except Exception as error:  # there is no end to what a damaged file can raise
            expected = f"a readable checkpoint; delete it to start again ({first_line(error)})"
            raise InputError("checkpoint", str(self.path), expected) from error
        if form != FORMAT or description != self.description:
            expected = f"of this training; there {_difference(description, self.description)}"
            raise InputError("checkpoint", str(self.path), expected)
        return dict(state)

    def save(self, state: Mapping[str, Any]) -> None:
        """Keep the state in place of the one before.

        Raises:
            StoreError: it can't be written, for instance because the disk is full; the one before is kept.
        """
        with whole_file(self.path) as file:
            torch.save({"format": FORMAT, "description": self.description, "state": dict(state)}, file)


def keeping(file: Checkpoint | None, epochs: Sequence[Epoch], seconds: float) -> Callable[[TrainingRun], None]:
    """A function, called after each step, that saves the training's state after each epoch, and within one every `seconds`.

    Args:
        file: where; None to save nothing.
        epochs: what the epochs came to, filled by the training; kept with the state.
        seconds: least time between two checkpoints within an epoch.
    """
    if file is None:
        return lambda run: None
    last = time.monotonic()

    def keep(run: TrainingRun) -> None:
        nonlocal last
        if run.between_epochs or time.monotonic() - last >= seconds:
            file.save(run.state() | {"epochs": [tuple(epoch) for epoch in epochs]})
            last = time.monotonic()

    return keep


def _difference(there: Any, here: Mapping[str, Any]) -> str:
    if not isinstance(there, dict):
        return "is another format"
    for name in sorted(here.keys() | there.keys()):
        theirs, ours = there.get(name), here.get(name)
        if isinstance(theirs, dict) and isinstance(ours, Mapping) and theirs != ours:
            return _difference(theirs, ours)
        if theirs != ours:
            return f"`{name}` is {theirs!r}, here {ours!r}"
    return "is another format"
