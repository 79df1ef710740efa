"""Question: do excitation pullbacks make better maps than the gradient on standard networks (docs/pullbacks.md)?

Standard ReLU networks, five seeds of each: leakage on BlockMNIST (two classes, random position); on MNIST and CIFAR-10 DiffROAR of
values (an evaluator a seed reads all maps), fidelity under two fills and, on MNIST, alignment with the score of `zoo:mnist`. The
gradient, SmoothGrad, guided backprop, and pullbacks by the sigmoid gate at T = .3 and .6 and by the normal gate at .6; as controls
the pullback of the same network untrained, edges and random. On CIFAR-10 a ResNet-20 that others trained stands
beside, once.

Run: `python benchmarks/pullbacks.py --data-dir DATA --weights-dir WEIGHTS`. About 30 minutes on 1 core; a stopped run continues.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure
from torch import nn

import gradaudit as ga
from _blocks import TWO, over_seeds
from _parts import SECONDS, WALL, is_there, part, seconds
from _record import RESULTS, Row, claim_of, record_of, save_figure, table_parser
from gradaudit.attributions import attribute_all, resolve_attribution
from gradaudit.files import write_text
from gradaudit.results import versions

GRADIENT = "gradient"
PULLBACKS = {
    "pullback, sigmoid .3": "excitation_pullback(gate=sigmoid, temperature=0.3)",
    "pullback, sigmoid .6": "excitation_pullback(gate=sigmoid, temperature=0.6)",
    "pullback, normal .6": "excitation_pullback(gate=normal, temperature=0.6)",
}
METHODS = {
    GRADIENT: "logit_gradient",
    "SmoothGrad": "smoothgrad(samples=20)",
    "guided backprop": "captum(method=GuidedBackprop)",
    **PULLBACKS,
}
UNTRAINED = {"untrained pullback": "untrained(of='excitation_pullback(gate=sigmoid, temperature=0.3)')"}
CONTROLS = ("random", "edges")
ADAMW: dict[str, Any] = {"optimizer": "adamw", "learning_rate": 0.003, "weight_decay": 0.0, "epochs": 5}
NETWORKS: dict[str, dict[str, Any]] = {
    "mlp": {"network": "mlp", "epochs": 5},
    "convnet": {"network": "convnet(width=16)", **ADAMW},
    "convnet with batch norm": {"network": "convnet(width=16, batch_norm=true)", **ADAMW},
}
RESNET = "ResNet-20"
SETS = {
    "mnist": ("mlp", "convnet", "convnet with batch norm"),
    "cifar10": ("convnet", "convnet with batch norm"),
}
LEVELS = (0.05, 0.2)
FILLS = ("mean", "imputation")
TRAIN, TEST, BLOCKS_TRAIN, FEW = 4000, 1000, 20000, 300
COMMAND = "python benchmarks/pullbacks.py --data-dir DATA --weights-dir WEIGHTS"
BY = ["data", "network", "measure", "attribution"]


def main() -> None:
    own = table_parser(__file__, __doc__, weights=True, workers=None)
    own.add_argument("--seeds", type=int, default=5)
    own.add_argument("--draw", action="store_true", help="only the tables of the parts that are there")
    arguments = own.parse_args()
    load = os.getloadavg()[0]
    parts = [
        part(arguments.out, name, partial(rows, arguments, *job))
        for seed in range(arguments.seeds)
        for name, rows, job in jobs(seed)
        if not arguments.draw or is_there(arguments.out, name)
    ]
    table = pd.concat(parts, ignore_index=True).drop(columns=[SECONDS, WALL]).fillna({"attribution": ""})
    table = pd.concat([table, table_less_gradient(table)], ignore_index=True)
    write_text(arguments.out / "pullbacks.csv", table.to_csv(index=False))
    summary = over_seeds(table, BY)
    text = as_markdown(summary)
    write_text(arguments.out / "pullbacks.md", f"{text}\n{versions()}\n")
    save_figure(arguments.out / "pullbacks.svg", drawn(summary))
    print(text)
    took = seconds(arguments.out)
    if arguments.out == RESULTS / "pullbacks":
        record_of("pullbacks", claim_of(__doc__ or ""), as_rows(summary), load, took, False, COMMAND).save(RESULTS)
    print(f"{arguments.out}; {took:.0f} s, {seconds(arguments.out, SECONDS):.0f} s of processor time, {versions()}")


def jobs(seed: int) -> Iterator[tuple[str, Any, tuple[Any, ...]]]:
    """The parts of a seed: their names, what makes their rows, and its arguments."""
    for network in NETWORKS:
        yield f"leakage_{network.replace(' ', '_')}_{seed}", leaked, (network, seed)
    for data in SETS:
        yield f"{data}_{seed}", read, (data, seed)


def leaked(arguments: argparse.Namespace, network: str, seed: int) -> Iterator[dict[str, Any]]:
    """The share of the top 10 % in the null block, by method, of a network on BlockMNIST."""
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    train, test = (ga.blocks(half, classes=TWO, seed=seed) for half in (train.sample(BLOCKS_TRAIN, seed), test))
    classifier = trained(arguments, network, train, seed)
    test = test.sample(FEW, seed)
    result = ga.leakage(
        classifier, test, attribution=maps(METHODS | UNTRAINED), top=0.1, controls=CONTROLS, seed=seed, device="cpu"
    )
    head = {"data": "BlockMNIST", "network": network, "seed": seed}
    yield {**head, "measure": "accuracy", "attribution": "", "value": ga.measure_accuracy(classifier, test, device="cpu")}
    for row in result.table[result.table["measure"] == "null_top_0.1"].to_dict("records"):
        yield {**head, "measure": "leakage", "attribution": row["attribution"], "value": row["value"]}


def read(arguments: argparse.Namespace, data: str, seed: int) -> Iterator[dict[str, Any]]:
    """Values, fidelity and alignment of the networks of a data set and a seed."""
    train, test = ga.load_images(data, folder=arguments.data_dir)
    many, train, test = train.sample(12000, seed), train.sample(TRAIN, seed), test.sample(TEST, seed)
    networks = {network: trained(arguments, network, many, seed) for network in SETS[data]}
    if data == "cifar10" and seed == 0:
        networks[RESNET] = resnet20(arguments)
    few = test.sample(FEW, seed)
    scores = {
        (name, method): attribute_all(network, test, one, seed=seed, device="cpu")
        for name, network in networks.items()
        for method, one in maps(METHODS | UNTRAINED).items()
    }
    yield from values(arguments, data, seed, networks, (train, test), scores)
    for name, network in networks.items():
        head = {"data": data, "network": name, "seed": seed}
        yield {**head, "measure": "accuracy", "attribution": "", "value": ga.measure_accuracy(network, test, device="cpu")}
        yield from faithful(head, network, few, train)
        if data == "mnist":
            yield from aligned(head, network, few)


def values(
    arguments: argparse.Namespace, data: str, seed: int, networks: Any, halves: tuple[ga.ImageSet, ga.ImageSet], scores: Any
) -> Iterator[dict[str, Any]]:
    """DiffROAR of values of all maps, by one evaluator."""
    named = [{f"{name}/{method}": given} for (name, method), given in scores.items()]
    result = ga.diffroar(
        next(iter(networks.values())),  # it is not asked: all scores are given
        *halves,
        named,
        levels=LEVELS,
        seeds=[seed],
        gap=0,
        controls=CONTROLS,
        features="pixels",
        store=arguments.store,
        workers=1,
        device="cpu",
    )
    for row in result.table.to_dict("records"):
        name, _, method = row["attribution"].rpartition("/")
        for network in [name] if name else networks:
            head = {"data": data, "network": network, "seed": seed, "attribution": method}
            yield {**head, "measure": f"values, {100 * row['level']:g} %", "value": row["values"]}


def faithful(head: dict[str, Any], network: nn.Module, images: ga.ImageSet, train: ga.ImageSet) -> Iterator[dict[str, Any]]:
    """Fidelity by fill and level."""
    found = ga.fidelity(
        network,
        images,
        maps(METHODS | UNTRAINED),
        levels=LEVELS,
        fill=FILLS,
        reference=train,
        controls=CONTROLS,
        patches=0,
        seed=head["seed"],
        device="cpu",
    )
    for row in found.table.to_dict("records"):
        measure = f"fidelity, {row['fill'].partition('(')[0]}, {100 * row['level']:g} %"
        yield {**head, "measure": measure, "attribution": row["attribution"], "value": row["fidelity"]}


def aligned(head: dict[str, Any], network: nn.Module, images: ga.ImageSet) -> Iterator[dict[str, Any]]:
    """The cosine with the difference of the class's score and the unconditional one."""
    named = {method: function for method, one in maps(METHODS | UNTRAINED).items() if (function := one.function) is not None}
    result = ga.alignment(
        network,
        images,
        ga.load_denoiser("zoo:mnist"),
        gradient=[called(method, function) for method, function in named.items()],
        score="bayes",
        seed=head["seed"],
        device="cpu",
    )
    for row in result.table.to_dict("records"):
        if row["gradient"] in named:
            yield {**head, "measure": "alignment", "attribution": row["gradient"], "value": row["value"]}


