"""Claim: DiffROAR given the mask is 0 where the kept pixels say nothing, while the raw one is not (docs/diffroar.md).

BlockMNIST (two digits, position drawn by image) and the theory's x = y e_j. Rankings made by hand, whose right answer is known:

- `top confesses`: top- and bottom-ranked pixels all lie in the null block (or off the signal coordinate), where nothing tells the
  label; but *which* of them rank highest was chosen by the label, so that the top mask confesses it. Pixels tell nothing: 0.
- `both confess`: likewise, and the bottom mask confesses as well: 0.
- `silence`: the same places in an order drawn at random: 0, and no mask tells anything either.
- `signal`: the signal first, the rest last: above 0.

Run: `python benchmarks/known_answer.py --data-dir DATA`. About 10 minutes on 2 cores; a stopped run continues.
"""

from __future__ import annotations

import argparse
import math
import time

import numpy as np
import pandas as pd
import torch

import gradaudit as ga
from _record import table_parser
from gradaudit.files import write_text
from gradaudit.results import versions

FILLS = ("zero", "mean")
EXPECTED = {"top confesses": "0", "both confess": "0", "silence": "0", "signal": "above 0"}


def main() -> None:
    parser = table_parser(__file__, __doc__)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    start = time.perf_counter()
    train, test = ga.load_images("mnist", folder=arguments.data_dir)
    halves = [ga.blocks(half, classes=(0, 1), seed=0).sample(count, 0) for half, count in ((train, 6000), (test, 2000))]
    frames = [measured("BlockMNIST", halves, (0.02, 0.05, 0.1), FILLS, arguments)]
    lines = [ga.coordinate_images(count, dimensions=10, seed=seed) for count, seed in ((6000, 0), (2000, 1))]
    frames.append(measured("x = y e_j", lines, (0.1, 0.2), ("zero", "noise"), arguments))
    table = pd.concat(frames)
    text = as_markdown(table)
    write_text(arguments.out / "known_answer.md", f"{text}\n{arguments.seeds} seeds, {versions()}\n")
    print(text)
    print(f"{time.perf_counter() - start:.0f} s")


def measured(
    title: str, halves: list[ga.ImageSet], levels: tuple[float, ...], fills: tuple[str, ...], arguments: argparse.Namespace
) -> pd.DataFrame:
    """Every ranking under every fill."""
    # It is not asked: all scores are given.
    classifier = ga.train_once(ga.Recipe(network="linear", epochs=1), halves[0], store=arguments.store, device="cpu")
    rankings = [{name: tuple(scores(half, name, seed) for seed, half in enumerate(halves))} for name in EXPECTED]
    frames = []
    for fill in fills:
        result = ga.diffroar(
            classifier,
            *halves,
            rankings,
            evaluate="retrain",
            learner=ga.Recipe(network="mlp", epochs=4, learning_rate=0.05),
            levels=levels,
            seeds=arguments.seeds,
            controls=(),
            fill=fill,
            store=arguments.store,
            workers=arguments.workers,
            device="cpu",
            show_progress=True,
        )
        result.save(arguments.out / "out" / f"{title.replace(' ', '_')}_{fill}")
        frames.append(result.summary.assign(data=title, fill=fill))
    return pd.concat(frames)


def scores(images: ga.ImageSet, name: str, seed: int) -> torch.Tensor:
    """Scores (N, C, H, W) with a known right answer: the signal's places in the middle, and beside them what `name` says."""
    mask = images.signal_mask
    assert mask is not None
    rng = np.random.default_rng([seed, [*EXPECTED].index(name)])
    draws, order = (torch.from_numpy(rng.random(tuple(images.images.shape), dtype=np.float32)) for _ in range(2))
    inside = mask[:, None].expand_as(draws)
    if name == "signal":
        return torch.where(inside, 2 + draws, draws)
    # Places off the signal are of kinds by where they lie: some rank high, some low, the signal and all else between them.
    place = torch.arange(math.prod(images.shape)).view(images.shape)
    label = images.labels.view(-1, 1, 1, 1)
    high = draws > 0.5 if name == "silence" else place % 2 == label if name == "both confess" else place % 4 == label
    low = place % 4 >= 2 if name == "top confesses" else ~high
    found = torch.where(high, 2 + order, torch.where(low, order * 0.5, 1 + 0.1 * order))
    return torch.where(inside, 1 + 0.1 * draws, found)


def as_markdown(table: pd.DataFrame) -> str:
    """A row for each data set, ranking, fill and level."""
    lines = [
        "| data | ranking | must be | fill | kept | mask alone, top / bottom | raw, accuracy | raw, bits | given the mask, bits |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for row in table.to_dict("records"):
        ends = {
            name: f"{row[f'{name}mean']:+.3f} [{row[f'{name}low']:+.3f}, {row[f'{name}high']:+.3f}]"
            for name in ("", "bits_", "conditional_")
        }
        name = row["attribution"]
        lines.append(
            f"| {row['data']} | {name} | {EXPECTED[name]} | {row['fill']} | {100 * row['level']:g} % |"
            f" {row['mask_top']:.3f} / {row['mask_bottom']:.3f} | {ends['']} | {ends['bits_']} | {ends['conditional_']} |"
        )
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
