"""Question: what do the ranked pixels say by their values, whatever their choice says (docs/diffroar.md)?

MNIST, Fashion-MNIST and CIFAR-10 (12,000 training, 3,000 test images), a standard and a robust classifier of each, levels from 2 to
50 %, five evaluators; rankings by the label's and by all classes' gradients, random and edges beside. Raw DiffROAR, DiffROAR given
the mask and the learners of mask and pixels, from which the bits of selection follow, are those of `conditional.py` on the same
images.

Run: `python benchmarks/values.py --data-dir DATA --weights-dir WEIGHTS --only mnist`, and so on for `fashion-mnist` and `cifar10`;
`--draw` alone makes the table of what is there. About 20 minutes on 2 cores for each; a stopped run continues.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import pandas as pd
import torch
from torch import nn

import gradaudit as ga
from _record import RESULTS, table_parser
from conditional import classifiers
from gradaudit.attributions import attribute_all
from gradaudit.files import write_text
from gradaudit.results import versions

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5)
SETS = ("mnist", "fashion-mnist", "cifar10")


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True)
    parser.add_argument("--only", choices=SETS, help="one data set")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--draw", action="store_true", help="only the table of what is there")
    arguments = parser.parse_args()
    if arguments.draw and not (arguments.out / "out").is_dir():
        parser.error(f"nothing was measured here that --draw could show: there is no {arguments.out / 'out'}")
    for data in [] if arguments.draw else [arguments.only] if arguments.only else SETS:
        measure(data, arguments)
    text = as_markdown(arguments.out / "out")
    write_text(arguments.out / "values.md", text)
    print(text)


def measure(data: str, arguments: argparse.Namespace) -> None:
    """Every ranking of a data set, read by the same evaluators."""
    start = time.perf_counter()
    train, test = ga.load_images(data, folder=arguments.data_dir)
    whole = train
    train, test = train.sample(12000, 0), test.sample(3000, 0)
    models = classifiers(data, whole, arguments)
    result = ga.diffroar(
        models["robust"],  # it is not asked: all scores are given
        train,
        test,
        gradients(models, test),
        levels=LEVELS,
        seeds=arguments.seeds,
        controls=("random", "edges"),
        features="pixels",
        store=arguments.store,
        workers=arguments.workers,
        device="cpu",
        show_progress=True,
    )
    result.save(arguments.out / "out" / data)
    for name, verdict in result.verdicts.items():
        print(f"{data}, {name}: {verdict}", *verdict.caveats, sep="\n  ", flush=True)
    print(f"{data}: {time.perf_counter() - start:.0f} s", flush=True)


def gradients(models: dict[str, nn.Module], test: ga.ImageSet) -> list[dict[str, torch.Tensor]]:
    """The rankings: of each classifier the gradient of the label's logit and of all classes'."""
    return [
        {f"{name}, {target}": attribute_all(classifier, test, "logit_gradient", target=target, device="cpu")}
        for name, classifier in models.items()
        for target in ("label", "all")
    ]


def as_markdown(folder: Path) -> str:
    """Values for each data set and ranking by level; and beside them what retraining says of the same rankings."""
    retrained = pd.read_csv(RESULTS / "conditional" / "conditional.csv")
    heads = " | ".join(f"{100 * level:g} %" for level in LEVELS)
    lines = ["### Values, bits, top less bottom", "", f"| data | ranking | {heads} |", "|---|---|" + "---|" * len(LEVELS)]
    results = {data: ga.load_result(folder / data) for data in SETS if (folder / data).exists()}
    for data, result in results.items():
        assert isinstance(result, ga.DiffROARResult)
        for name, rows in result.summary.groupby("attribution", sort=False):
            cells = [
                f"{row['values_mean']:+.2f} ± {row['values_high'] - row['values_mean']:.2f}" for row in rows.to_dict("records")
            ]
            lines.append(f"| {data} | {name} | {' | '.join(cells)} |")
    lines += ["", "95 % intervals over five evaluators and 3,000 test images.", ""]
    lines += ["### Beside retraining on the same images and rankings, the mean in the place of removed pixels", ""]
    lines += [
        "| data | ranking | kept | values | top / bottom | raw, accuracy | raw, bits | given the mask | selection, top / bottom |"
    ]
    lines += ["|---|---|---|---|---|---|---|---|---|"]
    for data, result in results.items():
        assert isinstance(result, ga.DiffROARResult)
        summary = result.summary.set_index(["attribution", "level"])
        for row in retrained[(retrained["data"] == data) & (retrained["fill"] == "mean")].to_dict("records"):
            at = (f"{row['classifier']}, {row['target']}", row["level"])
            if at not in summary.index:
                continue
            ours = summary.loc[at]
            chosen = " / ".join(f"{ours[f'bits_{side}'] - row[f'bits_both_{side}']:+.2f}" for side in ("top", "bottom"))
            lines.append(
                f"| {data} | {at[0]} | {100 * row['level']:g} % | {ours['values_mean']:+.2f} |"
                f" {ours['values_top_mean']:.2f} / {ours['values_bottom_mean']:.2f} | {row['mean']:+.3f} |"
                f" {row['bits_mean']:+.2f} |"
                f" {row['conditional_mean']:+.2f} | {chosen} |"
            )
    lines += [
        "",
        "### Gap, and the choice read",
        "",
        "| data | random pixels kept | network of these alone knows more by | bits read from a choice, at most |",
    ]
    lines += ["|---|---|---|---|"]
    for data, result in results.items():
        swap = max(float(result.table[f"swap_{side}"].max()) for side in ("top", "bottom"))
        for gap in result.details["gap"]:
            ends = f"{gap['mean']:+.3f} [{gap['low']:+.3f}, {gap['high']:+.3f}]"
            lines.append(f"| {data} | {100 * gap['level']:g} % | {ends} | {swap:.3f} |")
    return "\n".join([*lines, "", f"{versions()}", ""])


if __name__ == "__main__":
    main()
