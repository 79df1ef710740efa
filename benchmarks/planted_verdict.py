"""Question: which instrument should be believed, and how often is the answer wrong (docs/answer.md)?

Each measure, and the answer's model of several, is judged by the maps of a world that it has not seen, and by those of a kind of
classifier that it has not seen: AUROC for telling good maps from bad, Spearman's correlation with the known quality, how many bad
maps it would trust, how many good ones. Intervals are bootstraps over classifiers. Then alignment: which score, sigma and
similarity tell good gradients from bad.

Run: `python benchmarks/planted_verdict.py`. Half a minute on one core, after `planted.py`, whose parts it reads.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import stats

from _record import RESULTS
from gradaudit.answering.answers import FEWEST_GOOD, MOST_BAD, MOST_GOOD
from gradaudit.answering.planted import BAD, GOOD, OF_CLASSIFIERS, OF_MAPS, PLAIN, fit
from gradaudit.files import write_text
from planted import GROUPS, every_row, measures

MODELS: dict[str, tuple[str, ...]] = {
    **{one: (one,) for one in OF_MAPS},
    "answer: fidelity, contrast": ("fidelity_imputation", "contrast"),
    "answer: values, fidelity": ("values", "fidelity_imputation"),
    "answer: values, fidelity, contrast": ("values", "fidelity_imputation", "contrast"),
    "answer: values, fidelity, alignment": ("values", "fidelity_imputation", "alignment"),
    "answer: everything": ("values", "fidelity_imputation", "alignment", "contrast"),
}
SINGLE = ("patches", "log_fidelity_mean_0.1", "contrast_signed_30", "contrast_magnitudes_1", "contrast_magnitudes_10")
OWN = ("gradient", "smoothgrad", "guided backprop", "excitation pullback", "last layer drawn anew", "another image's", "untrained")
DRAWS = 200


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--parts", type=Path, default=RESULTS / "planted" / "out")
    arguments = parser.parse_args()
    rows = measures(pd.DataFrame(every_row(arguments.parts)))
    parts = [
        ("The planted maps", population(rows)),
        ("Worlds that were not seen", pd.DataFrame(judged(rows, "world"))),
        ("Kinds of classifiers that were not seen", pd.DataFrame(judged(rows, "classifier"))),
        ("Single measures, maps of each world", pd.DataFrame(single(rows))),
        ("Classifiers: telling those whose gradient is good from those whose gradient is bad", pd.DataFrame(of_classifiers(rows))),
        ("Alignment: telling good gradients from bad", alignment(rows)),
        ("Seconds a map, processor time on one core", cost(arguments.parts)),
    ]
    text = "\n\n".join(f"### {title}\n\n{as_markdown(found)}" for title, found in parts)
    print(write_text(RESULTS / "planted_verdict" / "verdict.md", text + "\n").read_text(encoding="utf-8"))


def population(rows: pd.DataFrame) -> pd.DataFrame:
    """How many maps there are of each world, and how many are good and bad."""
    groups = rows.groupby("world")
    return pd.DataFrame(
        {
            "world": [*groups.groups],
            "classifiers": groups["classifier"].nunique().to_numpy(),
            "maps": groups.size().to_numpy(),
            "good": groups["quality"].agg(lambda found: int((found >= GOOD).sum())).to_numpy(),
            "bad": groups["quality"].agg(lambda found: int((found <= BAD).sum())).to_numpy(),
        }
    )


def judged(rows: pd.DataFrame, by: str) -> Iterator[dict[str, Any]]:
    """Each model by what it says of the maps that were held out, one world or one kind of classifier at a time."""
    for name, wanted in MODELS.items():
        held = pd.concat(said(rows[rows[by] != one], rows[rows[by] == one], wanted) for one in sorted(rows[by].unique()))
        yield {"model": name, **with_interval(held, by)}


def said(seen: pd.DataFrame, held: pd.DataFrame, wanted: Sequence[str]) -> pd.DataFrame:
    """The index and the label of each held-out map, by a model of the others; intervals of the numbers aside."""
    model = fit(seen, tuple(wanted))
    held = held.dropna(subset=[*wanted])
    likes = [model.likes(row) for row in held[[*wanted]].to_dict("records")]
    good, bad = (np.array([getattr(one, which) / one.count for one in likes]) for which in ("good", "bad"))
    label = np.where((good >= FEWEST_GOOD) & (bad <= MOST_BAD), "trust", np.where(good <= MOST_GOOD, "do not trust", "not settled"))
    index = [model.at(row) for row in held[[*wanted]].to_dict("records")]
    return held[["world", "classifier", "map", "quality"]].assign(index=index, label=label)


def with_interval(held: pd.DataFrame, by: str) -> dict[str, str]:
    """Each figure with a 95 % bootstrap interval over classifiers."""
    clusters = [group.index.to_numpy() for _, group in held.reset_index(drop=True).groupby(["world", "classifier"])]
    columns = {name: held[name].to_numpy() for name in ("index", "quality", "label", by)}
    generator = np.random.default_rng(0)
    drawn = [np.concatenate([clusters[one] for one in generator.integers(len(clusters), size=len(clusters))]) for _ in range(DRAWS)]
    values = [figures({name: column[which] for name, column in columns.items()}, by) for which in drawn]
    found: dict[str, str] = {}
    for name, value in figures(columns, by).items():
        low, high = np.nanquantile([one[name] for one in values], [0.025, 0.975])
        found[name] = f"{value:.3f} [{low:.3f}, {high:.3f}]"
    return found


def figures(found: dict[str, np.ndarray], by: str) -> dict[str, float]:
    """AUROC of good against bad and Spearman's correlation with the quality, means over what was held out; and shares of labels."""
    good, bad = found["quality"] >= GOOD, found["quality"] <= BAD
    groups = [found[by] == one for one in sorted({*found[by]})]
    return {
        "AUROC": float(np.nanmean([auroc(found["index"][one], found["quality"][one]) for one in groups])),
        "Spearman": float(np.nanmean([stats.spearmanr(found["index"][one], found["quality"][one]).statistic for one in groups])),
        "bad that it trusts": float((found["label"][bad] == "trust").mean()),
        "good that it trusts": float((found["label"][good] == "trust").mean()),
        "good that it distrusts": float((found["label"][good] == "do not trust").mean()),
        "bad that it distrusts": float((found["label"][bad] == "do not trust").mean()),
    }


