"""DiffROAR results with the accuracies of methods.md, section 1, or with made-up values, and a page made of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.diffroar.measures import ALWAYS, BY_SIDE, COLUMNS, MEASURES, VALUES
from gradaudit.instruments.diffroar.result import judge
from gradaudit.instruments.diffroar.statistics import interval, summarise
from gradaudit.report import Pictures, write_page

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.4)
OLDEST = ("attribution", "level", "seed", "top", "bottom", "diffroar", "mask_top", "mask_bottom")  # before there were bits
CONTROLS = {
    "random": ((0.602, 0.745, 0.842, 0.905, 0.943), (0.597, 0.749, 0.839, 0.907, 0.946)),
    "blurred_random": ((0.571, 0.716, 0.812, 0.893, 0.938), (0.566, 0.714, 0.818, 0.889, 0.936)),
    "edges": ((0.688, 0.861, 0.927, 0.951, 0.962), (0.113, 0.113, 0.113, 0.113, 0.131)),
}
AUDITED = {
    "standard": ((0.927, 0.964, 0.971, 0.961, 0.951), (0.113, 0.145, 0.184, 0.366, 0.698)),
    "robust": ((0.705, 0.837, 0.913, 0.946, 0.949), (0.113, 0.113, 0.113, 0.113, 0.121)),
    "violating": ((0.412, 0.470, 0.524, 0.560, 0.601), (0.452, 0.502, 0.556, 0.575, 0.602)),
}
MASKS = {
    "standard": ((0.950, 0.977, 0.989, 0.981, 0.960), (0.949, 0.988, 1.000, 0.999, 0.997)),
    "robust": ((0.730, 0.840, 0.907, 0.931, 0.940), (0.865, 0.951, 0.995, 0.996, 0.994)),
}
MASK_OF_CONTROLS = ((0.104, 0.11, 0.108, 0.112, 0.115), (0.106, 0.109, 0.111, 0.107, 0.113))

NOTHING = 3.3219  # log2(10)
# Bits of values: beyond the edges, less than these, and upside down.
VALUES_OF_CONTROLS = {
    "random": ((0.31, 0.76, 1.42, 2.11, 2.73), (0.31, 0.76, 1.42, 2.11, 2.73)),
    "blurred_random": ((0.22, 0.55, 1.08, 1.74, 2.49), (0.22, 0.55, 1.08, 1.74, 2.49)),
    "edges": ((0.91, 1.52, 2.13, 2.61, 2.92), (0.01, 0.02, 0.05, 0.21, 0.83)),
}
VALUES_OF_AUDITED = {
    "standard": ((1.43, 2.12, 2.61, 2.89, 3.04), (0.01, 0.01, 0.03, 0.12, 0.58)),
    "robust": ((0.62, 1.21, 1.83, 2.39, 2.81), (0.05, 0.11, 0.29, 0.72, 1.44)),
    "violating": ((0.13, 0.42, 1.01, 1.83, 2.54), (0.52, 1.13, 1.72, 2.31, 2.83)),
}
IMAGE_VARIANCE = 2e-6

MakeResult = Callable[..., DiffROARResult]
WritePage = Callable[..., str]


def settings_of(
    kind: str, seeds: int, attributions: tuple[str, ...], controls: tuple[str, ...], classes: tuple[str, ...]
) -> dict[str, Any]:
    """What a run by retraining says of itself."""
    return {
        "attributions": list(attributions),
        "controls": list(controls),
        "learner": {"network": "mlp", "objective": "standard", "epochs": 4, "batch_size": 128, "learning_rate": 0.1},
        "levels": list(LEVELS),
        "seeds": list(range(seeds)),
        "features": "coordinates",
        "target": "label",
        "fill": "zero",
        "seed": 0,
        "device": "cpu",
        "classifier": {"standard": "5f", "robust": "a1", "violating": "c7"}[kind] * 32,
        "classes": list(classes),
        "shape": [1, 28, 28],
        "train_images": 20000,
        "test_images": 10000,
        "train_fingerprint": "1b" * 32,
        "test_fingerprint": "9e" * 32,
    }


def synthetic(
    kind: str = "standard",
    *,
    seeds: int = 5,
    masks: bool = True,
    conditional: bool = False,
    controls: tuple[str, ...] = tuple(CONTROLS),
    attributions: tuple[str, ...] = ("logit_gradient",),
    classes: tuple[str, ...] = tuple("0123456789"),
) -> DiffROARResult:
    """A result whose table scatters around the measured accuracies; unless `conditional`, it is as older ones were saved."""
    rng = np.random.default_rng(0)
    sources = {name: CONTROLS[name] for name in controls}  # drawn first: the controls are the same for every classifier
    sources |= dict.fromkeys(attributions, AUDITED[kind])
    rows = []
    for name, (tops, bottoms) in sources.items():
        mask_tops, mask_bottoms = MASK_OF_CONTROLS if name in controls else MASKS.get(kind, MASK_OF_CONTROLS)
        for place, level in enumerate(LEVELS):
            for seed in range(seeds):
                means = (tops[place], bottoms[place], mask_tops[place], mask_bottoms[place])
                top, bottom, mask_top, mask_bottom = (np.clip(mean + rng.normal(0, 0.006), 0, 1).round(4) for mean in means)
                mask = (mask_top, mask_bottom) if masks else (np.nan, np.nan)
                rows.append((name, level, seed, top, bottom, top - bottom, *mask))
    rows.sort(key=lambda row: row[0] in controls)  # as `diffroar` orders them
    table = pd.DataFrame(rows, columns=list(OLDEST))
    chance = 0.1135
    settings = settings_of(kind, seeds, attributions, controls, classes)
    details = {"whole": [0.9743 + 0.0005 * seed for seed in range(seeds)], "chance": chance}
    details["image_variance"] = {name: [IMAGE_VARIANCE] * len(LEVELS) for name in (*attributions, *controls)}
    if conditional:
        details |= {"nothing": NOTHING, "whole_bits": [0.12 + 0.01 * seed for seed in range(seeds)]}
        table = with_bits(table)
        for measure in ALWAYS:
            details[f"{measure.prefix}image_variance"] = details["image_variance"]
    return judged(table, settings, details)


def judged(table: pd.DataFrame, settings: dict[str, Any], details: dict[str, Any]) -> DiffROARResult:
    """The result, with the verdict that its numbers give."""
    audited, controls = tuple(settings["attributions"]), tuple(settings["controls"])
    verdicts = judge(summarise(table, settings["test_images"], details), audited, controls, details)
    versions = {"python": "3.11.9", "gradaudit": "0.1.0", "torch": "2.13.0"}
    return DiffROARResult(table, verdicts[audited[0]], settings, details, versions)


def with_bits(table: pd.DataFrame) -> pd.DataFrame:
    """As if a learner left as many of the label's bits open as it makes errors, and pixels added a tenth to what the mask tells."""
    for side in ("top", "bottom"):
        table[f"both_{side}"] = table[f"mask_{side}"]
        for prefix, share in (("", 1.0), ("mask_", 1.0), ("both_", 0.9)):
            table[f"bits_{prefix}{side}"] = NOTHING * share * (1 - table[f"{prefix}{side}"])
    return table.assign(**{measure.column: measure.of(table) for measure in ALWAYS}).reindex(columns=list(COLUMNS))


