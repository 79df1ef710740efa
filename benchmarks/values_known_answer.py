"""Claim: bits of values are right where the answer is known, whatever the masks confess (docs/diffroar.md).

The rankings of `known_answer.py` on BlockMNIST and on the theory's x = y e_j, five evaluators each: values are 0 in every evaluator
where the kept pixels say nothing, though the mask tells the label; and nearly the label's one bit where the signal is ranked first.

Run: `python benchmarks/values_known_answer.py --data-dir DATA`. About 15 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import argparse
import time

import pandas as pd

import gradaudit as ga
from _record import table_parser
from gradaudit.files import write_text
from gradaudit.results import versions
from known_answer import EXPECTED, scores


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--epochs", type=int, default=32)
    arguments = parser.parse_args()
    start = time.perf_counter()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    halves = [ga.blocks(half, classes=(0, 1), seed=0).sample(count, 0) for half, count in ((train, 12000), (test, 2000))]
    convnet = ga.named_recipe("evaluators/convnet", epochs=arguments.epochs)
    tables = [measured("BlockMNIST", halves, (0.02, 0.05, 0.1), convnet, arguments)]
    lines = [ga.coordinate_images(count, dimensions=10, seed=seed) for count, seed in ((6000, 0), (2000, 1))]
    tables.append(measured("x = y e_j", lines, (0.1, 0.2), ga.named_recipe("evaluators/mlp"), arguments))
    text = as_markdown(pd.concat(tables))
    write_text(arguments.out / "values_known_answer.md", f"{text}\n{arguments.seeds} evaluators, {versions()}\n")
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")


def measured(
    title: str, halves: list[ga.ImageSet], levels: tuple[float, ...], recipe: ga.Recipe, arguments: argparse.Namespace
) -> pd.DataFrame:
    """Every ranking, read by the same evaluators."""
    # It is not asked: all scores are given.
    classifier = ga.train_once(ga.Recipe(network="linear", epochs=1), halves[0], store=arguments.store, device="cpu")
    result = ga.diffroar(
        classifier,
        *halves,
        [{name: scores(halves[1], name, 1)} for name in EXPECTED],
        evaluator=recipe,
        levels=levels,
        seeds=arguments.seeds,
        controls=(),
        gap=0,
        store=arguments.store,
        workers=arguments.workers,
        device="cpu",
        show_progress=True,
    )
    result.save(arguments.out / "out" / title.replace(" ", "_"))
    return result.table.assign(data=title)


def as_markdown(table: pd.DataFrame) -> str:
    """A row for each data set, ranking and level, the worst evaluator beside the mean."""
    lines = [
        "| data | ranking | must be | kept | values, mean | of single evaluators | read from the choice, at most |",
        "|---|---|---|---|---|---|---|",
    ]
    for (data, name, level), rows in table.groupby(["data", "attribution", "level"], sort=False):
        each = f"{rows['values'].min():+.3f} to {rows['values'].max():+.3f}"
        swap = rows[["swap_top", "swap_bottom"]].to_numpy().max()
        must = EXPECTED[str(name)]
        lines.append(
            f"| {data} | {name} | {must} | {100 * float(level):g} % | {rows['values'].mean():+.3f} | {each} | {swap:.3f} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