def auroc(index: Any, quality: Any) -> float:
    """The area under the ROC curve of an index for good maps against bad ones, ties half; NaN where one of them is missing."""
    index, quality = np.asarray(index, float), np.asarray(quality, float)
    clear = (quality >= GOOD) | (quality <= BAD)
    ranks, good = stats.rankdata(index[clear]), quality[clear] >= GOOD
    hits, misses = int(good.sum()), int((~good).sum())
    return float((ranks[good].sum() - hits * (hits + 1) / 2) / (hits * misses)) if hits and misses else float("nan")


def as_markdown(table: pd.DataFrame) -> str:
    """The table, numbers to three digits."""
    lines = [[*table], ["---"] * table.shape[1], *([_shown(one) for one in row] for row in table.to_numpy().tolist())]
    return "\n".join(f"| {' | '.join(map(str, line))} |" for line in lines)


def _shown(value: Any) -> str:
    return ("" if value != value else f"{value:.3f}") if isinstance(value, float) else str(value)


def single(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """AUROC within each world."""
    for name in (*OF_MAPS, *SINGLE):
        groups = rows.dropna(subset=[name]).groupby("world")
        found = {world: auroc(group[name], group["quality"]) for world, group in groups}
        yield {"measure": name, "mean": float(np.nanmean([*found.values()])), **found}


def of_classifiers(rows: pd.DataFrame) -> Iterator[dict[str, Any]]:
    """Each measure by the gradients alone, one a classifier: pooled over worlds, and within them."""
    own = rows[rows["map"] == PLAIN]
    for name in (*OF_MAPS, *OF_CLASSIFIERS):
        found = own.dropna(subset=[name])
        draws = (found.sample(frac=1, replace=True, random_state=seed) for seed in range(DRAWS))
        low, high = np.nanquantile([auroc(one[name], one["quality"]) for one in draws], [0.025, 0.975])
        within = [stats.spearmanr(group[name], group["quality"]).statistic for _, group in found.groupby("world")]
        yield {
            "measure": name,
            "classifiers": len(found),
            "AUROC": f"{auroc(found[name], found['quality']):.3f} [{low:.3f}, {high:.3f}]",
            "Spearman": float(stats.spearmanr(found[name], found["quality"]).statistic),
            "Spearman within worlds, mean": float(np.nanmean(within)),
        }


def alignment(rows: pd.DataFrame) -> pd.DataFrame:
    """AUROC of the likeness of a classifier's own maps to each score, by sigma and similarity."""
    own = rows[rows["map"].isin(OWN)]
    columns = [one for one in rows if one.endswith(("_signed", "_absolute", "_magnitudes"))]
    found = []
    for column in columns:
        score, sigma, similarity = column.split("_")
        areas = {world: auroc(group[column], group["quality"]) for world, group in own.dropna(subset=[column]).groupby("world")}
        found.append({"score": score, "sigma": float(sigma), "similarity": similarity, "mean": np.mean([*areas.values()]), **areas})
    contrasts = {world: auroc(group["contrast"], group["quality"]) for world, group in own.groupby("world") if world in areas}
    beside = {"score": "contrast, no score", "similarity": "magnitudes", "mean": np.mean([*contrasts.values()]), **contrasts}
    return pd.DataFrame([*found, beside]).sort_values("mean", ascending=False)


def cost(parts: Path) -> pd.DataFrame:
    """Of each group."""
    found = []
    for group in GROUPS:
        files = [json.loads(file.read_text(encoding="utf-8")) for file in parts.glob(f"*/*/{group}.json")]
        seconds = [one["seconds"] / len(one["columns"]) for one in files if one["seconds"] > 0]
        found.append({"group": group, "median": float(np.median(seconds)) if seconds else float("nan"), "parts": len(seconds)})
    return pd.DataFrame(found)


if __name__ == "__main__":
    main()
