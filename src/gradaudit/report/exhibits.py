"""The few images of the first screen: each with its map and its counterfactual, the same ones for every classifier."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn.functional import adaptive_avg_pool2d

from gradaudit.instruments.contract import instrument
from gradaudit.markup.pictures import EXAMPLES, Change, Picture, Pictures, data_uri, image_pixels, score_pixels
from gradaudit.results import Result

SIDE = 128  # pixels at most: they are shown at less than 100, and every classifier has its own copy of the image


@dataclass(frozen=True)
class Exhibit:
    """One image on a classifier's card.

    Args:
        label: the image's class.
        image: the image.
        map: the classifier's map of it; None where there is none.
        changed: what it was changed into for the classifier to see another class; likewise.
        words: what came of the change; empty where there was none.
        size: height and width of the pictures.
    """

    label: str
    image: Picture
    map: Picture | None
    changed: Picture | None
    words: str
    size: tuple[int, int]

    @property
    def pictures(self) -> tuple[Picture, ...]:
        """Those that there are."""
        return tuple(one for one in (self.image, self.map, self.changed) if one is not None)


@dataclass(frozen=True)
class _Shown:
    """An image that every card shows, uint8 and as floats, with its class and its place among the pictures, if it is there."""

    pixels: Tensor
    label: str
    place: int | None


def exhibits(results: Mapping[str, Sequence[Result]], pictures: Pictures | None, budget: int) -> dict[str, tuple[Exhibit, ...]]:
    """For each classifier the same images, three or as many as fit `budget` bytes; none where nothing can be shown of them.

    Args:
        results: by classifier.
        pictures: the maps; None where an audit was loaded, and counterfactuals alone are left.
        budget: bytes of pictures.
    """
    changes = {name: [one for result in own for one in instrument(result.kind).changes(result)] for name, own in results.items()}
    found: list[dict[str, Exhibit]] = []
    for shown in _shown(changes, pictures):
        row = {name: _exhibit(name, shown, pictures, _change_of(shown, changes)[name]) for name in results}
        budget -= sum(len(one.source) for exhibit in row.values() for one in exhibit.pictures)
        if found and budget < 0:
            break
        found.append(row)
    return {name: tuple(row[name] for row in found) for name in results}


def _shown(changes: Mapping[str, Sequence[Change]], pictures: Pictures | None) -> list[_Shown]:
    if pictures is not None:
        pixels = (pictures.images * 255).round().to(torch.uint8).cpu()
        return [_Shown(pixels[place], str(label), place) for place, label in enumerate(pictures.labels)][:EXAMPLES]
    first = next(filter(None, changes.values()), [])
    return [_Shown(one.before, one.source, None) for one in first[:EXAMPLES]]


def _change_of(shown: _Shown, changes: Mapping[str, Sequence[Change]]) -> dict[str, Change | None]:
    """What each classifier has the image changed into; of several, the target that the classifier before has, if it is there."""
    found: dict[str, Change | None] = {}
    target = None
    for name, every in changes.items():
        own = [one for one in every if torch.equal(one.before.cpu(), shown.pixels)]
        found[name] = next((one for one in own if one.target == target), own[0] if own else None)
        target = target or (own[0].target if own else None)
    return found


def _exhibit(name: str, shown: _Shown, pictures: Pictures | None, change: Change | None) -> Exhibit:
    small = _small(shown.pixels / 255)
    image = Picture(data_uri(image_pixels(small)), f"An image of {shown.label}")
    height, width = small.shape[1:]
    return Exhibit(shown.label, image, _map(name, shown, pictures), *_changed(name, shown, change), (int(height), int(width)))


def _map(name: str, shown: _Shown, pictures: Pictures | None) -> Picture | None:
    if pictures is None or shown.place is None or name not in pictures.scores:
        return None
    pixels = score_pixels(_small(pictures.scores[name][shown.place]))
    return Picture(data_uri(pixels), f"The map of {name} for the image of {shown.label}")


def _changed(name: str, shown: _Shown, change: Change | None) -> tuple[Picture | None, str]:
    """The changed image, and what came of it in words."""
    if change is None:
        return None, ""
    if change.after is None:
        return None, f"no way to {change.target}"
    aim = f"{name} to see {change.target}{'' if change.reached else ', which it does not'}"
    pixels = image_pixels(_small(change.after / 255))
    picture = Picture(data_uri(pixels), f"The image of {shown.label} changed for {aim}")
    return picture, f"becomes {change.target}" if change.reached else f"not yet {change.target}"


def _small(image: Tensor) -> Tensor:
    """The image or scores (C, H, W), averaged to at most `SIDE` pixels a side."""
    height, width = image.shape[1:]
    scale = max(height, width) / SIDE
    if scale <= 1:
        return image
    return adaptive_avg_pool2d(image.float(), (max(1, round(height / scale)), max(1, round(width / scale))))
