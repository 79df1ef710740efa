"""Images with a patch that decides their label, by name."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from gradaudit.datasets import triggers
from gradaudit.datasets.flaws import OnError
from gradaudit.datasets.load import load_images
from gradaudit.datasets.sources._draws import held_out_seed
from gradaudit.images import ImageSet


def trigger(
    *,
    folder: Path | None = None,
    seed: int = 0,
    on_error: OnError = "raise",
    of: str = "mnist5k",
    share: float = 0.5,
    size: int = 3,
    position: str | Sequence[int] = "corner",
    target: int | str | None = None,
    patterns: int = 0,
) -> tuple[ImageSet, ImageSet]:
    """Images with a small patch that decides the label against all else, and the patch as signal mask: known use.

    All test images carry a patch; those that can't, as they are of the target class, are left out. Which of them a classifier
    really uses is found by `gradaudit.verified_triggers`.

    Args:
        folder: where the files of `of` are.
        seed: decides what is drawn for training images as in `gradaudit.trigger`; test images have other draws from it.
        on_error: as in `load_images`, for the image files of `of`.
        of: the data set, as in `load_images`.
        share: of the training images, the probability with which one carries a patch.
        size, position, target, patterns: as in `gradaudit.trigger`.

    Raises:
        InputError: an option is not as above, or a file is absent or damaged.
    """
    train, test = load_images(of, folder=folder, seed=seed, on_error=on_error)
    options: dict[str, Any] = {"size": size, "position": position, "target": target, "patterns": patterns}
    carrying = triggers.trigger(test, share=1.0, seed=held_out_seed(seed), **options)
    assert carrying.signal_mask is not None
    return (
        triggers.trigger(train, share=share, seed=seed, **options),
        carrying[carrying.signal_mask.flatten(1).any(1)],
    )
