"""Question: where do counterfactuals of leaking and of non-leaking classifiers change a BlockMNIST image?

Two digits, position drawn by image; standard and adversarial MLP and convnet of `leakage.py`, and the -Top data, where none leaks.
Counterfactuals by APGD and SVCE, which need no denoiser of blocks; the share of the change that falls on the null block, beside the
share of the gradient's top 10 % there, and half, which is what a change that knows nothing of the blocks would give.

Run: `python benchmarks/counterfactual_blocks.py --data-dir DATA`. About 10 minutes on 2 cores.
"""

from __future__ import annotations

import time

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

import gradaudit as ga
from _blocks import TWO, data, parser, trained
from _record import save_figure
from gradaudit.files import write_text
from gradaudit.results import versions

CASES = [
    (position, network, objective)
    for position in ("random", "top")
    for network in ("mlp", "convnet")
    for objective in ("standard", "adversarial")
    if position == "random" or objective == "standard"
]
METHODS = ("svce", "apgd")
IMAGES = 100


def main() -> None:
    arguments = parser(__file__, __doc__).parse_args()
    start = time.perf_counter()
    rows, pictures = [], {}
    for position, network, objective in CASES:
        train, test = data(arguments, TWO, 0, position=position)
        classifier = trained(arguments, network, objective, train, 0)
        others = {f"{one}": trained(arguments, one, "adversarial", train, 1) for one in ("mlp", "convnet")}
        images = test.sample(IMAGES, 0)
        result = ga.counterfactual(
            classifier, images, "second", method=METHODS, oracles=others, store=arguments.store, device="cpu", show_progress=True
        )
        leaked = ga.leakage(classifier, test, top=(0.1,), controls=(), device="cpu").table.set_index("measure").loc["null_top_0.1"]
        name = f"{network}, {objective}, {position}"
        result.save(arguments.out / "out" / name.replace(",", "").replace(" ", "_"))
        for method in METHODS:
            found = result.summary[result.summary["method"] == method].set_index("measure")
            measures = {key: found.loc[key] for key in ("flip_rate", "outside_mask", *(f"agreed_{one}" for one in others))}
            rows.append(
                {"classifier": name, "method": method, "null_top_0.1": leaked["value"]}
                | {key: row["value"] for key, row in measures.items()}
                | {"low": measures["outside_mask"]["low"], "high": measures["outside_mask"]["high"]}
            )
        pictures[name] = result
        print(pd.DataFrame(rows).round(3).to_string(index=False), flush=True)
    table = pd.DataFrame(rows)
    write_text(arguments.out / "counterfactual_blocks.csv", table.to_csv(index=False))
    save_figure(arguments.out / "counterfactual_blocks.svg", drawn(table, pictures))
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def drawn(table: pd.DataFrame, results: dict[str, ga.CounterfactualResult]) -> Figure:
    """Three images with the mean change of each classifier, and the shares on the null block."""
    figure = Figure(figsize=(11, 7.2), layout="constrained")
    above, below = figure.subfigures(2, 1, height_ratios=(1.1, 1))
    grid = above.subplots(2, 1 + len(results), squeeze=False)
    first = next(iter(results.values()))
    for place, row in enumerate(first.rows(METHODS[0]).index[:2]):
        axes_row = grid[place]
        for axes, (name, result) in zip(axes_row[1:], results.items(), strict=True):
            change = (result.images[row, 0].float() - result.originals[row, 0].float()).numpy()
            limit = max(float(np.abs(change).max()), 1.0)
            axes.imshow(change, cmap="RdBu_r", vmin=-limit, vmax=limit)
            axes.set_title(name.replace(", ", "\n") if place == 0 else "", fontsize=8)
        axes_row[0].imshow(first.originals[row, 0], cmap="gray")
        axes_row[0].set_title("image (of random)" if place == 0 else "", fontsize=8)
    for axes in grid.flat:
        axes.set_axis_off()
    axes = below.subplots()
    names = [*dict.fromkeys(table["classifier"])]
    places = np.arange(len(names))
    for turn, method in enumerate(METHODS):
        rows = table[table["method"] == method]
        spread = np.vstack([rows["outside_mask"] - rows["low"], rows["high"] - rows["outside_mask"]])
        axes.bar(places + 0.27 * turn, rows["outside_mask"], 0.25, yerr=spread, capsize=2, label=f"change by {method.upper()}")
    axes.bar(places + 0.54, table[table["method"] == METHODS[0]]["null_top_0.1"], 0.25, color="0.6", label="gradient's top 10 %")
    axes.axhline(0.5, color="0.4", linewidth=0.8, linestyle=":")
    axes.set_xticks(places + 0.27, labels=[name.replace(", ", "\n") for name in names], fontsize=8)
    axes.set(ylabel="share on the null block", ylim=(0, 1))
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
