"""Question: which measures put rankings that were spoilt by known shares of chance into their order (docs/degraded.md)?

Rankings by a standard and a robust classifier of MNIST, Fashion-MNIST and CIFAR-10, by gradient, SmoothGrad and integrated
gradients. A share of the pixels, from none to all, swaps ranks at random. DiffROAR of values, raw DiffROAR and DiffROAR given the
mask (of the gradient alone, with `learners/fast-convnet`), fidelity under two fills, and leakage, on two-block images of the same
source since plain ones have no signal mask. Spearman's correlation of each measure with the true order, with intervals over
classifiers and seeds, and the processor time of each. 2,000 training and 500 test images (fidelity: 100), two levels,
three seeds.

Run: `python benchmarks/degraded.py --data-dir DATA --weights-dir WEIGHTS`. About 20 minutes on 1 core; a stopped run continues.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from matplotlib.figure import Figure
from scipy import stats
from torch import Tensor, nn

import gradaudit as ga
from _parts import SECONDS, WALL, is_there, part, seconds
from _record import RESULTS, Row, claim_of, record_of, save_figure, table_parser
from conditional import VERIFIED
from gradaudit.attributions import attribute_all, rank
from gradaudit.files import write_text
from gradaudit.results import versions

SHARES = (0.0, 0.2, 0.4, 0.6, 0.8, 1.0)
LEVELS = (0.05, 0.2)
GRADIENT = "gradient"
ATTRIBUTIONS = {
    GRADIENT: "logit_gradient",
    "SmoothGrad": "smoothgrad(samples=10)",
    "integrated gradients": "integrated_gradients(steps=10)",
}
SETS = ("mnist", "fashion-mnist", "cifar10")
TRAIN, TEST, ASKED = 2000, 500, 100
RADIUS = {"mnist": 2.0, "fashion-mnist": 1.0, "cifar10": 0.5}  # L2, of adversarial training on two-block images
COMMAND = "python benchmarks/degraded.py --data-dir DATA --weights-dir WEIGHTS"
AT = ["data", "classifier", "attribution", "measure", "level", "seed"]

Rows = Iterator[dict[str, Any]]
Ladders = dict[str, Tensor]  # by names, `classifier/attribution/share`


def main() -> None:
    own = table_parser(__file__, __doc__, weights=True, workers=None)
    own.add_argument("--seeds", type=int, default=3)
    own.add_argument("--draw", action="store_true", help="only the tables of the parts that are there")
    arguments = own.parse_args()
    load = os.getloadavg()[0]
    jobs = {
        f"{made.__name__}_{data}_{seed}": (made, data, seed)
        for measures in ((valued, asked, leaked), (retrained,))  # the long ones last
        for seed in range(arguments.seeds)
        for data in SETS
        for made in measures
    }
    parts = [
        part(arguments.out, name, partial(made, arguments, data, seed)).assign(data=data, seed=seed)
        for name, (made, data, seed) in jobs.items()
        if not arguments.draw or is_there(arguments.out, name)
    ]
    table = pd.concat(parts, ignore_index=True).drop(columns=[SECONDS, WALL])
    write_text(arguments.out / "degraded.csv", table.to_csv(index=False))
    orders = recovered(table)
    text = as_markdown(table, orders)
    write_text(arguments.out / "degraded.md", f"{text}\n{counted(table)}, {versions()}\n")
    save_figure(arguments.out / "degraded.svg", drawn(table))
    print(text)
    if arguments.out == RESULTS / "degraded":
        record_of("degraded", claim_of(__doc__ or ""), as_rows(table, orders), load, seconds(arguments.out), False, COMMAND).save(
            RESULTS
        )
    took = seconds(arguments.out, SECONDS)
    print(f"{arguments.out}; {seconds(arguments.out):.0f} s, {took:.0f} s of processor time, {versions()}")


# The ladder


def degraded(scores: Tensor, share: float, seed: int) -> Tensor:
    """The ranking by these scores after a share of each image's pixels has swapped ranks at random.

    The pixels that swap with a smaller share swap with a larger one as well. With a share of 1 nothing of the scores is left: the
    result depends on the seed and the number of images alone.

    Args:
        scores: (N, C, H, W).
        share: from 0 to 1.
        seed: of the draws.

    Returns:
        scores (N, H, W), the higher the earlier in the new ranking.
    """
    count = scores.shape[2] * scores.shape[3]
    height = count // 2 - rank(scores, 0, seed=0, features="pixels").astype(np.int64)
    draws = np.random.default_rng(seed).random((2, *height.shape))
    swapping = draws[0].argsort(1)[:, : round(share * count)]
    order = np.take_along_axis(draws[1], swapping, 1).argsort(1)
    target = np.take_along_axis(swapping, order, 1)  # the swapping pixels in a random order get their heights in falling order
    given = -np.sort(-np.take_along_axis(height, swapping, 1), 1)
    np.put_along_axis(height, target, given, 1)
    return torch.from_numpy(height.reshape(len(scores), *scores.shape[2:]).astype(np.float32))


def ladders(scores: dict[str, Tensor], seed: int) -> Ladders:
    """Each ranking with each share of chance."""
    return {f"{name}/{share:g}": degraded(one, share, seed) for name, one in scores.items() for share in SHARES}


def told(name: str, **row: Any) -> dict[str, Any]:
    """A row about a rung."""
    classifier, attribution, share = name.split("/")
    return {"classifier": classifier, "attribution": attribution, "share": float(share), **row}


# The measures, each with what it took


def valued(arguments: argparse.Namespace, data: str, seed: int) -> Rows:
    """DiffROAR of values: an evaluator reads all ladders of the data set."""
    train, test = images(arguments, data)
    found = ladders(scores(arguments, data, "test"), seed)
    result, took = timed(
        diffroar, arguments, data, (train, test), [{name: one} for name, one in found.items()], seeds=[seed], gap=0
    )
    for row in result.table.to_dict("records"):
        yield told(row["attribution"], measure="values", level=row["level"], value=row["values"], took=took / len(found))


def retrained(arguments: argparse.Namespace, data: str, seed: int) -> Rows:
    """Raw DiffROAR and DiffROAR given the mask, of the gradient alone."""
    halves = images(arguments, data)
    only = {part: {k: v for k, v in scores(arguments, data, part).items() if k.endswith(GRADIENT)} for part in ("train", "test")}
    # Other draws for training images than for test images, though the first of each are as many.
    train, test = ladders(only["train"], seed + 1000), ladders(only["test"], seed)
    pairs = [{name: (train[name], test[name])} for name in test]
    words: dict[str, Any] = {"evaluate": "retrain", "learner": "learners/fast-convnet", "fill": "mean", "seeds": [seed]}
    with tempfile.TemporaryDirectory() as store:
        words["store"] = store
        raw, took_raw = timed(diffroar, arguments, data, halves, pairs, mask_only=False, **words)
        whole, took_more = timed(diffroar, arguments, data, halves, pairs, mask_only=True, conditional=True, **words)
    for row in raw.table.to_dict("records"):
        yield told(row["attribution"], measure="raw", level=row["level"], value=row["diffroar"], took=took_raw / len(pairs))
    for row in whole.table.to_dict("records"):
        yield told(
            row["attribution"],
            measure="given the mask",
            level=row["level"],
            value=row["diffroar_conditional"],
            took=took_more / len(pairs),
        )


def asked(arguments: argparse.Namespace, data: str, seed: int) -> Rows:
    """Fidelity by fill, of accuracies and of log probabilities."""
    train, test = images(arguments, data)
    all_scores = scores(arguments, data, "test")
    for name, classifier in classifiers(arguments, data).items():
        own = {key: one[:ASKED] for key, one in all_scores.items() if key.startswith(f"{name}/")}
        found = ladders(own, seed)
        for fill in ("mean", "imputation"):
            result, took = timed(
                ga.fidelity,
                classifier,
                test[:ASKED],
                [{key: one} for key, one in found.items()],
                levels=LEVELS,
                fill=fill,
                reference=train,
                controls=(),
                patches=0,
                seed=seed,
                device="cpu",
            )
            for row in result.table.to_dict("records"):
                for column, words in (("fidelity", ""), ("log_fidelity", ", log")):
                    yield told(
                        row["attribution"],
                        measure=f"fidelity, {fill}{words}",
                        level=row["level"],
                        value=row[column],
                        took=took / len(found),
                    )


def leaked(arguments: argparse.Namespace, data: str, seed: int) -> Rows:
    """What the top 5 and 20 % hold of the signal block, above one half, on two-block images of two classes."""
    halves = ga.load_images(data, folder=arguments.data_dir)
    train, test = (
        ga.blocks(half.sample(many, seed), classes=(0, 1), seed=seed) for half, many in zip(halves, (20000, 10000), strict=True)
    )
    test = test.sample(500, seed)
    objectives = {"standard": "standard", "robust": f"adversarial(norm=l2, eps={RADIUS[data]}, steps=7)"}
    for name, objective in objectives.items():
        recipe = ga.Recipe(network="mlp", objective=objective, epochs=5, seed=seed)
        classifier = ga.train_once(recipe, train, store=arguments.store, device="cpu")
        accuracy = ga.measure_accuracy(classifier, test, device="cpu")
        print(f"{data}, two blocks, {name}, seed {seed}: accuracy {accuracy:.3f}", flush=True)
        own = {f"{name}/{one}": attribute_all(classifier, test, spec, device="cpu") for one, spec in ATTRIBUTIONS.items()}
        found = ladders(own, seed)
        result, took = timed(
            ga.leakage,
            classifier,
            test,
            attribution=[{key: one} for key, one in found.items()],
            top=LEVELS,
            controls=(),
            features="pixels",
            device="cpu",
        )
        for row in result.table.to_dict("records"):
            if row["measure"].startswith("null_top_"):
                level = float(row["measure"].removeprefix("null_top_"))
                value = row["chance"] - row["value"]
                yield told(row["attribution"], measure="leakage", level=level, value=value, took=took / len(found))


def diffroar(
    arguments: argparse.Namespace, data: str, halves: tuple[ga.ImageSet, ga.ImageSet], given: Any, **options: Any
) -> ga.DiffROARResult:
    """DiffROAR of given scores, in a store of its own unless another is named: what was kept before would cost nothing."""
    classifier = next(iter(classifiers(arguments, data).values()))  # it is not asked
    with tempfile.TemporaryDirectory() as store:
        words = {"store": store, "levels": LEVELS, "controls": (), "features": "pixels", "workers": 1, "device": "cpu"} | options
        return ga.diffroar(classifier, *halves, given, **words)


def timed(work: Callable[..., Any], *given: Any, **options: Any) -> tuple[Any, float]:
    """What it returns, and its processor time in seconds."""
    before = time.process_time()
    return work(*given, **options), time.process_time() - before


# What is ranked


@cache
def loaded(folder: str, data: str) -> tuple[ga.ImageSet, ga.ImageSet]:
    """All training and test images."""
    return ga.load_images(data, folder=folder)


def images(arguments: argparse.Namespace, data: str) -> tuple[ga.ImageSet, ga.ImageSet]:
    """Training and test images, as many as are used."""
    train, test = loaded(arguments.data_dir, data)
    return train.sample(TRAIN, 0), test.sample(TEST, 0)


def classifiers(arguments: argparse.Namespace, data: str) -> dict[str, nn.Module]:
    """The standard and the robust one; those of Fashion-MNIST are trained on 10,000 images, the others come from elsewhere."""
    if data == "fashion-mnist":
        train = loaded(arguments.data_dir, data)[0].sample(10000, 1)
        recipe: dict[str, Any] = {"network": "cnn_a(activation=silu)", "epochs": 4, "optimizer": "adamw", "learning_rate": 0.002}
        objectives = {"standard": "standard", "robust": "adversarial(norm=l2, eps=1.0, steps=7)"}
        return {
            name: ga.train_once(ga.Recipe(objective=one, **recipe), train, store=arguments.store, device="cpu")
            for name, one in objectives.items()
        }
    folder = Path(arguments.weights_dir)
    if data == "mnist":
        files = {"standard": "mnist_lenet5_clntrained.pt", "robust": "mnist_lenet5_advtrained.pt"}
        return {name: ga.load_classifier("lenet5", folder / file) for name, file in files.items()}
    like: dict[str, Any] = {"input_shape": (3, 32, 32)}
    scales: Any = (VERIFIED, (0.2470, 0.2435, 0.2616))
    return {
        "standard": ga.load_classifier("resnet20", folder / "cifar10_resnet20.th", normalisation="imagenet", **like),
        "robust": ga.load_classifier("resnet4b", folder / "cifar10_resnet4b_robust.pth", normalisation=scales, **like),
    }


def scores(arguments: argparse.Namespace, data: str, half: str) -> dict[str, Tensor]:
    """The scores of the test images by each attribution, or of the training images by the gradient; kept."""
    file = arguments.out / "out" / f"scores_{data}_{half}.pt"
    if not file.exists():
        chosen = images(arguments, data)[half == "test"]
        specs = ATTRIBUTIONS if half == "test" else {GRADIENT: ATTRIBUTIONS[GRADIENT]}
        found = {
            f"{name}/{one}": attribute_all(classifier, chosen, spec, device="cpu")
            for name, classifier in classifiers(arguments, data).items()
            for one, spec in specs.items()
        }
        file.parent.mkdir(parents=True, exist_ok=True)
        torch.save(found, file)
    return dict(torch.load(file, weights_only=True))


# What was found


def recovered(table: pd.DataFrame) -> pd.DataFrame:
    """Spearman's correlation of each ladder with the true order: 1 where the measure falls from rung to rung.

    `rho` takes the measure as it is; `toward` takes its sign from what the undegraded ranking has for the other seeds, so that a
    ranking which is upside down, and climbs towards 0, counts as recovered too.
    """
    clean = table[table["share"] == 0].set_index(AT)["value"]
    made = []
    for keys, rows in table.groupby(AT, sort=False):
        ordered = rows.sort_values("share")["value"].to_numpy()
        rho = falling(ordered)
        others = [clean[(*keys[:-1], seed)] for seed in set(table["seed"]) - {keys[-1]} if (*keys[:-1], seed) in clean.index]
        toward = rho * float(np.sign(np.mean(others))) if others else float("nan")
        made.append({**dict(zip(AT, keys, strict=True)), "rho": rho, "toward": toward, "whole": abs(rho) > 0.999})
    return pd.DataFrame(made)


def falling(values: np.ndarray) -> float:
    """Spearman's correlation with a fall from first to last; 0 where all values are the same."""
    if np.ptp(values) == 0:
        return 0.0
    return float(stats.spearmanr(values, -np.arange(len(values))).statistic)


