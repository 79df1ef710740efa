"""Claim: a trained denoiser's score approaches the exact one as it trains.

A mixture of three Gaussians in 8x8 pixels, each in a random subspace of 6 dimensions with a little noise off it: its score is known
in closed form at every sigma. The relative error of the trained denoiser's score, with the class given and without, by the number
of epochs, at the noisy points where the score is used.
Run: `python benchmarks/exact_score.py`. About 5 minutes on 1 core.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
import torch
from matplotlib.figure import Figure

import gradaudit as ga
from _record import RESULTS, Row, benchmark_parser, recording, save_figure
from gradaudit.devices import one_thread
from gradaudit.files import write_text
from gradaudit.results import versions

EPOCHS = (1, 2, 4, 8, 16, 32)
SIGMAS = (0.1, 0.25, 0.5)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--images", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=RESULTS / "exact_score")
    arguments = parser.parse_args()
    with recording(__file__, __doc__, arguments) as rows:
        images, epochs = (400, EPOCHS[:2]) if arguments.short else (arguments.images, EPOCHS)
        table = trained(images, epochs, arguments.seed)
        rows += as_rows(table)
    if not arguments.short:
        write_text(arguments.out / "exact_score.csv", table.to_csv(index=False))
        save_figure(arguments.out / "exact_score.svg", drawn(table))
    print(f"{arguments.out}; {versions()}")


def trained(images: int, all_epochs: tuple[int, ...], seed: int) -> pd.DataFrame:
    """The errors of denoisers trained for so many epochs each."""
    mixture = ga.gaussian_mixture(classes=3, shape=(1, 8, 8), intrinsic_dim=6, seed=seed)
    train = mixture.sample(images, seed=seed)
    rows: list[dict[str, Any]] = []
    for epochs in all_epochs:
        recipe = ga.DenoiserRecipe(network="unet(widths=[32, 32], layers=1, patch=1)", epochs=epochs, batch_size=64, seed=seed)
        with one_thread():
            denoiser = ga.train_denoiser(recipe, train, device="cpu")
            rows += [{"epochs": epochs, **row} for row in errors(denoiser, mixture, seed + 1)]
        head = epochs == all_epochs[0]
        print(pd.DataFrame(rows[-2 * len(SIGMAS) :]).round(3).to_string(index=False, header=head), flush=True)
    return pd.DataFrame(rows)


def as_rows(table: pd.DataFrame) -> list[Row]:
    """The error after the longest training, and how it compares with the shortest; it approaches 0 where that is below 1."""
    first, last = (table[table["epochs"] == epochs] for epochs in (table["epochs"].min(), table["epochs"].max()))
    rows = []
    for before, after in zip(first.to_dict("records"), last.to_dict("records"), strict=True):
        what = f"sigma {after['sigma']:g}, given {after['given']}: relative error after {after['epochs']} epochs"
        against, ratio = f"{before['epochs']} epoch", after["relative_error"] / before["relative_error"]
        rows.append(Row(what, after["relative_error"], "", against, ratio, at_most=1.0))
    return rows


def errors(denoiser: ga.Denoiser, mixture: ga.GaussianMixture, seed: int) -> list[dict[str, Any]]:
    """A row for each sigma, with the class and without: the root mean squared error over the root mean squared score."""
    clean, labels = mixture.draw(500, seed=seed)
    noise = torch.randn(clean.shape, generator=torch.Generator().manual_seed(seed))
    rows = []
    for sigma in SIGMAS:
        noisy = clean + sigma * noise
        for given, wanted in (("class", labels), ("nothing", None)):
            with torch.no_grad():
                found, exact = ga.score(denoiser, noisy, sigma, wanted), mixture.score(noisy, sigma, wanted)
            error = float((found - exact).square().mean().sqrt() / exact.square().mean().sqrt())
            rows.append({"sigma": sigma, "given": given, "relative_error": error})
    return rows


def drawn(table: pd.DataFrame) -> Figure:
    """The error against the epochs, a line a sigma; dashed without the class."""
    figure = Figure(figsize=(5.5, 3.8), layout="constrained")
    axes = figure.subplots()
    for (sigma, given), rows in table.groupby(["sigma", "given"]):
        style = "-" if given == "class" else "--"
        color = f"C{SIGMAS.index(sigma)}"
        axes.plot(rows["epochs"], rows["relative_error"], style, color=color, marker="o", label=f"sigma {sigma:g}, given {given}")
    axes.set(xscale="log", yscale="log", xlabel="epochs", ylabel="relative error of the score")
    axes.legend(fontsize="small")
    return figure


if __name__ == "__main__":
    main()
