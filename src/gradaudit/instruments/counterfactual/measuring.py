"""The measures of finished counterfactuals: of each, and of all of a method together."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.measures import MEASURES, Evidence, diversity, measure, realism
from gradaudit.instruments.counterfactual.measures._features import penultimate
from gradaudit.instruments.counterfactual.search import Counterfactual, Search, Wanted
from gradaudit.instruments.counterfactual.summary import SummaryLine, mean_of_images

ENOUGH = 4  # images, without which there are no two halves to compare
FIRST = ("validity", "closeness")  # in the table


class Measurements(NamedTuple):
    """A row for each counterfactual, NaN where there is none; the summary's other lines; why measures were skipped, by name."""

    table: pd.DataFrame
    sets: list[SummaryLine]
    skipped: dict[str, str]


@dataclass(frozen=True, eq=False)
class MeasureInputs:
    """What measures go by beside the counterfactuals.

    Args:
        before: what the explained classifier makes of the images, probabilities (N, K).
        oracles: other classifiers by name, on the search's device, frozen.
        featured: those of them that end in a linear layer, whose input is their features.
        reference: real images, for realism.
        seed: of the halves and draws of set measures.
    """

    before: Tensor
    oracles: Mapping[str, nn.Module]
    featured: Mapping[str, nn.Module]
    reference: ImageSet
    seed: int


def with_features(oracles: Mapping[str, nn.Module], sample: Tensor) -> dict[str, nn.Module]:
    """Those classifiers that end in a linear layer."""
    found = {}
    for name, oracle in oracles.items():
        try:
            penultimate(oracle, sample)
        except InputError:
            continue
        found[name] = oracle
    return found


def measured(
    search: Search, method: str, wanted: Sequence[Wanted], found: Sequence[Counterfactual], inputs: MeasureInputs
) -> Measurements:
    """What every measure says of a method's counterfactuals."""
    made = [row for row, one in enumerate(found) if not one.failed]
    rows = [wanted[row] for row in made]
    if not made:
        empty = pd.DataFrame(np.nan, index=range(len(found)), columns=["confidence_after", "flipped"])
        return Measurements(empty, [], {"all": f"{method} made no counterfactual"})
    after = _floats([found[row].image for row in made], search)
    names, skipped = _possible(inputs)
    table, lacking = measure(_evidence(search, rows, after, inputs), names)
    whole = table.astype(float).set_axis(made).reindex(range(len(found)))
    seconds = pd.DataFrame({"image": [one.image for one in wanted], "seconds": [one.seconds for one in found]})
    sets = [SummaryLine(method, "seconds", *mean_of_images(seconds, "seconds"))]
    sets += [SummaryLine(method, *line) for line in _diversity(rows, after, inputs)]
    lines, why = _realism(search, rows, after, inputs)
    return Measurements(whole, sets + [SummaryLine(method, *line) for line in lines], skipped | lacking | why)


def _possible(inputs: MeasureInputs) -> tuple[list[str], dict[str, str]]:
    names = [*FIRST, *(name for name in MEASURES.names() if name not in FIRST)]
    without = [name for name in inputs.oracles if name not in inputs.featured]
    if not without:
        return names, {}
    reason = f"no linear layer, whose input would be its features, ends {', '.join(without)}"
    return [name for name in names if name != "similarity"], {"similarity": reason}


def _evidence(search: Search, rows: Sequence[Wanted], after: Tensor, inputs: MeasureInputs) -> Evidence:
    which = torch.tensor([one.image for one in rows])
    mask = search.images.signal_mask
    return Evidence(
        search.classifier,
        search.floats(rows),
        after,
        inputs.before[which].argmax(dim=1).to(search.device),
        torch.tensor([one.target for one in rows], device=search.device),
        tuple(one.key for one in rows),
        search.denoiser,
        inputs.oracles,
        None if mask is None else mask[which].to(search.device),
        search.rival(rows),
    )


def _diversity(rows: Sequence[Wanted], after: Tensor, inputs: MeasureInputs) -> Iterator[tuple[Any, ...]]:
    """The lines of diversity, over those images that have a counterfactual of every seed."""
    groups: dict[tuple[int, int], list[int]] = {}
    for place, one in enumerate(rows):
        groups.setdefault((one.image, one.target), []).append(place)
    most = max(map(len, groups.values()))
    whole = {key: places for key, places in groups.items() if len(places) == most}
    if most < 2:
        return
    shown = torch.stack([after[places] for places in whole.values()])
    for name, values in diversity(shown, networks=inputs.featured).items():
        frame = pd.DataFrame({"image": [image for image, _ in whole], name: values.cpu().numpy()})
        yield name, *mean_of_images(frame, name)


def _realism(
    search: Search, rows: Sequence[Wanted], after: Tensor, inputs: MeasureInputs
) -> tuple[list[tuple[Any, ...]], dict[str, str]]:
    """The lines of realism beside real images of the target classes, and why some are missing."""
    real = torch.isin(inputs.reference.labels, torch.tensor([one.target for one in rows])).nonzero()[:, 0]
    originals = [one.image for one in rows]
    if len(set(originals)) < ENOUGH or len(real) < 2:
        counts = f"there are {len(set(originals))} and {len(real)}"
        return [], {"realism": f"it needs counterfactuals of {ENOUGH} images and 2 real images of the target classes; {counts}"}
    others = inputs.reference.floats(real, search.device)
    table, why = realism(search.floats(rows), after, others, networks=dict(inputs.featured), originals=originals, seed=inputs.seed)
    return list(table[["measure", "value", "low", "high", "images"]].itertuples(index=False, name=None)), why


def _floats(images: Sequence[np.ndarray], search: Search) -> Tensor:
    return torch.from_numpy(np.stack(images)).to(search.device).float() / 255