def over_units(rows: pd.DataFrame, column: str) -> tuple[float, float, float]:
    """Mean and 95 % t-interval over classifiers and seeds of each data set, each the mean over its ladders."""
    units = rows.groupby(["data", "classifier", "seed"])[column].mean().to_numpy()
    mean = float(units.mean()) if len(units) else float("nan")
    if len(units) < 2:
        return mean, float("nan"), float("nan")
    reach = float(stats.t.ppf(0.975, len(units) - 1) * units.std(ddof=1) / len(units) ** 0.5)
    return mean, mean - reach, mean + reach


def as_markdown(table: pd.DataFrame, orders: pd.DataFrame) -> str:
    """The orders recovered of the gradient's ladders, of all ladders, what each measure took, and each ladder's means."""
    lines = []
    for title, chosen in (("the gradient's ladders", orders[orders["attribution"] == GRADIENT]), ("all ladders", orders)):
        for column, words in (("rho", "as it is"), ("toward", "towards 0")):
            lines += [f"### Spearman's correlation with the true order, {words}: {title}", ""]
            lines += [f"| measure | {' | '.join(SETS)} | all | whole order, either way |", "|---|" + "---|" * (len(SETS) + 2)]
            for measure, rows in chosen.groupby("measure", sort=False):
                cells = [interval(over_units(rows[rows["data"] == data], column)) for data in SETS]
                cells += [interval(over_units(rows, column)), f"{100 * rows['whole'].mean():.0f} %"]
                lines.append(f"| {measure} | {' | '.join(cells)} |")
            lines.append("")
    lines += ["### Processor seconds a ranking, two levels, one seed", "", f"| measure | {' | '.join(SETS)} |", "|---|---|---|---|"]
    for measure, rows in table.groupby("measure", sort=False):
        means = rows.groupby("data")["took"].mean()
        lines.append(f"| {measure} | {' | '.join(f'{means[data]:.2f}' if data in means else '' for data in SETS)} |")
    lines += ["", "### Means over seeds, by the share of pixels that swapped", ""]
    lines += [f"| data | classifier | attribution | measure | level | {' | '.join(f'{one:g}' for one in SHARES)} |"]
    lines += ["|---|---|---|---|---|" + "---|" * len(SHARES)]
    for keys, rows in table.groupby(["data", "classifier", "attribution", "measure", "level"], sort=False):
        means = rows.groupby("share")["value"].mean()
        lines.append(f"| {' | '.join(map(str, keys))} | {' | '.join(f'{means[one]:+.3f}' for one in SHARES)} |")
    return "\n".join(lines) + "\n"


