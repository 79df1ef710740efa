"""Question: which instrument tells good attribution maps from bad? Planted maps, whose quality is known without any instrument.

Eight worlds in which the pixels that tell the label are known (a block beside a null block, a small patch that decides the label, a
few pixels of a Gaussian mixture); nine kinds of classifiers of each; on images where exchanging pixels between images proves that
the classifier uses this region and nothing else, some twenty maps each: attributions, controls, maps good and bad by making, and
what counterfactuals change. A map's quality is the share of its top pixels that lie in the region, from 0 at chance to 1. Then
instruments are asked: fidelity, DiffROAR of values, contrast; alignment where a score is at hand; and what they say of the
classifiers, whatever the map. `planted_verdict.py` says what came of it.

Run: `python benchmarks/planted.py --data-dir DATA`. About two hours on one core; a stopped run continues, and `--world` makes one
part. The table goes to `src/gradaudit/answering/planted.csv`, which the package ships.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from torch import Tensor, nn

import gradaudit as ga
from _planted import BLOCKS, KINDS, MIXTURE, WORLDS, World, classifier, maps, quality, verified, world
from _record import table_parser
from gradaudit.answering.planted import OF_CLASSIFIERS, OF_MAPS, PLAIN
from gradaudit.attributions import kept, kept_count, rank
from gradaudit.devices import one_thread
from gradaudit.evaluator import Evaluator
from gradaudit.files import write_text
from gradaudit.instruments.alignment.similarities.absolute_cosine import absolute_cosine
from gradaudit.instruments.alignment.similarities.cosine import cosine
from gradaudit.instruments.alignment.similarities.magnitude_cosine import magnitude_cosine
from gradaudit.instruments.contrast.verdict import POOR

LEVELS = (0.05, 0.1, 0.2)
FEW = 100  # images of the costly fill
SOME = 60  # on which classifiers are judged, whatever the map
EVALUATOR = ga.Recipe(network="convnet(width=16, batch_norm=true)", epochs=20, weight_decay=0.005, ema=0.995)
SIGMAS = (0.1, 0.25, 0.5)
DENOISERS = {"mnist-blocks": "zoo:mnist", "fashion-blocks": "zoo:fashion-mnist"}
CHANGED = {"counterfactual (svce)": "svce", "counterfactual (apgd)": "apgd"}  # maps of what they change, by method
TABLE = Path(__file__).parents[1] / "src" / "gradaudit" / "answering" / "planted.csv"

Columns = dict[str, dict[str, float]]


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--world", choices=WORLDS, help="one world")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--table", action="store_true", help="only the table of what is there")
    arguments = parser.parse_args()
    if not arguments.table:
        for name in [arguments.world] if arguments.world else WORLDS:
            with one_thread():
                measure(name, arguments)
    print(f"{write_table(arguments.out / 'out', TABLE)}: {len(pd.read_csv(TABLE)):,} planted maps")


def measure(name: str, arguments: argparse.Namespace) -> None:
    """What is missing of a world."""
    place = world(name, arguments.data_dir, arguments.seed)
    for kind in KINDS:
        folder = arguments.out / "out" / name / f"{kind}, {arguments.seed}"
        case = Case(name, kind, place, arguments)
        changed = Changed(name, kind, place, arguments)
        parts = {group: (case, measured) for group, measured in GROUPS.items()}
        parts |= {group + AFTER: (changed, GROUPS[group]) for group in EACH}
        for group, (case, measured) in parts.items():
            file, start = folder / f"{group}.json", time.process_time()
            if file.exists() or (folder / "unverified.json").exists():
                continue
            if case.images is None:
                write_text(folder / "unverified.json", json.dumps({"accuracy": case.accuracy}))
                print(f"{name}, {kind}: accuracy {case.accuracy:.3f}; its use of the region can't be verified", flush=True)
                continue
            found = {"columns": measured(case), "seconds": time.process_time() - start}
            write_text(file, json.dumps(found, indent=0))
            print(f"{name}, {kind}: {group}, {found['seconds']:.0f} s", flush=True)


class Case:
    """A classifier of a world, and all that is made of it only where it is needed."""

    def __init__(self, name: str, kind: str, place: World, arguments: argparse.Namespace) -> None:
        self.name, self.kind, self.place, self.arguments, self.seed = name, kind, place, arguments, arguments.seed

    @cached_property
    def model(self) -> nn.Module:
        """The classifier."""
        return classifier(self.kind, self.place, self.seed, self.arguments.store).eval()

    @cached_property
    def accuracy(self) -> float:
        """On all test images."""
        return ga.measure_accuracy(self.model, self.place.test)

    @cached_property
    def images(self) -> ga.ImageSet | None:
        """Those on which its use of the region is verified; None where they are too few."""
        return verified(self.model, self.place.test, self.seed)

    @cached_property
    def maps(self) -> dict[str, Tensor]:
        """By name."""
        return dict(maps(self.model, self.images, self.seed))

    @cached_property
    def evaluator(self) -> Evaluator:
        """Of the world."""
        blind = [ga.attribute_all(None, self.place.test, one, seed=self.seed, device="cpu") for one in ("edges", "blurred_random")]
        words: dict[str, Any] = {"seed": self.seed, "store": self.arguments.store, "device": "cpu"}
        return Evaluator.fit(self.place.train, EVALUATOR, scores=blind, **words)


class Changed(Case):
    """The same classifier, with maps of what counterfactuals change."""

    @cached_property
    def maps(self) -> dict[str, Tensor]:
        """By name."""
        words: dict[str, Any] = {"seed": self.seed, "store": self.arguments.store, "device": "cpu"}
        return {
            name: ga.counterfactual_differences(self.model, self.images, "second", method=method, **words)
            for name, method in CHANGED.items()
        }


def known(case: Case) -> Columns:
    """The quality of each map, and what is known of the classifier."""
    own = {"accuracy": case.accuracy, "images": len(case.images)}
    return {one: own | {"quality": quality(scores, case.images)} for one, scores in case.maps.items()}


def fidelity(case: Case) -> Columns:
    """Under the mean of all images and, on fewer images, under imputation; and single patches."""
    rows: Columns = {one: {} for one in case.maps}
    for fill, count in (("mean", len(case.images)), ("imputation", min(FEW, len(case.images)))):
        result = ga.fidelity(
            case.model,
            case.images[torch.arange(count)],
            [{one: scores[:count]} for one, scores in case.maps.items()],
            levels=LEVELS,
            fill=fill,
            reference=case.place.train,
            controls=(),
            patches=4 if fill == "mean" else 0,
            device="cpu",
        )
        for row in result.table.to_dict("records"):
            at = f"{fill}_{row['level']:g}"
            rows[row["attribution"]] |= {f"{part}_{at}": row[part] for part in ("top", "bottom", "log_fidelity")}
        for row in result.single_patches.to_dict("records"):
            rows[row["attribution"]]["patches"] = row["spearman"]
    return rows


def values(case: Case) -> Columns:
    """What the values of the top and of the bottom tell of the label, bits, by one evaluator; and of whole images."""
    nothing, images = np.log2(len(case.images.classes)), case.images
    every = torch.ones(len(images), *images.shape, dtype=torch.bool)
    whole = float(nothing - case.evaluator.read(images, every, seed=case.seed).bits.mean())
    rows: Columns = {}
    for one, scores in case.maps.items():
        ranks = torch.from_numpy(np.asarray(rank(scores, 0, case.seed, "coordinates")))
        rows[one] = {"bits_whole": whole}
        for level in LEVELS:
            for side in ("top", "bottom"):
                masks = kept(ranks, kept_count(level, ranks.shape[1]), side).view(every.shape)
                read = case.evaluator.read(images, masks, seed=case.seed)
                rows[one][f"bits_{side}_{level:g}"] = float(nothing - read.bits.mean())
    return rows


def contrast(case: Case) -> Columns:
    """Contrast with unlike neighbours, magnitudes and signs; for 1, 10 and 30 neighbours."""
    rows: Columns = {one: {"voted": voted(case.place)} for one in case.maps}
    for neighbours in (1, 10, 30):
        found = ga.class_contrasts(case.images, case.place.train, neighbours=neighbours).maps
        for one, scores in case.maps.items():
            rows[one] |= {f"contrast_{measure}_{neighbours}": value for measure, value in alike(scores, found).items()}
    return rows


def voted(place: World) -> float:
    """How often neighbours' majority is right in a world, from 0 at chance to 1."""
    images = place.test[torch.arange(300)]
    share = float((ga.class_contrasts(images, place.train).voted == images.labels).double().mean())
    chance = int(torch.bincount(place.train.labels).max()) / len(place.train)
    return (share - chance) / (1 - chance)


