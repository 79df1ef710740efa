"""Claim: on the two distributions of the theory, standard training hides the signal, adversarial training shows it.

One-hidden-layer ReLU networks. (i) x = y e_j in R^10: attribution quality at one coordinate (top hit minus bottom hit), the rank of
the signal's coordinate, by width and by adversarial Linf eps; published: -0.521 for standard training and 1.000 for eps 0.45.
The magnitude of the gradient at the signal over its mean elsewhere; a wide network's is 25/28 = 0.893 (docs/leakage.md).
(ii) blocks: the norm of the gradient on the signal block against its mean over the other blocks, by eps; required for standard
training: within 15 % of each other.
Run: `python benchmarks/theory.py`. About 5 minutes on 2 cores.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import gradaudit as ga
from _blocks import over_seeds
from _record import RESULTS, save_figure
from gradaudit.datasets import COORDINATE_NORMALISATION, block_vectors_normalisation
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

WIDTHS = (30, 100, 300, 1000, 3000)
COORDINATE_EPS = (0.0, 0.1, 0.2, 0.3, 0.4, 0.45)
BLOCK_EPS = (0.0, 0.005, 0.01, 0.02, 0.03, 0.04, 0.05)
WIDTH = 1000


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--seeds", type=int, default=5)
    arguments.add_argument("--workers", type=int, default=os.cpu_count())
    arguments.add_argument("--out", type=Path, default=RESULTS / "theory")
    given = arguments.parse_args()
    start = time.perf_counter()
    cells = [("coordinate", width, eps) for width in WIDTHS for eps in (0.0, 0.45)]
    cells += [("coordinate", WIDTH, eps) for eps in COORDINATE_EPS[1:-1]] + [("blocks", WIDTH, eps) for eps in BLOCK_EPS]
    jobs = [(*cell, seed) for cell in cells for seed in range(given.seeds)]
    jobs.sort(key=lambda job: (job[2] == 0, -job[1]))  # the longest first
    parts = Parallel(n_jobs=given.workers)(delayed(measured)(*job) for job in jobs)
    table = pd.DataFrame([row for part in parts for row in part])
    write_text(given.out / "theory.csv", table.to_csv(index=False))
    summary = over_seeds(table, ["data", "width", "eps", "measure"])
    shown = summary[~summary["measure"].str.startswith("rank ")]
    print(shown.sort_values(["data", "measure", "width", "eps"]).round(3).to_string(index=False))
    ranks = summary[summary["measure"].str.startswith("rank ") & (summary["width"] == WIDTH)]
    print("\nshare of images by the rank of the signal's coordinate, 1 the highest; width", WIDTH)
    print(ranks.pivot_table(index="eps", columns="measure", values="mean", sort=False).round(3).to_string())
    save_figure(given.out / "theory.svg", drawn(summary))
    print(f"{given.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(data: str, width: int, eps: float, seed: int) -> list[dict[str, Any]]:
    """A row for each measure of one network."""
    with one_thread():
        if data == "coordinate":
            train, test = (ga.coordinate_images(1000, seed=number) for number in (2 * seed, 2 * seed + 1))
            normalisation = COORDINATE_NORMALISATION
        else:
            train, test = (ga.block_vectors(1000, seed=number) for number in (2 * seed, 2 * seed + 1))
            normalisation = block_vectors_normalisation()
        unit = normalisation[1][0]  # of the distribution's numbers, in pixel values
        recipe = ga.Recipe(
            network=f"mlp(width={width}, depth=1)",
            normalisation=normalisation,
            objective={"name": "adversarial", "norm": "linf", "eps": eps * unit, "steps": 5} if eps else "standard",
            epochs=60,
            batch_size=100,
            weight_decay=0.0,
            precision="fp32",
            seed=seed,
        )
        classifier = ga.train(recipe, train, device="cpu")
        found = {"accuracy": ga.measure_accuracy(classifier, test, device="cpu")}
        if data == "coordinate":
            found |= quality(classifier, test, seed)
        else:
            found["signal / other"] = signal_over_others(classifier, test, block_dim=3)
    return [
        {"data": data, "width": width, "eps": eps, "seed": seed, "measure": name, "value": value} for name, value in found.items()
    ]


def quality(classifier: Any, images: ga.ImageSet, seed: int) -> dict[str, float]:
    """Attribution quality at one coordinate, and the share of images whose signal has each rank."""
    result = ga.leakage(classifier, images, top=0.1, controls=(), seed=seed, device="cpu")
    value = float(result.table.set_index("measure")["value"]["quality_1"])
    ranks = result.signal_rank("logit_gradient").set_index("rank")["share"]
    places = range(1, images.images[0].numel() + 1)
    found = {"quality": value, "signal / other": signal_over_others(classifier, images, block_dim=2)}
    return found | {f"rank {place}": float(ranks.get(place, 0.0)) for place in places}


def signal_over_others(classifier: Any, images: ga.ImageSet, block_dim: int) -> float:
    """The gradient's norm on the signal over its mean on the other coordinates (`block_dim` 2) or blocks of a row (3)."""
    norms = ga.attribute_all(classifier, images, "logit_gradient", device="cpu").norm(dim=block_dim).flatten(1)
    signal = images.signal_mask.any(dim=block_dim - 1).flatten(1)  # type: ignore[union-attr]
    return float(norms[signal].mean() / norms[~signal].mean())