def synthetic_values(
    kind: str = "standard",
    *,
    seeds: int = 3,
    selection: bool = False,
    gap: bool = True,
    controls: tuple[str, ...] = tuple(VALUES_OF_CONTROLS),
    attributions: tuple[str, ...] = ("logit_gradient",),
    classes: tuple[str, ...] = tuple("0123456789"),
) -> DiffROARResult:
    """A result of evaluators, whose table scatters around made-up bits."""
    rng = np.random.default_rng(0)
    sources = {name: VALUES_OF_CONTROLS[name] for name in controls}  # drawn first: the controls are the same for every classifier
    sources |= dict.fromkeys(attributions, VALUES_OF_AUDITED[kind])
    rows = []
    for name, both in sources.items():
        for place, level in enumerate(LEVELS):
            for seed in range(seeds):
                row: dict[str, Any] = dict.fromkeys(COLUMNS, np.nan) | {"attribution": name, "level": level, "seed": seed}
                for side, means in zip(("top", "bottom"), both, strict=True):
                    bits = means[place] + rng.normal(0, 0.006)
                    row |= {f"values_{side}": bits, f"bits_{side}": NOTHING - bits, side: 0.1 + 0.9 * bits / NOTHING}
                    row |= {f"swap_{side}": rng.normal(0, 0.004), f"as_read_{side}": bits - 0.1 + rng.normal(0, 0.004)}
                    if selection:
                        chosen = 0.2 + rng.normal(0, 0.004)
                        row |= {f"selection_{side}": chosen, f"bits_both_{side}": NOTHING - bits - chosen, f"both_{side}": 0.97}
                rows.append(row | {measure.column: float(measure.of(row)) for measure in MEASURES})
    rows.sort(key=lambda row: row["attribution"] in controls)  # as `diffroar` orders them
    table = pd.DataFrame(rows, columns=list(COLUMNS))
    settings = settings_of(kind, seeds, attributions, controls, classes)
    learner = settings.pop("learner")
    settings |= {
        "evaluate": "values",
        "evaluator": learner | {"network": "convnet(width=32, batch_norm=true)"},
        "masks": ["random pixels", "smooth random fields", "logit_gradient of other images"],
        "gap_seeds": int(gap),
        "fill": "mean",
    } | ({"learner": learner} if selection else {})
    details: dict[str, Any] = {
        "whole": [0.9843 + 0.0005 * seed for seed in range(seeds)],
        "whole_bits": [0.08 + 0.01 * seed for seed in range(seeds)],
        "nothing": NOTHING,
        "chance": 0.1135,
        "gap": [
            {"level": 0.02, "mean": 0.0123, "low": 0.0071, "high": 0.0175, "alone": 0.3421, "seeds": 1},
            {"level": 0.1, "mean": -0.0042, "low": -0.0091, "high": 0.0007, "alone": 1.4383, "seeds": 1},
        ][: 2 * gap],
        "against": {name: {control: lead(table, name, control) for control in controls} for name in attributions},
    }
    for measure in MEASURES:
        if table[measure.column].notna().any():
            details[f"{measure.prefix}image_variance"] = {name: [IMAGE_VARIANCE] * len(LEVELS) for name in sources}
    return judged(table, settings, details)