def alignment(case: Case) -> Columns:
    """Likeness to scores where they are at hand: exact ones, and those of blocks by a denoiser of what is in the block."""
    rows: Columns = {one: {} for one in case.maps}
    if case.name not in (*DENOISERS, MIXTURE):
        return rows
    images, score = case.images.floats(slice(None)), scorer(case)
    with torch.no_grad():
        runner = case.model(images).scatter(1, case.images.labels[:, None], -torch.inf).argmax(1)
    for sigma in SIGMAS:
        whole, own, other = (score(images, sigma, labels) for labels in (None, case.images.labels, runner))
        for name, found in {"unconditional": whole, "conditional": own, "bayes": own - whole, "odds": own - other}.items():
            for one, scores in case.maps.items():
                rows[one] |= {f"{name}_{sigma:g}_{measure}": value for measure, value in alike(scores, found).items()}
    return rows


def scorer(case: Case) -> Callable[[Tensor, float, Tensor | None], Tensor]:
    """The score of the world's images at a sigma, given the classes or whatever they are.

    A block's score is that of a denoiser of such images; the null block's, of one fixed pattern, does not depend on the class.
    """
    if case.place.mixture is not None:
        return case.place.mixture.score
    assert case.name in BLOCKS
    denoiser, mask = ga.load_denoiser(DENOISERS[case.name]).eval(), case.images.signal_mask
    side = case.images.shape[1] // 2

    def found(images: Tensor, sigma: float, labels: Tensor | None) -> Tensor:
        above = mask[:, 0, 0]
        block = torch.where(above[:, None, None, None], images[:, :, :side], images[:, :, side:])
        with torch.no_grad():
            inside = ga.score(denoiser, block, sigma, labels)
        empty = torch.zeros_like(inside)
        parts = [torch.where(above[:, None, None, None], *pair) for pair in ((inside, empty), (empty, inside))]
        return torch.cat(parts, dim=2)

    return found