def drawn(summary: pd.DataFrame) -> Figure:
    """Quality by width and by eps, the signal's rank, and the ratio of the blocks' norms by eps."""
    figure = Figure(figsize=(15, 3.6), layout="constrained")
    panels = figure.subplots(1, 4)
    coordinate = summary[(summary["data"] == "coordinate") & (summary["measure"] == "quality")]
    for place, eps in enumerate((0.0, 0.45)):
        line(panels[0], coordinate[coordinate["eps"] == eps], "width", f"C{place}", f"Linf eps {eps:g}" if eps else "standard")
    line(panels[1], coordinate[coordinate["width"] == WIDTH], "eps", "C2", None)
    panels[0].set(xscale="log", xlabel="width", ylabel="quality at one coordinate", title="x = y e_j: by width")
    panels[1].set(xlabel="adversarial eps (Linf)", title=f"x = y e_j: by eps, width {WIDTH}")
    for panel in panels[:2]:
        panel.axhline(0, color="0.5", linewidth=0.8)
        panel.set_ylim(-1.05, 1.05)
    panels[0].legend(fontsize="small")
    chosen = summary[summary["measure"].str.startswith("rank ") & (summary["width"] == WIDTH)]
    for place, eps in enumerate((0.0, 0.45)):
        rows = chosen[chosen["eps"] == eps]
        where = rows["measure"].str.removeprefix("rank ").astype(int) + 0.4 * place - 0.2
        panels[2].bar(where, rows["mean"], 0.4, color=f"C{place}", label=f"Linf eps {eps:g}" if eps else "standard")
    panels[2].set(xlabel="rank of the signal's coordinate", ylabel="share of images", title=f"x = y e_j: rank, width {WIDTH}")
    panels[2].legend(fontsize="small")
    line(panels[3], summary[(summary["data"] == "blocks") & (summary["measure"] == "signal / other")], "eps", "C3", None)
    panels[3].axhline(1, color="0.5", linewidth=0.8)
    panels[3].set(xlabel="adversarial eps (Linf)", ylabel="gradient norm, signal / other blocks", title="blocks: by eps")
    return figure


def line(panel: Any, rows: pd.DataFrame, across: str, color: str, label: str | None) -> None:
    rows = rows.sort_values(across)
    panel.plot(rows[across], rows["mean"], color=color, marker="o", markersize=4, label=label)
    panel.fill_between(rows[across], rows["low"], rows["high"], color=color, alpha=0.2, linewidth=0)


if __name__ == "__main__":
    main()
