"""Question: on CIFAR-10, do values and alignment peak where robustness is off the manifold alone, as the paper says?

Twenty small networks (`cnn_a`, SiLU): without regularisation, and with gradient penalty, Gaussian noise and adversarial training
at six or seven strengths; the package's denoiser of CIFAR-10 gives scores and tangent spaces. Of each classifier: regime, accuracy
and PGD (L2), alignment with the class's score and with the Bayes score, and the bits that the values of the top 10 % of the label's
gradient say more than those of the bottom 10 %, read by the same evaluators for all.
Run: `python benchmarks/regimes_cifar10.py --cifar10 FILE.npz`, as `cifar_sheets.py` writes it. An hour on one core, or 25
minutes with `--train-images 15000 --test-images 100 --seeds 1`; a stopped run continues. `--train-only` needs no denoiser.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import Tensor

import gradaudit as ga
from _record import save_figure, table_parser
from gradaudit.attributions import attribute_all
from gradaudit.files import write_text
from gradaudit.instruments.sweep import BASE, SweepResult, sweep
from gradaudit.instruments.sweep.families import members, read_families
from gradaudit.instruments.sweep.regimes import ALIGNED, EXCESSIVE, UNCERTAIN, WEAK
from gradaudit.results import versions

FAMILIES = {
    "gradient_penalty": (0.001, 0.01, 0.03, 0.1, 0.3, 1.0, 3.0),
    "noise": (0.03, 0.06, 0.12, 0.25, 0.5, 1.0),
    "adversarial(steps=3)": (0.06, 0.12, 0.25, 0.5, 1.0, 2.0),
}
SIGMA, RADII, EPS = (0.1, 0.25), (0.5, 1.0, 2.0), (0.25, 0.5)
LEVELS = (0.05, 0.1, 0.2)
SHOWN = 0.1
SCORES = ("conditional", "bayes")
COLOURS = {WEAK: "tab:red", ALIGNED: "tab:green", EXCESSIVE: "tab:gray", UNCERTAIN: "black"}


def main() -> None:
    parser = table_parser(__file__, __doc__, workers=None)
    parser.add_argument("--cifar10", type=Path, required=True, help="CIFAR-10 as cifar_sheets.py writes it")
    parser.add_argument("--denoiser", default="zoo:cifar10")
    parser.add_argument("--train-images", type=int, default=50_000)
    parser.add_argument("--test-images", type=int, default=300, help="at which alignment and robustness are measured")
    parser.add_argument("--seeds", type=int, default=2, help="evaluators")
    parser.add_argument("--epochs", type=int, default=4)
    parser.add_argument("--train-only", action="store_true")
    arguments = parser.parse_args()
    start = time.perf_counter()
    train, test = ga.load_images(arguments.cifar10)
    train = train.sample(arguments.train_images) if arguments.train_images < len(train) else train
    base = BASE.with_(epochs=arguments.epochs, normalisation="cifar10", augment="flip")
    planned = members(base, read_families(FAMILIES))
    models = {
        (family, strength): ga.train_once(recipe, train, store=arguments.store, device="cpu", show_progress=True)
        for family, strength, recipe in planned
    }
    if arguments.train_only:
        print(f"{len(models)} classifiers; {time.perf_counter() - start:.0f} s")
        return
    few, denoiser = test.sample(arguments.test_images), ga.load_denoiser(arguments.denoiser)
    tangents = ga.tangent_spaces(few, denoiser, dimensions=32, sigma=SIGMA[1], device="cpu", show_progress=True)
    results = {score: swept(train, few, denoiser, tangents, base, score, arguments) for score in SCORES}
    table = joined(results, read(models, train, test.sample(3000), arguments))
    write_text(arguments.out / "regimes_cifar10.csv", table.to_csv(index=False))
    save_figure(arguments.out / "regimes_cifar10.png", drawn(table), dpi=85)
    print(table.round(3).to_string(index=False))
    for line in said(table):
        print(line)
    for score, result in results.items():
        print(f"{score}: {result.verdict}")
    print(f"{time.perf_counter() - start:.0f} s, {versions()}")


def swept(
    train: ga.ImageSet, test: ga.ImageSet, denoiser: ga.Denoiser, tangents: Tensor, base: ga.Recipe, score: str, arguments: Any
) -> SweepResult:
    """Regimes, robustness, and alignment with one score."""
    result = sweep(
        train,
        test,
        denoiser=denoiser,
        tangent_spaces=tangents,
        families=FAMILIES,
        base=base,
        sigma=SIGMA,
        score=score,
        radius=RADII,
        eps=EPS,
        store=arguments.store,
        workers=1,
        device="cpu",
        show_progress=True,
    )
    result.save(arguments.out / "out" / score)
    return result


def read(models: Any, train: ga.ImageSet, test: ga.ImageSet, arguments: Any) -> pd.DataFrame:
    """What the top of each classifier's gradient says more than its bottom, in bits, with random pixels beside."""
    rankings = [{_title(*name): attribute_all(model, test, "logit_gradient", device="cpu")} for name, model in models.items()]
    found = ga.diffroar(
        next(iter(models.values())),  # it is not asked: all scores are given
        train.sample(min(len(train), 20_000)),
        test,
        rankings,
        levels=LEVELS,
        seeds=arguments.seeds,
        controls=("random", "edges"),
        features="pixels",
        gap=0,
        store=arguments.store,
        workers=1,
        device="cpu",
        show_progress=True,
    )
    found.save(arguments.out / "out" / "values")
    rows = found.summary[found.summary["level"] == SHOWN]
    return rows[["attribution", "values_mean", "values_low", "values_high", "values_top_mean"]]


