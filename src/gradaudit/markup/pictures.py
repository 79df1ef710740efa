"""Attribution scores as pictures beside the images that they belong to."""

from __future__ import annotations

import base64
import io
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import torch
from torch import Tensor

from gradaudit.errors import InputError, require

PERCENTILE = 99.5
EXAMPLES = 3  # images on the first screen
BUDGET = 5 * 2**20  # bytes of pictures on a page, so that it can be sent by mail


@dataclass(frozen=True, eq=False)
class Pictures:
    """Images and, for each classifier, the scores of the first audited attribution.

    Args:
        images: floats (n, C, H, W) in [0, 1], C of 1 or 3.
        labels: the n class names.
        scores: for each classifier's name, its scores, floats (n, C, H, W), signed.
        controls: the same for controls, by the control's name.
        signal_mask: optional boolean (n, H, W), True where the image carries its label; outlined in every picture.

    Raises:
        InputError: a shape or range is not as above, or a value is not finite.
    """

    images: Tensor
    labels: Sequence[str]
    scores: Mapping[str, Tensor]
    controls: Mapping[str, Tensor] = field(default_factory=dict)
    signal_mask: Tensor | None = None

    def __post_init__(self) -> None:
        images = self.images
        _check_floats("images", images)
        require(images.ndim == 4 and images.shape[1] in (1, 3), "images", images, "(n, C, H, W) with 1 or 3 channels")
        require(images.numel() > 0, "images", images, "at least one image with at least one pixel")
        require(float(images.min()) >= 0 and float(images.max()) <= 1, "images", images, "of values from 0 to 1")
        require(len(self.labels) == len(images), "labels", list(self.labels), f"{len(images)} class names, one for each image")
        require(len(self.scores) > 0, "scores", self.scores, "the scores of at least one classifier")
        for argument, group in (("scores", self.scores), ("controls", self.controls)):
            for name, scores in group.items():
                _check_floats(f"{argument}[{name!r}]", scores)
                expected = f"of the images' shape {tuple(images.shape)}"
                require(scores.shape == images.shape, f"{argument}[{name!r}]", scores, expected)
        mask, shape = self.signal_mask, (len(images), *images.shape[2:])
        fits = mask is None or (mask.dtype == torch.bool and tuple(mask.shape) == shape)
        require(fits, "signal_mask", mask, f"boolean, of shape {shape}, or None")


@dataclass(frozen=True, eq=False)
class Change:
    """An image that was changed for a classifier to see another class.

    Args:
        before: the image, uint8 (C, H, W).
        after: what became of it, likewise; None where nothing could be made.
        source: the class that the classifier gives the image.
        target: the class that was wanted.
        reached: whether the classifier sees it.
    """

    before: Tensor
    after: Tensor | None
    source: str
    target: str
    reached: bool


@dataclass(frozen=True)
class Picture:
    """A picture as the page shows it: its data URI and its description in words."""

    source: str
    description: str


def picture_rows(pictures: Pictures, budget: int) -> list[tuple[str, list[Picture]]]:
    """For each image its label and pictures: the image, each classifier's scores, each control's; as many as fit `budget` bytes."""
    rows: list[tuple[str, list[Picture]]] = []
    size = 0
    for place, label in enumerate(pictures.labels):
        row = list(_row(pictures, place, str(label)))
        size += sum(len(picture.source) for picture in row)
        if rows and size > budget:
            break
        rows.append((str(label), row))
    return rows


def outlines(pictures: Pictures) -> list[str]:
    """For each image the outline of its signal mask, as an SVG path in units of pixels; empty where there is none."""
    if pictures.signal_mask is None:
        return [""] * len(pictures.images)
    return [outline(mask.cpu().numpy()) for mask in pictures.signal_mask]


def outline(mask: np.ndarray) -> str:
    """The edges between True and False pixels, and around the image's border, of a boolean mask (H, W), as an SVG path."""
    padded = np.pad(mask.astype(np.int8), 1)
    across = "".join(f"M{start} {row}H{end}" for row, start, end in _runs(np.diff(padded, axis=0)[:, 1:-1]))
    down = "".join(f"M{column} {start}V{end}" for column, start, end in _runs(np.diff(padded, axis=1)[1:-1].T))
    return across + down


def _runs(edges: np.ndarray) -> Iterator[tuple[int, int, int]]:
    """Row, start and end of each run of non-zero values."""
    ends = np.diff((edges != 0).astype(np.int8), axis=1, prepend=0, append=0)
    starts, stops = np.argwhere(ends == 1), np.argwhere(ends == -1)
    yield from ((int(row), int(start), int(stop)) for (row, start), (_, stop) in zip(starts, stops, strict=True))


def image_pixels(image: Tensor) -> np.ndarray:
    """The image (C, H, W) in [0, 1] as uint8 (H, W) or (H, W, 3)."""
    array = (image.detach().cpu().float() * 255).round().to(torch.uint8).numpy()
    return array[0] if len(array) == 1 else np.moveaxis(array, 0, -1)


def score_pixels(scores: Tensor) -> np.ndarray:
    """Signed scores (C, H, W), summed over channels, as colours uint8 (H, W, 3): red above zero, blue below, white at zero.

    The full colours stand for the 99.5th percentile of the picture's own magnitudes, and for all beyond it.
    """
    from matplotlib import colormaps

    values = scores.detach().cpu().double().sum(0).numpy()
    scale = np.percentile(np.abs(values), PERCENTILE) or np.abs(values).max() or 1.0
    # 0 falls on the middle of an odd number of colours, so that no score is exactly white.
    colours = colormaps["RdBu_r"].resampled(255)
    return colours(np.clip(0.5 + values / scale / 2, 0, 1), bytes=True)[..., :3]


def data_uri(pixels: np.ndarray) -> str:
    """The pixels as a PNG in a data URI."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(pixels).save(file, format="PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(file.getvalue()).decode()


def _row(pictures: Pictures, place: int, label: str) -> Iterator[Picture]:
    words = f"image {place + 1}, labelled {label}"
    yield Picture(data_uri(image_pixels(pictures.images[place])), words[:1].upper() + words[1:])
    for kind, group in (("classifier", pictures.scores), ("control", pictures.controls)):
        for name, scores in group.items():
            yield Picture(data_uri(score_pixels(scores[place])), f"Scores of the {kind} {name} for {words}")


def _check_floats(argument: str, value: object) -> None:
    if not isinstance(value, Tensor) or not value.is_floating_point():
        raise InputError(argument, value, "a floating-point tensor")
    require(bool(value.isfinite().all()), argument, value, "finite")
