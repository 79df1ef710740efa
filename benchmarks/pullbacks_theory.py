"""Question: does softening the gates of a standard network cure the inversion of x = y e_j (docs/pullbacks.md)?

The networks of `theory.py`, one hidden layer of ReLU, trained on x = y e_j in R^10 by plain cross-entropy: the gradient and
excitation pullbacks over temperatures, by the sigmoid and by the normal gate. The magnitude at the signal's coordinate over its
mean elsewhere, beside the formula for a wide network; quality at one coordinate (how often the signal is ranked first, less how
often last).
Run: `python benchmarks/pullbacks_theory.py`. About 3 minutes on 1 core.
"""

from __future__ import annotations

import argparse
import os
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy.special import expit, ndtr

import gradaudit as ga
from _blocks import over_seeds
from _parts import SECONDS, WALL, part, seconds
from _record import RESULTS, Row, claim_of, record_of, save_figure
from gradaudit.datasets import COORDINATE_NORMALISATION
from gradaudit.files import write_text
from gradaudit.results import versions

WIDTHS = (300, 1000, 3000)
TEMPERATURES = (0.03, 0.1, 0.3, 0.6, 1.0, 3.0, 10.0)
GATES = {"sigmoid": expit, "normal": ndtr}
DIMENSIONS = 10
SCALE = DIMENSIONS**-0.5  # of PyTorch's first weights and biases, uniform between -SCALE and SCALE
HARD = "gradient"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--out", type=Path, default=RESULTS / "pullbacks_theory")
    given = parser.parse_args()
    load = os.getloadavg()[0]
    parts = [
        part(given.out, f"width_{width}_seed_{seed}", partial(measured, width, seed))
        for width in WIDTHS
        for seed in range(given.seeds)
    ]
    table = pd.concat(parts, ignore_index=True).drop(columns=[SECONDS, WALL])
    summary = over_seeds(table, ["width", "gate", "temperature", "measure"])
    formula = pd.DataFrame([{"gate": gate, "temperature": heat, "ratio": wide_ratio(gate, heat)} for gate, heat in settings()])
    write_text(given.out / "pullbacks_theory.csv", table.to_csv(index=False))
    text = as_markdown(summary, formula)
    write_text(given.out / "pullbacks_theory.md", f"{text}\n{given.seeds} seeds, {versions()}\n")
    save_figure(given.out / "pullbacks_theory.svg", drawn(summary))
    print(text)
    if given.out == RESULTS / "pullbacks_theory":
        record_of("pullbacks_theory", claim_of(__doc__ or ""), as_rows(summary, formula), load, seconds(given.out), False).save(
            RESULTS
        )
    print(f"{given.out}; {seconds(given.out):.0f} s, {versions()}")


def settings() -> list[tuple[str, float]]:
    """Gates and temperatures; the gradient's gate has temperature 0."""
    return [(HARD, 0.0), *((gate, heat) for gate in GATES for heat in TEMPERATURES)]


def measured(width: int, seed: int) -> list[dict[str, Any]]:
    """A row for each gate, temperature and measure of one network, trained as in `theory.py`."""
    train, test = (ga.coordinate_images(1000, dimensions=DIMENSIONS, seed=number) for number in (2 * seed, 2 * seed + 1))
    recipe = ga.Recipe(
        network=f"mlp(width={width}, depth=1)",
        normalisation=COORDINATE_NORMALISATION,
        epochs=60,
        batch_size=100,
        weight_decay=0.0,
        precision="fp32",
        seed=seed,
    )
    classifier = ga.train(recipe, train, device="cpu")
    found = []
    for gate, heat in settings():
        spec = "logit_gradient" if gate == HARD else f"excitation_pullback(gate={gate}, temperature={heat})"
        scores = ga.attribute_all(classifier, test, spec, device="cpu")
        found += [
            {"width": width, "gate": gate, "temperature": heat, "seed": seed, "measure": name, "value": value}
            for name, value in of_scores(classifier, test, scores, seed).items()
        ]
    return found


def of_scores(classifier: Any, images: ga.ImageSet, scores: Any, seed: int) -> dict[str, float]:
    """Signal over others, quality at one coordinate, and the shares of images whose signal is ranked first and last."""
    size, signal = scores.abs().flatten(1), images.signal_mask.flatten(1)  # type: ignore[union-attr]
    result = ga.leakage(classifier, images, attribution={"scores": scores}, top=0.1, controls=(), seed=seed, device="cpu")
    ranks = result.signal_rank("scores").set_index("rank")["share"]
    return {
        "signal / other": float(size[signal].mean() / size[~signal].mean()),
        "quality": float(result.table.set_index("measure")["value"]["quality_1"]),
        "first": float(ranks.get(1, 0.0)),
        "last": float(ranks.get(DIMENSIONS, 0.0)),
    }