def counted(table: pd.DataFrame) -> str:
    """How many seeds of each measure there are."""
    seeds = table.groupby("measure", sort=False)["seed"].nunique()
    return "seeds: " + "; ".join(f"{name} {count}" for name, count in seeds.items())


def interval(found: tuple[float, float, float]) -> str:
    """A mean with its interval; nothing where there is none."""
    return "" if np.isnan(found[0]) else f"{found[0]:+.2f} [{found[1]:+.2f}, {found[2]:+.2f}]"


def as_rows(table: pd.DataFrame, orders: pd.DataFrame) -> tuple[Row, ...]:
    """Correlations of the gradient's ladders, and the time a ranking, by measure, over all data sets."""
    rows = []
    for measure, chosen in orders[orders["attribution"] == GRADIENT].groupby("measure", sort=False):
        for column, words in (("rho", "as it is"), ("toward", "towards 0")):
            mean, low, high = over_units(chosen, column)
            if not np.isnan(mean):  # a single seed has no other to take a sign from
                rows.append(Row(f"{measure}: correlation with the true order, {words} [{low:.2f}, {high:.2f}]", mean))
        took = float(table[table["measure"] == measure]["took"].mean())
        rows.append(Row(f"{measure}: processor time a ranking, two levels, one seed", took, "s"))
    return tuple(rows)