def of_classifier(case: Case) -> Columns:
    """What instruments say of the classifier, whatever the map: under attack, on and off the manifold, and its trust radius."""
    few = case.images[torch.arange(min(SOME, len(case.images)))]
    attacked = ga.robustness(case.model, few, norm="l2", eps=(1.0,), steps=10, device="cpu", store=case.arguments.store)
    spaces = ga.tangent_spaces(few, case.place.train, dimensions=16, neighbours=60, device="cpu")
    found = {
        "robustness": float(attacked.table["accuracy"].iloc[-1]),
        "manifold_robustness": float(ga.manifold_robustness(case.model, few, spaces, device="cpu").ratio()[0]),
        "trust_radius": float(ga.trust_radius(case.model, few, device="cpu").radius[0]),
    }
    return dict.fromkeys(case.maps, found)


def agreement(case: Case) -> Columns:
    """How often another classifier of the world agrees with what this one's counterfactuals show, whatever the map."""
    few = case.images[torch.arange(min(SOME, len(case.images)))]
    other = classifier("convnet" if case.kind == "resnet" else "resnet", case.place, case.seed, case.arguments.store).eval()
    words: dict[str, Any] = {"seed": case.seed, "store": case.arguments.store, "device": "cpu"}
    result = ga.counterfactual(case.model, few, "second", method="svce", oracles={"other": other}, **words)
    summary = result.summary.set_index("measure")["value"]
    found = {"flipped": float(summary["flip_rate"]), "counterfactual": float(summary.get("agreed_other", float("nan")))}
    return dict.fromkeys([*case.maps, *CHANGED], found)


def alike(scores: Tensor, found: Tensor) -> dict[str, float]:
    """The similarities of a map and a score, means over images."""
    ways = {"signed": cosine, "absolute": absolute_cosine, "magnitudes": magnitude_cosine}
    return {name: float(way(scores, found).mean()) for name, way in ways.items()}


GROUPS: dict[str, Callable[[Case], Columns]] = {
    "known": known,
    "fidelity": fidelity,
    "values": values,
    "contrast": contrast,
    "alignment": alignment,
    "classifier": of_classifier,
    "agreement": agreement,
}
AFTER = ", changed"  # of the same groups, for maps of what counterfactuals change
EACH = ("known", "fidelity", "values", "contrast", "alignment")


def every_row(parts: Path) -> Iterator[dict[str, Any]]:
    """A row for each map that all groups know."""
    for folder in sorted(parts.glob("*/*")):
        kind, _, seed = folder.name.rpartition(", ")
        own = {"world": folder.parent.name, "classifier": kind, "seed": int(seed)}
        whole = columns_in(folder, [*GROUPS])
        shared = {} if not whole else {key: one for name in ("classifier", "agreement") for key, one in whole[name][PLAIN].items()}
        for found in (whole, columns_in(folder, [group + AFTER for group in EACH])):
            for one in next(iter(found.values()), {}):
                yield own | shared | {"map": one} | {key: value for group in found.values() for key, value in group[one].items()}


def columns_in(folder: Path, groups: list[str]) -> dict[str, Columns]:
    """What these groups found; nothing where one of them is missing."""
    files = {group: folder / f"{group}.json" for group in groups}
    if not all(file.exists() for file in files.values()):
        return {}
    return {group: json.loads(file.read_text(encoding="utf-8"))["columns"] for group, file in files.items()}


def measures(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows with the measures that the package calibrates, as audits have them."""
    return rows.assign(
        values=(rows["bits_top_0.05"] - rows["bits_bottom_0.05"]) / rows["bits_whole"],
        fidelity_mean=rows["top_mean_0.1"] - rows["bottom_mean_0.1"],
        fidelity_imputation=rows["top_imputation_0.1"] - rows["bottom_imputation_0.1"],
        alignment=rows["bayes_0.25_magnitudes"],
        contrast=rows["contrast_magnitudes_30"].where(rows["voted"] >= POOR),
    )


def write_table(parts: Path, file: Path) -> Path:
    """The table that the package ships."""
    rows = measures(pd.DataFrame(every_row(parts)))
    shown = ["world", "classifier", "map", "quality", *OF_MAPS, *OF_CLASSIFIERS]
    return write_text(file, rows[shown].to_csv(index=False, float_format="%.3f"))


if __name__ == "__main__":
    main()
