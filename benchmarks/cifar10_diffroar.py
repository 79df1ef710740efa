"""Question: do a robust network's gradients rank CIFAR-10's pixels better than a standard one's (docs/retrain.md)?

The claim of Shah, Jain and Netrapalli (NeurIPS 2021), on a CPU: ResNet-20 (standard) and ResNet-4B (robust), which others trained;
12,000 training and 3,000 test images; a small convnet retrained on the 2 to 80 % of pixels ranked highest and lowest by the label's
gradient, the rest filled with the mean; three seeds; learners of the masks alone, and, with `--conditional`, of mask and pixels. At
each level the difference robust - standard, paired by seed. `--learner learners/fast-convnet --seeds 8 --no-masks` takes the raw
measure alone, with more seeds.

Run: `python benchmarks/cifar10_diffroar.py --data-dir DATA --weights-dir WEIGHTS`. About half an hour on 2 cores; a stopped run
continues.
"""

from __future__ import annotations

import time

import pandas as pd

import gradaudit as ga
from _record import table_parser
from conditional import CONVNET, classifiers, sign
from gradaudit.files import write_text
from gradaudit.instruments.diffroar.measures import RAW, Measure
from gradaudit.instruments.diffroar.statistics import interval
from gradaudit.results import versions

LEVELS = (0.02, 0.05, 0.1, 0.2, 0.5, 0.8)


def main() -> None:
    parser = table_parser(__file__, __doc__, weights=True)
    parser.add_argument("--train-images", type=int, default=12000)
    parser.add_argument("--test-images", type=int, default=3000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--learner", help="the name of a recipe, instead of the small convnet")
    parser.add_argument("--no-masks", action="store_true", help="without learners of the masks alone")
    parser.add_argument("--conditional", action="store_true", help="also learners of mask and pixels: half as many networks again")
    arguments = parser.parse_args()
    whole, test = ga.load_images("cifar10", folder=arguments.data_dir)
    train, test = whole.sample(arguments.train_images, 0), test.sample(arguments.test_images, 0)
    found, start = {}, time.perf_counter()
    for name, classifier in classifiers("cifar10", whole, arguments).items():
        found[name] = ga.diffroar(
            classifier,
            train,
            test,
            evaluate="retrain",
            learner=arguments.learner or CONVNET,
            levels=LEVELS,
            seeds=arguments.seeds,
            controls=(),
            features="pixels",
            fill="mean",
            mask_only=not arguments.no_masks,
            conditional=arguments.conditional,
            store=arguments.store,
            workers=arguments.workers,
            device="cpu",
            show_progress=True,
        )
        found[name].save(arguments.out / "out" / name)
        print(f"{name}: {found[name].verdict}", flush=True)
    table = compared(found)
    text = f"{as_markdown(table)}\n\n{time.perf_counter() - start:.0f} s, what the store had before not counted; {versions()}\n"
    write_text(arguments.out / "cifar10_diffroar.md", text)
    print(text)


def compared(found: dict[str, ga.DiffROARResult]) -> pd.DataFrame:
    """A row for each measure and level: of the two networks and of robust - standard, the mean and its interval for all levels."""
    rows = []
    for measure in found["robust"].measures:
        for place, level in enumerate(LEVELS):
            row: dict[str, object] = {"measure": measure.column, "level": level}
            for name, result in found.items():
                one = result.summary.set_index("level").loc[level]
                row |= {f"{name}_{part}": one[f"{measure.prefix}{part}"] for part in ("mean", "low_all", "high_all")}
                row |= {f"{name}_{side}": one[side] for side in ("top", "bottom", "mask_top", "mask_bottom")}
            rows.append(row | difference(found, measure, place))
    return pd.DataFrame(rows)


def difference(found: dict[str, ga.DiffROARResult], measure: Measure, place: int) -> dict[str, float]:
    """Robust - standard at one level: seeds are paired; that both saw the same test images is not made use of."""
    by_seed, of_images = [], 0.0
    for name in ("robust", "standard"):
        table = found[name].table
        by_seed.append(table[table["level"] == LEVELS[place]].set_index("seed")[measure.column])
        (parts,) = found[name].details[f"{measure.prefix}image_variance"].values()
        of_images += parts[place]
    images = found["robust"].settings["test_images"]
    one = interval(list(by_seed[0] - by_seed[1]), len(LEVELS), 1 / images, of_images, images)
    return {"difference_mean": one.mean, "difference_low_all": one.low_all, "difference_high_all": one.high_all}


def as_markdown(table: pd.DataFrame) -> str:
    """For each measure the two curves and their difference."""
    lines = []
    for measure, rows in table.groupby("measure", sort=False):
        unit = "accuracy" if measure == RAW.column else "bits"
        lines += [f"| {measure}, {unit} | " + " | ".join(f"{100 * level:g} %" for level in rows["level"]) + " |"]
        lines += ["|" + "---|" * (1 + len(rows))]
        for name in ("standard", "robust", "difference"):
            ends = zip(rows[f"{name}_mean"], rows[f"{name}_low_all"], rows[f"{name}_high_all"], strict=True)
            cells = [f"{mean:+.3f} [{low:+.3f}, {high:+.3f}]{sign(low, high)}" for mean, low, high in ends]
            lines.append(f"| {'robust - standard' if name == 'difference' else name} | " + " | ".join(cells) + " |")
        lines.append("")
    rows = table[table["measure"] == RAW.column]
    for name in ("standard", "robust"):
        for side in ("top", "bottom", "mask_top", "mask_bottom"):
            if rows[f"{name}_{side}"].isna().any():
                continue
            lines.append(f"{name}, {side}: " + ", ".join(f"{value:.3f}" for value in rows[f"{name}_{side}"]))
    return "\n".join(lines)


if __name__ == "__main__":
    main()