def called(name: str, function: Any) -> Any:
    """The function under that name, which tables show."""

    def gradient(classifier: nn.Module, images: Any, targets: Any) -> Any:
        return function(classifier, images, targets)

    gradient.__qualname__ = name
    return gradient


def maps(named: dict[str, str]) -> Any:
    """Ready attributions by the names of tables."""
    return {name: resolve_attribution(one) for name, one in named.items()}


def trained(arguments: argparse.Namespace, network: str, train: ga.ImageSet, seed: int) -> nn.Module:
    """A standard network, from the store where it is there."""
    return ga.train_once(ga.Recipe(seed=seed, **NETWORKS[network]), train, store=arguments.store, device="cpu")


def resnet20(arguments: argparse.Namespace) -> nn.Module:
    """The ResNet-20 that others trained."""
    file = Path(arguments.weights_dir) / "cifar10_resnet20.th"
    return ga.load_classifier("resnet20", file, normalisation="imagenet", input_shape=(3, 32, 32))


def table_less_gradient(table: pd.DataFrame) -> pd.DataFrame:
    """Each value less the gradient's of the same network, as measures of their own."""
    at = ["data", "network", "measure", "seed"]
    shown = table[table["attribution"].isin([*METHODS, *UNTRAINED])]
    own = shown[shown["attribution"] == GRADIENT].set_index(at)["value"]
    others = shown[shown["attribution"] != GRADIENT]
    gap = others["value"].to_numpy() - own.loc[pd.MultiIndex.from_frame(others[at])].to_numpy()
    return others.assign(value=gap, measure=others["measure"] + LESS)


