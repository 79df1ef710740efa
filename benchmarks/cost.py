"""Claim: a DiffROAR run costs in proportion to its networks and images, and no more than that to its pixels: log-log slopes of wall
time near 1, or below for pixels, and slopes of memory of at most 1.

One thing varies at a time: the networks that are fitted (one on whole images, and two a level), the training images, and the side
of the images; for an MLP and for a small convnet, on random images, with one worker of one thread. Every point is a process of its
own: wall time of the run, and the largest resident memory while it ran, data included, less what the libraries took before. The
slope is that of least squares on logarithms, with its 95 % interval; the constant is the median over the points of wall time over
networks, epochs, images and features. An MLP's hidden layers do not grow with the image: against pixels its slope is below 1.
Run: `OMP_NUM_THREADS=1 python benchmarks/cost.py`. About 5 minutes on one core. Linux only.
"""

from __future__ import annotations

import tempfile
import time
from dataclasses import astuple, dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from matplotlib.figure import Figure
from scipy import stats

from _processes import alone, peak, reset_peak
from _record import RESULTS, Row, benchmark_parser, recording
from gradaudit.files import whole_file, write_text

CELLS, IMAGES, SIDES = (2, 4, 8, 16), (2000, 4000, 8000, 16000, 32000), (14, 28, 56, 112)
NEAR = (0.9, 1.1)  # what a slope of wall time near 1 is
MEASURES = {"seconds": "s", "megabytes": "MB"}


@dataclass(frozen=True)
class Point:
    """A run: its learner and epochs, levels, training images and their side."""

    network: str
    epochs: int
    levels: int
    images: int
    side: int

    @property
    def networks(self) -> int:
        """That are fitted: one on whole images, and top and bottom at each level."""
        return 1 + 2 * self.levels

    @property
    def features(self) -> int:
        """Pixels of an image."""
        return self.side**2


BASES = (Point("mlp", 2, 2, 8000, 28), Point("convnet(width=8)", 1, 2, 2000, 28))
VARIED = {"networks": ("levels", CELLS), "images": ("images", IMAGES), "features": ("side", SIDES)}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--out", type=Path, default=RESULTS / "cost")
    arguments = parser.parse_args()
    with recording(__file__, __doc__, arguments) as rows:
        table = measured(arguments.rounds, arguments.short)
        slopes = slopes_of(table)
        print(as_markdown(table, slopes))
        rows += as_rows(table, slopes)
    if not arguments.short:
        write_text(arguments.out / "cost.csv", table.round(4).to_csv(index=False))
        write_text(arguments.out / "cost.md", as_markdown(table, slopes))
        with whole_file(arguments.out / "cost.svg") as file:
            drawn(table, slopes).savefig(file, format="svg", metadata={"Date": None})