def lead(table: pd.DataFrame, name: str, control: str) -> list[dict[str, float]]:
    """The values of the one less those of the other, level by level, as `details["against"]` has them."""
    found = []
    for level in LEVELS:
        of = {one: table[(table["attribution"] == one) & (table["level"] == level)]["values"] for one in (name, control)}
        one = interval(list(of[name].to_numpy() - of[control].to_numpy()), len(LEVELS), 1e-4, IMAGE_VARIANCE, 10000)
        row = {"level": level, "mean": one.mean, "low_all": one.low_all, "high_all": one.high_all}
        found.append({key: value for key, value in row.items() if not np.isnan(value)})
    return found


def older(result: DiffROARResult) -> DiffROARResult:
    """The result as a version of before there were values would have saved it: without their columns, and without the option."""
    new = {VALUES.column, *(measure.column for measure in BY_SIDE.values())}
    kept = [column for column in result.table if column not in new]
    settings = {key: value for key, value in result.settings.items() if key != "evaluate"}
    return replace(result, table=result.table[kept], settings=settings)


def synthetic_pictures(names: tuple[str, ...] = ("standard", "robust"), *, channels: int = 1, count: int = 3) -> Pictures:
    """Blobs with scores that have both signs."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(count, channels, 8, 8, generator=generator)
    scores = {name: torch.randn(count, channels, 8, 8, generator=generator) for name in names}
    return Pictures(images, ["7", "2", "1"][:count], scores, {"random": torch.randn(count, channels, 8, 8, generator=generator)})


def write_synthetic(path: Path, results: Mapping[str, DiffROARResult], **options: object) -> str:
    """The text of a page with sensible defaults for whatever is not given."""
    arguments: dict[str, object] = {
        "title": "Can these gradients be trusted?",
        "pictures": None,
        "facts": {name: {"recipe": "lenet5, 5 epochs", "accuracy": "0.987"} for name in results},
        "command": "gradaudit demo --seed 0",
        "seconds": 104.0,
    }
    return write_page(path, results=results, **(arguments | options)).read_text(encoding="utf-8")  # type: ignore[arg-type]


@pytest.fixture(scope="session")
def make_result() -> MakeResult:
    return synthetic


@pytest.fixture(scope="session")
def make_values() -> MakeResult:
    return synthetic_values


@pytest.fixture(scope="session")
def as_older() -> Callable[[DiffROARResult], DiffROARResult]:
    return older


@pytest.fixture(scope="session")
def make_pictures() -> Callable[..., Pictures]:
    return synthetic_pictures


@pytest.fixture
def page_of(tmp_path: Path) -> WritePage:
    return lambda results, **options: write_synthetic(tmp_path / "page.html", results, **options)