LESS = ", less the gradient"


def as_markdown(summary: pd.DataFrame) -> str:
    """A table a data set and network: a row a method, a column a measure; below it the differences from the gradient."""
    lines = []
    for (data, network), rows in summary.groupby(["data", "network"], sort=False):
        accuracy = rows[rows["measure"] == "accuracy"]["mean"]
        lines += [f"### {data}, {network} ({int(rows['seeds'].max())} seeds, accuracy {float(accuracy.iloc[0]):.3f})", ""]
        measured = rows[rows["measure"] != "accuracy"]
        for less in (False, True):
            chosen = measured[measured["measure"].str.endswith(LESS) == less]
            heads = list(dict.fromkeys(chosen["measure"]))
            lines += [f"| {'less the gradient' if less else 'attribution'} | {' | '.join(x.removesuffix(LESS) for x in heads)} |"]
            lines += ["|---|" + "---|" * len(heads)]
            for method, cells in chosen.groupby("attribution", sort=False):
                by = cells.set_index("measure")
                lines.append(f"| {method} | {' | '.join(cell(by.loc[one]) if one in by.index else '' for one in heads)} |")
            lines.append("")
    return "\n".join(lines)


def cell(row: Any) -> str:
    """Mean and interval."""
    return f"{row['mean']:+.3f}{ends(row)}"


def as_rows(summary: pd.DataFrame) -> tuple[Row, ...]:
    """The pullback of the 2025 paper less the gradient, by data, network and measure; the others are in the table."""
    chosen = summary[summary["measure"].str.endswith(LESS) & (summary["attribution"] == next(iter(PULLBACKS)))]
    return tuple(
        Row(f"{row['data']}, {row['network']}: {row['measure']}{ends(row)}", float(row["mean"]))
        for row in chosen.to_dict("records")
    )


def ends(row: Any) -> str:
    """The interval in words; nothing of a single network."""
    return f" [{row['low']:+.3f}, {row['high']:+.3f}]" if row["seeds"] > 1 else ""


def drawn(summary: pd.DataFrame) -> Figure:
    """The difference from the gradient, a panel a measure, a row a data set and network, a colour a method."""
    measures = ("leakage", "values, 5 %", "fidelity, mean, 5 %", "fidelity, imputation, 5 %", "alignment")
    methods = [*METHODS][1:]
    figure = Figure(figsize=(15, 4.6), layout="constrained")
    panels = figure.subplots(1, len(measures))
    for panel, measure in zip(panels, measures, strict=True):
        rows = summary[summary["measure"] == measure + LESS]
        places = list(dict.fromkeys(zip(rows["data"], rows["network"], strict=True)))
        for number, method in enumerate(methods):
            one = rows[rows["attribution"] == method]
            where = [places.index(at) + 0.13 * (number - 2) for at in zip(one["data"], one["network"], strict=True)]
            ends = [one["mean"] - one["low"], one["high"] - one["mean"]]
            panel.errorbar(one["mean"], where, xerr=ends, fmt="o", ms=4, capsize=2, color=f"C{number}", label=method)
        panel.axvline(0, color="0.5", linewidth=0.8)
        panel.set_yticks(range(len(places)), [f"{data}\n{network}" for data, network in places], fontsize="x-small")
        panel.invert_yaxis()
        panel.set_title(f"{measure}{' (lower is better)' if measure == 'leakage' else ''}", fontsize="medium")
        panel.set_xlabel("less the gradient's")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=len(methods), fontsize="small")
    return figure


if __name__ == "__main__":
    main()
