"""Question: do DiffROAR and leakage agree, on the same classifiers of BlockMNIST?

Two classes, random position, the classifiers of `leakage.py` (MLP and convnet, standard and adversarial): DiffROAR of the label's
logit gradient by level, with the masks alone, beside the share of the top-ranked coordinates in the null block at the same level.
Run: `python benchmarks/leakage_diffroar.py --data-dir DATA`. About 10 minutes on 2 cores after `leakage.py`, whose
classifiers it finds in the store.
"""

from __future__ import annotations

import time

import pandas as pd
from matplotlib.figure import Figure

import gradaudit as ga
from _blocks import TWO, data, parser, trained
from _record import save_figure
from gradaudit.files import write_text
from gradaudit.results import versions

LEVELS = (0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
PAIRS = [(network, objective) for network in ("mlp", "convnet") for objective in ("standard", "adversarial")]


def main() -> None:
    arguments = parser(__file__, __doc__).parse_args()
    start = time.perf_counter()
    train, test = data(arguments, TWO, 0, position="random")
    frames = []
    for network, objective in PAIRS:
        classifier = trained(arguments, network, objective, train, 0)
        audit = ga.diffroar(
            classifier,
            train.sample(min(6000, len(train))),
            test,
            evaluate="retrain",
            levels=LEVELS,
            seeds=arguments.seeds,
            learner=ga.Recipe(network="mlp", epochs=4, learning_rate=0.05),
            controls=("random",),
            mask_only=True,
            store=arguments.store,
            workers=arguments.workers,
            device="cpu",
            show_progress=True,
        )
        audit.save(arguments.out / "out" / f"{network}_{objective}")
        table = audit.summary.assign(network=network, objective=objective)
        leaked = ga.leakage(classifier, test, top=LEVELS, controls=(), device="cpu").table.set_index("measure")["value"]
        table["null_top"] = [leaked[f"null_top_{level:g}"] for level in table["level"]]
        frames.append(table)
        print(f"{network}, {objective}: {audit.verdict}", flush=True)
    table = pd.concat(frames)
    write_text(arguments.out / "leakage_diffroar.csv", table.to_csv(index=False))
    print(table[table["attribution"] != "random"].round(3).to_string(index=False))
    save_figure(arguments.out / "leakage_diffroar.svg", drawn(table))
    print(f"{arguments.out}; {time.perf_counter() - start:.0f} s, {versions()}")


def drawn(table: pd.DataFrame) -> Figure:
    """DiffROAR, and the share in the null block, against the level; a line a classifier."""
    figure = Figure(figsize=(10, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    for place, (network, objective) in enumerate(PAIRS):
        chosen = (table["network"] == network) & (table["objective"] == objective) & (table["attribution"] != "random")
        rows, label = table[chosen], f"{network}, {objective}"
        style = {"color": f"C{place}", "marker": "o", "markersize": 4, "linestyle": "-" if objective == "standard" else "--"}
        left.errorbar(
            rows["level"], rows["mean"], yerr=[rows["mean"] - rows["low"], rows["high"] - rows["mean"]], capsize=2, **style
        )
        right.plot(rows["level"], rows["null_top"], label=label, **style)
    left.axhline(0, color="0.5", linewidth=0.8)
    right.axhline(0.5, color="0.5", linewidth=0.8, linestyle=":", label="chance")
    left.set(xscale="log", xlabel="share of coordinates kept", ylabel="DiffROAR = top - bottom")
    right.set(xscale="log", xlabel="share of coordinates that count as top-ranked", ylabel="of these, in the null block")
    right.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
