"""Question: what does DiffROAR measure once the mask's own confession is taken out (docs/retrain.md)?

MNIST, Fashion-MNIST and CIFAR-10 (12,000 training images each), a standard and a robust classifier of each, levels from 2 to 50 %,
every fill, rankings by the label's, the predicted class's and all classes' gradients: raw DiffROAR (accuracy and bits) and DiffROAR
given the mask (bits), with intervals.

Run: `python benchmarks/conditional.py --data-dir DATA --weights-dir WEIGHTS --only mnist`, and so on for `fashion-mnist` and
`cifar10`; `--draw` alone prints the kept table, a cell a level. Hours on 2 cores for all; a stopped run continues.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from torch import nn

import gradaudit as ga
from _record import table_parser
from gradaudit.files import write_text
from gradaudit.results import versions

VERIFIED = (0.4914, 0.4822, 0.4465)
CHEAP = ("mean", "imputation", "zero", "noise", "blur")


@dataclass(frozen=True)
class Setting:
    """What is measured on one data set.

    Args:
        learner: what is retrained.
        levels: shares of pixels kept, with the label's ranking.
        few_levels: with the other rankings, and with fills that are no main ones.
        fills: with the label's ranking.
        main: the fills that are tried at all levels.
        few_fills: with the other rankings.
        train_images: training images.
        test_images: test images.
        seeds: independent seeds.
        targets: whose gradients rank the pixels.
    """

    learner: ga.Recipe
    levels: tuple[float, ...]
    few_levels: tuple[float, ...]
    fills: tuple[str, ...] = CHEAP
    main: tuple[str, ...] = CHEAP
    few_fills: tuple[str, ...] = CHEAP
    train_images: int = 12000
    test_images: int = 3000
    seeds: int = 2
    targets: tuple[str, ...] = ("label", "predicted", "all")


MLP = ga.Recipe(network="mlp", epochs=4, learning_rate=0.05)
CONVNET = ga.Recipe(network="convnet(width=16, batch_norm=true)", epochs=5, batch_size=256, learning_rate=0.05)
FEW = (0.02, 0.1, 0.5)
SETTINGS = {
    "mnist": Setting(MLP, (0.02, 0.05, 0.1, 0.2, 0.5), FEW, few_fills=("zero", "imputation")),
    "fashion-mnist": Setting(MLP, FEW, FEW, few_fills=("imputation",)),
    "cifar10": Setting(
        CONVNET,
        (0.02, 0.05, 0.2, 0.5),
        (0.05, 0.5),
        main=("mean", "imputation"),
        few_fills=("imputation",),
    ),
    # The generative fill takes 40 ms an image, so it is compared with others on fewer.
    "mnist, 3,000 images": Setting(
        MLP,
        (0.1,),
        (0.1,),
        fills=("zero", "imputation", "generative(denoiser='zoo:mnist')"),
        train_images=3000,
        test_images=1000,
        targets=("label",),
    ),
}


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True)
    parser.add_argument("--only", choices=[*SETTINGS], help="one data set")
    parser.add_argument("--fill", default="", help="only fills whose name begins so")
    parser.add_argument("--target", default="", help="only this ranking")
    parser.add_argument("--seeds", type=int, help="instead of two")
    parser.add_argument("--draw", action="store_true", help="print the kept table, a cell a level")
    arguments = parser.parse_args()
    kept = arguments.out / "conditional.csv"
    if not arguments.draw:
        for data in [arguments.only] if arguments.only else SETTINGS:
            measure(data, arguments)
        write_text(kept, collected(arguments.out / "out").to_csv(index=False))
    print(as_markdown(pd.read_csv(kept)))


def measure(title: str, arguments: argparse.Namespace) -> None:
    """Every run of a data set; what was run before comes from the store."""
    setting, data = SETTINGS[title], title.partition(",")[0]
    train, test = ga.load_images(data, folder=arguments.data_dir)
    whole = train
    train, test = train.sample(setting.train_images, 0), test.sample(setting.test_images, 0)
    for name, classifier in classifiers(data, whole, arguments).items():
        print(f"{data}, {name}: test accuracy {ga.measure_accuracy(classifier, test):.4f}", flush=True)
        for target, fill, levels in runs(setting):
            if not fill.startswith(arguments.fill) or arguments.target not in ("", target):
                continue
            start = time.perf_counter()
            result = ga.diffroar(
                classifier,
                train,
                test,
                evaluate="retrain",
                learner=setting.learner,
                levels=levels,
                seeds=arguments.seeds or setting.seeds,
                controls=(),
                features="pixels",
                target=target,
                fill=fill,
                store=arguments.store,
                workers=arguments.workers,
                device="cpu",
                show_progress=True,
            )
            short = fill.partition("(")[0]
            result.save(arguments.out / "out" / f"{folder_name(title)}_{name}_{target}_{short}")
            print(f"{data}, {name}, {target}, {fill}: {result.verdict} ({time.perf_counter() - start:.0f} s)", flush=True)


def folder_name(title: str) -> str:
    """The title as part of a folder's name."""
    return title.replace(", ", "_").replace(",", "").replace(" ", "_")


