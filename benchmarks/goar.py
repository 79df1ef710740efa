"""Question: does moving images along an attribution, projecting them back to the data and retraining measure the attribution?

GOAR (Park et al., 2024, arXiv 2407.12401) moves each image by e along its attribution's direction, projects it back with a
denoiser, retrains a classifier on the moved data and adds up its errors over e. No code of it was found: what is run here is
written from the abstract, x'(e) = D(x -+ e a/|a| + s n; s) with the zoo's denoiser D, one evaluation at noise s, for both signs;
s = 0 is without it. Attributions of digits: the label's logit gradient of two classifiers; controls: a random direction, the
gradient of another image, the label's mean image less the mean of all, and one fixed random vector a class, which knows nothing
but the label. The confession test moves images of pure noise by these vectors: there is no label in them, so a measure of what an
attribution removes must find what it finds unmoved, a learner at chance. In x = y e_j, by counting, a = y e_j removes the label at
e = 1 and nowhere else. Errors with Clopper-Pearson intervals go to `goar/` as a table, the sums to the record.

Run: `OMP_NUM_THREADS=1 python benchmarks/goar.py`. About 5 minutes on one thread.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, partial

import numpy as np
import pandas as pd
import torch
from torch import Tensor

import gradaudit as ga
from _record import RESULTS, Row, benchmark_parser, recording
from gradaudit.files import write_text
from gradaudit.intervals import share_interval

STEPS = (3.0, 6.0)  # of digits whose own length is 9 on average
NOISES = (0.0, 0.5)
SIGNS = {"away": -1.0, "along": 1.0}
LEARNER = ga.Recipe(network="mlp", epochs=20, optimizer="adamw", learning_rate=0.002, precision="fp32")
NOISE, DIGITS = "pure noise", "digits"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--train-images", type=int, default=600)
    parser.add_argument("--test-images", type=int, default=300)
    arguments = parser.parse_args()
    if arguments.short:
        arguments.train_images, arguments.test_images = 60, 40
    torch.set_num_threads(1)
    halves = ga.load_images("mnist5k")
    train, test = (
        half.sample(arguments.train_images if place == 0 else arguments.test_images, 0) for place, half in enumerate(halves)
    )
    found = []
    with recording(__file__, __doc__, arguments) as rows:
        for data, pair in (
            (DIGITS, (train, test)),
            (NOISE, tuple(noise_like(half, place) for place, half in enumerate((train, test)))),
        ):
            for row in measured(data, pair):
                found.append(row)
                print(" ".join(f"{value:.3f}" if isinstance(value, float) else str(value) for value in row.values()), flush=True)
        table = pd.DataFrame(found)
        rows += [*sums(table), *counted()]
    if not arguments.short:
        print(write_text(RESULTS / "goar" / "goar.csv", table.round(4).to_csv(index=False)))


def measured(data: str, pair: tuple[ga.ImageSet, ga.ImageSet]) -> Iterator[dict[str, object]]:
    """The errors of a learner of the moved data, for every direction, noise, sign and step."""
    directions = {name: tuple(unit(one) for one in both) for name, both in directions_of(data, pair).items()}
    for noise in NOISES:
        yield {"data": data, "direction": "none", "noise": noise, "sign": "", "step": 0.0} | errors(pair, None, 0.0, noise)
        for name, both in directions.items():
            for sign, turn in SIGNS.items():
                for step in STEPS:
                    head = {"data": data, "direction": name, "noise": noise, "sign": sign, "step": step}
                    yield head | errors(pair, both, turn * step, noise)


def directions_of(data: str, pair: tuple[ga.ImageSet, ga.ImageSet]) -> dict[str, tuple[Tensor, Tensor]]:
    """For each half a direction an image, (N, 1, 28, 28), by name."""
    confessing = torch.randn(10, 1, 28, 28, generator=torch.Generator().manual_seed(7))
    found = {"a vector a class": tuple(confessing[half.labels] for half in pair)}
    if data == NOISE:
        return found
    train = pair[0].floats()
    means = torch.stack([train[pair[0].labels == label].mean(dim=0) for label in range(10)]) - train.mean(dim=0)
    for name in ("standard", "robust"):
        classifier = ga.load_classifier(f"zoo:mnist/{name}")
        found[f"gradient, {name}"] = tuple(ga.attribute_all(classifier, half, "logit_gradient", device="cpu") for half in pair)
    found["gradient of another image, robust"] = tuple(one.roll(1, 0) for one in found["gradient, robust"])
    found["random"] = tuple(
        torch.randn(half.floats().shape, generator=torch.Generator().manual_seed(3 + len(half))) for half in pair
    )
    found["mean of the label"] = tuple(means[half.labels] for half in pair)
    return found


def unit(directions: Tensor) -> Tensor:
    """Each of Euclidean length 1; one that is 0 everywhere stays so."""
    return directions / directions.flatten(1).norm(dim=1).clamp_min(1e-12)[:, None, None, None]


def errors(
    pair: tuple[ga.ImageSet, ga.ImageSet], directions: tuple[Tensor, Tensor] | None, step: float, noise: float
) -> dict[str, float]:
    """The error of a learner that is trained and asked on moved images, with its interval."""
    moved = []
    for place, half in enumerate(pair):
        pixels = half.floats() if directions is None else half.floats() + step * directions[place]
        moved.append(projected(pixels, half, noise, place))
    learner = ga.train(LEARNER, moved[0], device="cpu")
    with torch.no_grad():
        wrong = learner(moved[1].floats()).argmax(dim=1) != moved[1].labels
    value, low, high = share_interval(wrong.numpy())
    return {"error": value, "low": low, "high": high}


denoiser = cache(partial(ga.load_denoiser, "zoo:mnist"))


@torch.no_grad()
def projected(pixels: Tensor, half: ga.ImageSet, noise: float, seed: int) -> ga.ImageSet:
    """The images that the denoiser makes of these under noise, in 256 levels; only clamped where there is none."""
    if noise:
        noisy = pixels + noise * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(seed))
        pixels = torch.cat([denoiser()(part, noise) for part in noisy.split(100)])
    return ga.ImageSet((pixels.clamp(0, 1) * 255).round().to(torch.uint8), half.labels, half.classes)


def noise_like(half: ga.ImageSet, seed: int) -> ga.ImageSet:
    """As many images of pure noise, with the same labels, which nothing in them tells."""
    generator = torch.Generator().manual_seed(20 + seed)
    pixels = torch.randint(0, 256, half.images.shape, generator=generator, dtype=torch.uint8)
    return ga.ImageSet(pixels, half.labels, half.classes)


def sums(table: pd.DataFrame) -> list[Row]:
    """GOAR's score of every direction, the sum of errors over steps, beside that of as many unmoved data sets."""
    found = []
    for (data, noise), rows in table.groupby(["data", "noise"], sort=False):
        unmoved = len(STEPS) * float(rows.loc[rows["direction"] == "none", "error"].iloc[0])
        found.append(Row(f"{data}, noise {noise:g}: unmoved", unmoved))
        for (name, sign), own in rows[rows["direction"] != "none"].groupby(["direction", "sign"], sort=False):
            found.append(Row(f"{data}, noise {noise:g}: {sign} {name}", float(own["error"].sum())))
    return found


def counted(dimensions: int = 10) -> Iterator[Row]:
    """The least error of any learner where x = y e_j was moved, by counting: whether images that coincide have one label."""
    for name, along in (("y e_j", True), ("a direction orthogonal to it", False)):
        for step in (0.5, 1.0, 2.0):
            seen: dict[tuple[float, ...], list[int]] = {}
            for place in range(dimensions):
                for label in (-1, 1):
                    image = label * np.eye(dimensions)[place]
                    direction = image if along else np.eye(dimensions)[(place + 1) % dimensions]
                    seen.setdefault(tuple(image - step * direction + 0.0), []).append(label)
            wrong = sum(min(one.count(-1), one.count(1)) for one in seen.values()) / (2 * dimensions)
            yield Row(f"x = y e_j, away from {name}, e = {step:g}: least error", wrong)


if __name__ == "__main__":
    main()