def drawn(table: pd.DataFrame) -> Figure:
    """The gradient's ladders: a row a data set, a column a measure, a line a classifier and level, seeds as dots."""
    measures = [one for one in dict.fromkeys(table["measure"]) if not one.endswith("log")]
    figure = Figure(figsize=(2.6 * len(measures), 6.6), layout="constrained")
    panels = figure.subplots(len(SETS), len(measures), sharex=True)
    for line, data in zip(panels, SETS, strict=True):
        for panel, measure in zip(line, measures, strict=True):
            rows = table[(table["data"] == data) & (table["measure"] == measure) & (table["attribution"] == GRADIENT)]
            for place, name in enumerate(("standard", "robust")):
                for level, style in zip(LEVELS, ("--", "-"), strict=True):
                    own = rows[(rows["classifier"] == name) & (rows["level"] == level)]
                    means = own.groupby("share")["value"].mean()
                    panel.plot(means.index, means, style, color=f"C{place}", label=f"{name}, {100 * level:g} %")
                    panel.plot(own["share"], own["value"], ".", color=f"C{place}", ms=3)
            panel.axhline(0, color="0.5", linewidth=0.8)
            if data == SETS[0]:
                panel.set_title(measure, fontsize="medium")
            if data == SETS[-1]:
                panel.set_xlabel("share of chance")
        line[0].set_ylabel(data)
    panels[0][0].legend(fontsize="x-small")
    return figure


if __name__ == "__main__":
    main()