def measured(rounds: int, short: bool) -> pd.DataFrame:
    """Every point in turn, one row each; what varies in it, seconds and megabytes."""
    rows = []
    for number in range(rounds):
        for base in BASES:
            for what, (name, values) in VARIED.items():
                small = replace(base, images=base.images // 10) if short else base
                for value in values[:3] if short else values:
                    point = replace(small, **{name: value // 10 if short and name == "images" else value})
                    seconds, memory = alone(run, point)
                    found = {"varied": what, **vars(point), "networks": point.networks, "features": point.features}
                    rows.append({"round": number, **found, "seconds": seconds, "megabytes": memory / 1e6})
                    print(f"{what}: {point}: {seconds:.2f} s, {memory / 1e6:.0f} MB", flush=True)
    return pd.DataFrame(rows)


def run(point: Point) -> tuple[float, int]:
    """Seconds of a DiffROAR run in this process, and the bytes that it takes beyond the libraries."""
    import torch

    import gradaudit as ga

    torch.set_num_threads(1)

    def audit(count: int, levels: int) -> None:
        rng = np.random.default_rng(0)
        shape = (1, point.side, point.side)
        train, test = (
            ga.ImageSet(rng.integers(0, 256, (n, *shape), np.uint8), rng.integers(0, 10, n), tuple("0123456789"))
            for n in (count, count // 4)
        )
        torch.manual_seed(0)
        classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(point.features, 10))
        learner = ga.Recipe(network=point.network, epochs=point.epochs)
        chosen = np.linspace(0.05, 0.9, levels).tolist()
        options = {"levels": chosen, "seeds": 1, "controls": (), "mask_only": False, "workers": 1, "device": "cpu"}
        with tempfile.TemporaryDirectory() as store:
            ga.diffroar(classifier, train, test, learner=learner, store=store, **options)

    audit(200, 1)  # imports, and kernels that are chosen once
    before = reset_peak()
    start = time.perf_counter()
    audit(point.images, point.levels)
    return time.perf_counter() - start, peak() - before


@dataclass(frozen=True)
class Slope:
    """Of a line through logarithms, with its 95 % interval, and where it is at 1."""

    value: float
    low: float
    high: float
    intercept: float

    def __str__(self) -> str:
        return f"{self.value:.2f} [{self.low:.2f}, {self.high:.2f}]"


def fitted(x: np.ndarray, y: np.ndarray) -> Slope:
    """The slope of ln y against ln x, of positive numbers (n,), n of at least 3."""
    centred, heights = np.log(x) - np.log(x).mean(), np.log(y)
    slope = centred @ heights / (centred @ centred)
    off = heights - heights.mean() - slope * centred
    reach = stats.t.ppf(0.975, len(x) - 2) * np.sqrt(off @ off / (len(x) - 2) / (centred @ centred))
    intercept = heights.mean() - slope * np.log(x).mean()
    return Slope(*(float(value) for value in (slope, slope - reach, slope + reach, intercept)))


def slopes_of(table: pd.DataFrame) -> dict[tuple[str, str, str], Slope]:
    """By network, what is varied, and measure."""
    groups = table.groupby(["network", "varied"], sort=False)
    return {
        (network, varied, measure): fitted(points[varied].to_numpy(float), points[measure].to_numpy(float))
        for (network, varied), points in groups
        for measure in MEASURES
    }


def constant(table: pd.DataFrame, network: str) -> float:
    """Nanoseconds for each network, epoch, training image and feature."""
    points = table[table["network"] == network]
    work = points["networks"] * points["epochs"] * points["images"] * points["features"]
    return float((1e9 * points["seconds"] / work).median())


def as_rows(table: pd.DataFrame, slopes: dict[tuple[str, str, str], Slope]) -> list[Row]:
    """Of the record."""
    rows = []
    for (network, varied, measure), slope in slopes.items():
        needs = {"at_most": 1.0} if measure == "megabytes" else {"at_most": NEAR[1]}
        if measure == "seconds" and varied != "features":
            needs["at_least"] = NEAR[0]
        of, (_, low, high, _) = "wall time" if measure == "seconds" else "memory", astuple(slope)
        rows.append(Row(f"{network}: slope of {of} against {varied} [{low:.2f}, {high:.2f}]", slope.value, **needs))
    for network in table["network"].unique():
        rows.append(Row(f"{network}: wall time", constant(table, network), "ns a network, epoch, image and feature"))
    return rows


def as_markdown(table: pd.DataFrame, slopes: dict[tuple[str, str, str], Slope]) -> str:
    """The slopes and the constants, then the points."""
    lines = ["| learner | varied | slope of wall time | slope of memory |", "|---|---|---|---|"]
    for network, varied in dict.fromkeys(key[:2] for key in slopes):
        both = " | ".join(str(slopes[network, varied, measure]) for measure in MEASURES)
        lines.append(f"| {network} | {varied} | {both} |")
    lines.append("")
    for network in table["network"].unique():
        lines.append(f"- {network}: {constant(table, network):.3g} ns a network, epoch, training image and feature.")
    lines += ["", "| learner | networks | images | side | s | MB |", "|---|---|---|---|---|---|"]
    for keys, points in table.groupby(["network", "networks", "images", "side"], sort=False):
        middle = points[list(MEASURES)].median()
        lines.append(f"| {' | '.join(str(key) for key in keys)} | {middle['seconds']:.2f} | {middle['megabytes']:.0f} |")
    return "\n".join(lines) + "\n"


def drawn(table: pd.DataFrame, slopes: dict[tuple[str, str, str], Slope]) -> Figure:
    """Wall time above, memory below; a column for each thing that varies, a colour for each learner."""
    figure = Figure(figsize=(10, 5.5), layout="constrained")
    grid = figure.subplots(len(MEASURES), len(VARIED), sharex="col", squeeze=False)
    for axes_row, (measure, unit) in zip(grid, MEASURES.items(), strict=True):
        for axes, varied in zip(axes_row, VARIED, strict=True):
            for place, network in enumerate(table["network"].unique()):
                points = table[(table["network"] == network) & (table["varied"] == varied)]
                slope, color = slopes[network, varied, measure], f"C{place}"
                axes.plot(points[varied], points[measure], "o", color=color, markersize=4)
                ends = np.array([points[varied].min(), points[varied].max()], float)
                axes.plot(ends, np.exp(slope.intercept) * ends**slope.value, color=color, label=f"{network}: {slope}")
            axes.set(xscale="log", yscale="log", ylabel=f"{'wall time' if unit == 's' else 'memory'}, {unit}")
            axes.set_xlabel(varied if measure == "megabytes" else "")
            axes.legend(fontsize="x-small", title="slope", title_fontsize="x-small")
    return figure


if __name__ == "__main__":
    main()