def joined(results: dict[str, SweepResult], values: pd.DataFrame) -> pd.DataFrame:
    """A row a classifier; random pixels and edges at the end."""
    first = results["conditional"]
    rows = []
    for one in first.regimes.to_dict("records"):
        at = {"family": one["family"], "strength": one["strength"], "regime": one["regime"]}
        for measure, parameter in (("accuracy", None), ("pgd", EPS[0]), ("pgd", EPS[1])):
            at[measure if parameter is None else f"{measure}_{parameter:g}"] = _value(first.table, one, measure, parameter)
        for score, result in results.items():
            at[f"alignment_{score}"] = _value(result.table, one, "alignment", SIGMA[0])
        rows.append(at | {"attribution": _title(one["family"], one["strength"])})
    return pd.DataFrame(rows).merge(values, on="attribution", how="outer", sort=False)


def said(table: pd.DataFrame) -> list[str]:
    """How values go with alignment and robustness, and where each peaks in its family."""
    own = table.dropna(subset=["family"])
    lines = []
    for measure in ("alignment_conditional", "alignment_bayes", f"pgd_{EPS[1]:g}", "accuracy"):
        lines.append(f"Spearman of values and {measure}: {own['values_mean'].corr(own[measure], method='spearman'):+.2f}")
    for family in FAMILIES:
        members_of = own[own["family"] == family]
        for measure in ("values_mean", "alignment_conditional", "alignment_bayes"):
            peak = members_of.loc[members_of[measure].idxmax()]
            lines.append(f"{family}: {measure} peaks at {peak['strength']:g} ({peak['regime']}, accuracy {peak['accuracy']:.3f})")
    return lines


def drawn(table: pd.DataFrame) -> Figure:
    """Values and alignment along each family, coloured by regime."""
    figure = Figure(figsize=(11, 6), layout="constrained")
    grid = figure.subplots(2, len(FAMILIES), sharey="row", squeeze=False)
    none = table[table["family"] == "none"]
    for column, family in enumerate(FAMILIES):
        rows = pd.concat([none, table[table["family"] == family]])
        ticks = range(len(rows))
        for axes, measure, title in zip(
            grid[:, column],
            ("values_mean", "alignment_bayes"),
            (f"values at {100 * SHOWN:g} %, bits", "alignment, Bayes score"),
            strict=True,
        ):
            axes.plot(ticks, rows[measure], color="lightgray", zorder=1)
            axes.scatter(ticks, rows[measure], c=[COLOURS.get(name, "black") for name in rows["regime"]], zorder=2)
            axes.set_xticks(ticks, [f"{strength:g}" for strength in rows["strength"]], fontsize=7)
            axes.axhline(0, color="black", linewidth=0.5)
            if column == 0:
                axes.set_ylabel(title)
        grid[0, column].set_title(family)
        grid[1, column].set_xlabel("strength")
    marks = [grid[0, 0].scatter([], [], color=colour, label=name) for name, colour in COLOURS.items()]
    figure.legend(handles=marks, loc="outside lower center", ncols=len(marks))
    return figure


def _title(family: str, strength: float) -> str:
    return f"{family} {strength:g}"


def _value(table: pd.DataFrame, one: dict[Any, Any], measure: str, parameter: float | None) -> float:
    rows = table[(table["family"] == one["family"]) & (table["strength"] == one["strength"]) & (table["measure"] == measure)]
    rows = rows[rows["parameter"].isna()] if parameter is None else rows[rows["parameter"] == parameter]
    return float(rows["value"].iloc[0])


if __name__ == "__main__":
    main()