def wide_ratio(gate: str, heat: float, cells: int = 1200) -> float:
    """The gradient along the signal over that along any other coordinate in a wide network (docs/pullbacks.md).

    A / B with A = E[w D g((w + b) / T)], B = E[w D g((v + b) / T)], D = relu(w + b) - relu(b - w), and w, v, b uniform: midpoints.
    """
    middle = ((np.arange(cells) + 0.5) / cells * 2 - 1) * SCALE
    weight, bias = middle[:, None], middle[None, :]
    pull = weight * (np.maximum(weight + bias, 0) - np.maximum(bias - weight, 0))
    before = weight + bias
    opened = (before > 0) + 0.5 * (before == 0) if gate == HARD else GATES[gate](before / heat)
    return float((pull * opened).mean() / (pull.mean(0) * opened.mean(0)).mean())


def as_markdown(summary: pd.DataFrame, formula: pd.DataFrame) -> str:
    """A row for each gate and temperature: the formula, then the ratio and the quality by width."""
    widths = [f"{name}, width {width:,}" for name in ("signal / other", "quality") for width in WIDTHS]
    lines = [f"| gate | T | wide network's signal / other | {' | '.join(widths)} |", "|---|---|---|" + "---|" * len(widths)]
    cells = summary.set_index(["measure", "width", "gate", "temperature"])
    for gate, heat, ratio in formula.itertuples(index=False):
        shown = []
        for name in ("signal / other", "quality"):
            for width in WIDTHS:
                one = cells.loc[(name, width, gate, heat)]
                shown.append(f"{one['mean']:+.3f} [{one['low']:+.3f}, {one['high']:+.3f}]")
        lines.append(f"| {gate} | {'' if gate == HARD else f'{heat:g}'} | {ratio:.4f} | {' | '.join(shown)} |")
    return "\n".join(lines) + "\n"


def as_rows(summary: pd.DataFrame, formula: pd.DataFrame) -> tuple[Row, ...]:
    """Quality of the widest network and its ratio, by gate and temperature."""
    rows = []
    cells = summary[summary["width"] == max(WIDTHS)].set_index(["measure", "gate", "temperature"])
    for gate, heat, ratio in formula.itertuples(index=False):
        name = HARD if gate == HARD else f"{gate} gate, T = {heat:g}"
        for measure in ("quality", "signal / other"):
            one = cells.loc[(measure, gate, heat)]
            beside = f"; formula {ratio:.4f}" if measure != "quality" else ""
            rows.append(Row(f"{name}: {measure} [{one['low']:.3f}, {one['high']:.3f}]{beside}", float(one["mean"])))
    return tuple(rows)


def drawn(summary: pd.DataFrame) -> Figure:
    """Signal over others, and quality, by temperature; a line a gate and width, the formula dashed."""
    figure = Figure(figsize=(10, 3.8), layout="constrained")
    panels = figure.subplots(1, 2)
    for panel, measure, label in zip(
        panels, ("signal / other", "quality"), ("signal / other coordinates", "quality at one coordinate"), strict=True
    ):
        for place, width in enumerate(WIDTHS[1:]):
            for gate, style in (("sigmoid", "-"), ("normal", ":")):
                rows = summary[(summary["width"] == width) & (summary["measure"] == measure) & (summary["gate"] == gate)]
                ends = [rows["mean"] - rows["low"], rows["high"] - rows["mean"]]
                text = f"{gate}, width {width:,}"
                panel.errorbar(
                    rows["temperature"],
                    rows["mean"],
                    ends,
                    color=f"C{place}",
                    linestyle=style,
                    capsize=2,
                    marker="o",
                    ms=3,
                    label=text,
                )
            hard = summary[(summary["width"] == width) & (summary["measure"] == measure) & (summary["gate"] == HARD)]
            panel.plot([0.02], hard["mean"], color=f"C{place}", marker="s", linestyle="none", label=f"gradient, width {width:,}")
        panel.set(xscale="log", xlabel="temperature T", ylabel=label)
    heats = np.geomspace(0.02, 10, 30)
    for gate, style in (("sigmoid", "--"), ("normal", "-.")):
        panels[0].plot(
            heats, [wide_ratio(gate, heat, 400) for heat in heats], color="0.4", linestyle=style, label=f"formula, {gate}"
        )
    panels[0].axhline(1, color="0.5", linewidth=0.8)
    panels[1].axhline(0, color="0.5", linewidth=0.8)
    panels[0].legend(fontsize="x-small")
    return figure


if __name__ == "__main__":
    main()