def runs(setting: Setting) -> Iterator[tuple[str, str, tuple[float, ...]]]:
    """Each ranking's target, fill and levels."""
    for target in setting.targets:
        first = target == setting.targets[0]
        for fill in setting.fills if first else setting.few_fills:
            yield target, fill, setting.levels if first and fill in setting.main else setting.few_levels


def classifiers(data: str, train: ga.ImageSet, arguments: argparse.Namespace) -> dict[str, nn.Module]:
    """The standard and the robust one."""
    if data == "fashion-mnist":
        recipes = {"standard": "standard", "robust": "adversarial(norm=l2, eps=1.0, steps=7)"}
        return {
            name: ga.train_once(
                ga.Recipe(network="cnn_a(activation=silu)", objective=objective, epochs=4, optimizer="adamw", learning_rate=0.002),
                train,
                store=arguments.store,
                device="cpu",
                show_progress=True,
            )
            for name, objective in recipes.items()
        }
    folder = Path(arguments.weights_dir)
    if data == "mnist":
        files = {"standard": "mnist_lenet5_clntrained.pt", "robust": "mnist_lenet5_advtrained.pt"}
        return {name: ga.load_classifier("lenet5", folder / file) for name, file in files.items()}
    robust: Any = (VERIFIED, (0.2470, 0.2435, 0.2616))
    like = {"input_shape": (3, 32, 32)}
    return {
        "standard": ga.load_classifier("resnet20", folder / "cifar10_resnet20.th", normalisation="imagenet", **like),
        "robust": ga.load_classifier("resnet4b", folder / "cifar10_resnet4b_robust.pth", normalisation=robust, **like),
    }


def collected(folder: Path) -> pd.DataFrame:
    """The summaries of all runs that are there, one row for each run and level."""
    frames = []
    for data, setting in SETTINGS.items():
        for name in ("standard", "robust"):
            for target, fill, _ in runs(setting):
                short = fill.partition("(")[0]
                path = folder / f"{folder_name(data)}_{name}_{target}_{short}"
                if path.exists():
                    result = ga.load_result(path)
                    assert isinstance(result, ga.DiffROARResult)
                    head = {"data": data, "classifier": name, "target": target, "fill": short}
                    frames.append(result.summary.assign(**head, entropy=result.details["nothing"]))
    return pd.concat(frames, ignore_index=True)


def as_markdown(table: pd.DataFrame) -> str:
    """A row for each data set, classifier, ranking and fill; raw and conditional DiffROAR by level."""
    levels = sorted(table["level"].unique())
    lines = []
    heads = (
        ("mean", "low_all", "high_all", "Raw DiffROAR, accuracy"),
        ("conditional_mean", *CONDITIONAL, "DiffROAR given the mask, bits"),
    )
    for column, low, high, title in heads:
        lines += [
            f"### {title}",
            "",
            "| data | classifier | ranking | fill | " + " | ".join(f"{100 * one:g} %" for one in levels) + " |",
        ]
        lines.append("|" + "---|" * (4 + len(levels)))
        for keys, rows in table.groupby(["data", "classifier", "target", "fill"], sort=False):
            by_level = rows.set_index("level")
            cells = [
                f"{by_level[column][one]:+.3f}{sign(by_level[low][one], by_level[high][one])}" if one in by_level.index else "-"
                for one in levels
            ]
            lines.append("| " + " | ".join([*map(str, keys), *cells]) + " |")
        lines.append("")
    lines.append("`+` or `-`: the 95 % interval for all levels at once lies above or below 0.")
    return "\n".join([*lines, "", f"{versions()}", ""])


CONDITIONAL = ("conditional_low_all", "conditional_high_all")


def sign(low: float, high: float) -> str:
    """Which side of 0 the interval is on."""
    return " `+`" if low > 0 else " `-`" if high < 0 else ""


if __name__ == "__main__":
    main()
