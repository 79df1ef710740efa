"""TensorBoard logs of a training, where TensorBoard is installed."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from gradaudit.errors import MissingExtraError
from gradaudit.files import writable_folder
from gradaudit.training.curves import Epoch


class Log(Protocol):
    """Takes what an epoch came to."""

    def __call__(self, epoch: Epoch) -> None:
        """Log the epoch."""


@contextmanager
def tensorboard_log(folder: str | os.PathLike[str] | None) -> Iterator[Log]:
    """A function that logs epochs to `folder`; one that does nothing for None.

    Raises:
        MissingExtraError: TensorBoard is not installed.
        InputError: the folder can't be written.
    """
    if folder is None:
        yield lambda epoch: None
        return
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise MissingExtraError("tensorboard", "tensorboard", "a TensorBoard log") from None
    with SummaryWriter(str(writable_folder("tensorboard", folder))) as writer:

        def log(epoch: Epoch) -> None:
            writer.add_scalar("loss", epoch.loss, epoch.number)
            if epoch.accuracy is not None:
                writer.add_scalar("test accuracy", epoch.accuracy, epoch.number)
            writer.flush()

        yield log
