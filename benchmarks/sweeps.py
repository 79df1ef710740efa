"""Question: how do accuracy and robustness change with the strength of four families of training on MNIST?

Gradient penalty, noise stability, Gaussian noise and adversarial training, nine strengths each, beside no regularisation: clean
accuracy, accuracy under PGD (L2, 20 steps), and the share of Gaussian neighbours that keep the class, against the strength. Every
classifier and every measurement is kept in a store under all that decided it: a stopped run continues, and what else wants the
classifiers finds them there.
Run: `python benchmarks/sweeps.py --data-dir DATA`. About 25 minutes on 2 cores; `--train-images 2000 --epochs 1` for a look.
"""

from __future__ import annotations

import time
from typing import Any

import pandas as pd
from joblib import Parallel, delayed
from matplotlib.figure import Figure

import gradaudit as ga
from _record import save_figure
from _sweeps import digits, sweep_parser
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.instruments.sweep import BASE, STRENGTHS, read_families
from gradaudit.results import versions

LABELS = {
    "gradient_penalty": "gradient penalty, strength",
    "noise_stability": "noise stability (std 0.1), strength",
    "noise": "Gaussian noise, std",
    "adversarial": "adversarial training (L2), eps",
}
RADII = (0.25, 0.5, 1.0, 1.5, 2.0)
FAMILIES = read_families([*STRENGTHS])


def main() -> None:
    arguments = sweep_parser(__file__, __doc__).parse_args()
    train, test = digits(arguments)
    store = ga.Store(arguments.store)
    base = BASE.with_(epochs=arguments.epochs, seed=arguments.seed)
    jobs = [("none", 0.0, base)] + [(one.name, value, one.recipe(base, value)) for one in FAMILIES for value in one.strengths]
    jobs.sort(key=lambda job: job[0] != "adversarial")  # the longest first
    start = time.perf_counter()
    parts = Parallel(n_jobs=arguments.workers, return_as="generator_unordered")(
        delayed(measured)(*job, train, test, store) for job in jobs
    )
    rows = []
    for number, part in enumerate(parts, 1):
        rows += part
        note = ", ".join(f"{row['measure']} {row['eps']:g}: {row['accuracy']:.3f}" for row in part)
        print(f"{number}/{len(jobs)}, {time.perf_counter() - start:.0f} s: {part[0]['family']} {part[0]['strength']:g}: {note}")
    table = pd.DataFrame(rows).sort_values(["family", "strength", "measure", "eps"], ignore_index=True)
    write_text(arguments.out / "sweeps.csv", table.to_csv(index=False))
    save_figure(arguments.out / "sweeps.png", drawn(table))
    print(f"{arguments.out}: sweeps.csv, sweeps.png; {time.perf_counter() - start:.0f} s, {versions()}")


def measured(
    family: str, strength: float, recipe: ga.Recipe, train: ga.ImageSet, test: ga.ImageSet, store: ga.Store
) -> list[dict[str, Any]]:
    """A row for each radius and measure."""
    with one_thread():
        classifier = ga.train_once(recipe, train, store=store, device="cpu")
        options = {"norm": "l2", "eps": (0.0, *RADII), "attack": ["pgd", "gaussian"], "steps": 20, "device": "cpu"}
        table = ga.robustness(classifier, test, store=store, **options).table
    rows = table[table["attack"].str.startswith(("pgd", "gaussian"))]
    own = {"family": family, "strength": strength, "objective": recipe.objective}
    return [
        {**own, "measure": row["attack"], "eps": row["eps"], "accuracy": row["accuracy"], "low": row["low"], "high": row["high"]}
        for row in rows.to_dict("records")
    ]


def drawn(table: pd.DataFrame) -> Figure:
    """A panel a family: each measure against the strength; what no regularisation gives is at its left edge."""
    figure = Figure(figsize=(4 * len(FAMILIES), 4.3), layout="constrained")
    panels = figure.subplots(1, len(FAMILIES), sharey=True)
    lines = [("pgd", 0.0, "accuracy", "-", "black")]
    lines += [("pgd", eps, f"accuracy under PGD, L2 {eps:g}", "-", f"C{place}") for place, eps in enumerate((0.5, 1.0, 2.0))]
    lines += [
        ("gaussian", eps, f"Gaussian neighbours kept, std {eps:g}", ":", f"C{place + 3}") for place, eps in enumerate((0.5, 1.0))
    ]
    for panel, family in zip(panels, [one.name for one in FAMILIES], strict=True):
        for measure, eps, label, style, colour in lines:
            chosen = table[table["measure"].str.startswith(measure) & (table["eps"] == eps)]
            rows = chosen[chosen["family"] == family]
            panel.plot(rows["strength"], rows["accuracy"], style, color=colour, marker="o", markersize=3, label=label)
            panel.fill_between(rows["strength"], rows["low"], rows["high"], color=colour, alpha=0.15, linewidth=0)
            without = chosen[chosen["family"] == "none"]["accuracy"]
            panel.axhline(float(without.iloc[0]), color=colour, linewidth=0.5, alpha=0.6, xmax=0.04)
        panel.set(xscale="log", xlabel=LABELS[family], ylim=(0, 1.01))
    panels[0].set_ylabel("share of test images")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=len(lines), fontsize="small")
    return figure


if __name__ == "__main__":
    main()
