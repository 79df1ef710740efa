"""Claim: a ranking that knows nothing gets a favourable verdict no more often than the verdict's interval says, 2.5 %.

Small audits of worlds drawn anew from each seed: 60 test images of 8x8 pixels, two or three classes, each of two Gaussians that
differ from the other classes' in a block of 4x4 pixels, at one place or another; networks with one hidden layer. What knows nothing
is, in turn: maps drawn at random beside a classifier that is right; the gradient of a network with weights drawn at random; the
gradient of one whose last layer was fitted to shuffled labels. Where such a network is asked whether it uses what its own gradient
ranks first (fidelity), the test labels are shuffled too: what it uses then says nothing of them. Elsewhere they are as they are.

A row is how often a verdict, or the answer that is calibrated on planted maps, gave its favourable or its unfavourable label, with
the Clopper-Pearson interval of that rate in per cent. Needed is the largest rate whose interval still holds the nominal 2.5 %. That
a map leaks, or is not aligned, is true of what knows nothing, and no error. DiffROAR of values trains its evaluators, so that it
has fewer runs; the last rows are what the Bayes classifier's gradient, which knows all, gets in these worlds, so that one sees that
the verdicts can say yes.

Run: `OMP_NUM_THREADS=1 python benchmarks/type_one.py`. About 10 minutes on one core.
"""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from scipy import stats
from torch import Tensor, nn

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from gradaudit.answering import answers
from gradaudit.devices import one_thread
from gradaudit.diffusion.mixture import GaussianMixture

SHAPE, BLOCK, HIDDEN = (1, 8, 8), 4, 32
SIZES = {"train": 240, "test": 60}
NOMINAL = 0.025  # each end of a 95 % interval
RANDOM, UNTRAINED, SHUFFLED, BAYES = "random maps", "random weights", "shuffled labels", "Bayes gradient"
LABELS = {
    "fidelity": ("used", "upside down"),
    "contrast": ("where classes differ", "elsewhere"),
    "leakage": ("stays", None),  # that it leaks is true of what knows nothing
    "alignment": ("aligned", None),  # that it is not aligned likewise
    "diffroar": ("more than", "upside down"),
    "answer": ("trust", None),
}
EVALUATOR = ga.Recipe(network="mlp(width=32)", epochs=20, batch_size=32, learning_rate=0.1)
QUIET: dict[str, Any] = {"device": "cpu", "show_progress": False}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--runs", type=int, default=1000, help="audits of each kind")
    parser.add_argument("--trained", type=int, default=100, help="audits by DiffROAR of values")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.runs, arguments.trained = 10, 2
    with one_thread(), recording(__file__, __doc__, arguments) as rows:
        for kind in (RANDOM, UNTRAINED, SHUFFLED):
            rows += counted(kind, [audited(kind, seed) for seed in range(arguments.runs)])
        rows += counted(RANDOM, [trained(seed) for seed in range(arguments.trained)])
        rows += counted(BAYES, [audited(BAYES, seed) for seed in range(arguments.trained)])


@dataclass(frozen=True, eq=False)
class World:
    """What is drawn from a seed.

    Args:
        mixture: that the images are of.
        train: images.
        test: likewise, with the block as their signal mask.
        seed: of all that is drawn after.
    """

    mixture: GaussianMixture
    train: ga.ImageSet
    test: ga.ImageSet
    seed: int


def world(seed: int) -> World:
    """Two or three classes that differ in one of two blocks: which, is as an image's Gaussian has it."""
    generator = torch.Generator().manual_seed(seed)
    classes = 2 + seed % 2
    blocks = torch.zeros(2, *SHAPE[1:], dtype=torch.bool)
    for block in blocks:
        row, column = torch.randint(0, SHAPE[1] - BLOCK + 1, (2,), generator=generator).tolist()
        block[row : row + BLOCK, column : column + BLOCK] = True
    means = 0.5 + 0.4 * (torch.rand(classes, 2, *SHAPE[1:], generator=generator, dtype=torch.float64) - 0.5) * blocks
    none = torch.zeros(2 * classes, 0, blocks[0].numel(), dtype=torch.float64)
    mixture = GaussianMixture(means.view(2 * classes, -1), none, SHAPE, classes, 0.1, 0.1)
    train, test = (mixture.sample(count, 2 * seed + turn) for turn, count in enumerate(SIZES.values()))
    apart = torch.cdist(test.floats().flatten(1).double(), mixture.means).view(len(test), classes, 2)
    signal = blocks[apart[torch.arange(len(test)), test.labels].argmin(1)]
    return World(mixture, train, ga.ImageSet(test.images, test.labels, test.classes, signal), seed)


def network(kind: str, place: World) -> nn.Module:
    """One hidden layer of random features; the last layer drawn at random too, or fitted by ridge regression."""
    generator = torch.Generator().manual_seed(place.seed)
    features = place.test.images[0].numel()
    hidden, last = nn.Linear(features, HIDDEN), nn.Linear(HIDDEN, len(place.train.classes))
    hidden.weight.data = 4 * torch.randn(hidden.weight.shape, generator=generator) / features**0.5
    hidden.bias.data = -hidden.weight.data.sum(1) / 2
    last.weight.data, last.bias.data = torch.randn(last.weight.shape, generator=generator), torch.zeros(last.bias.shape)
    found = nn.Sequential(nn.Flatten(), hidden, nn.Tanh(), last)
    if kind != UNTRAINED:
        order = torch.randperm(len(place.train), generator=generator) if kind == SHUFFLED else torch.arange(len(place.train))
        wanted = nn.functional.one_hot(place.train.labels[order], len(place.train.classes)).float()
        shown = found[:-1](place.train.floats()).detach()
        last.weight.data = torch.linalg.solve(
            shown.T @ shown + torch.eye(HIDDEN), shown.T @ (wanted - wanted.mean(0))
        ).T.contiguous()
    return found.requires_grad_(False)


def random_maps(count: int, seed: int) -> Tensor:
    """Maps that know nothing."""
    return torch.randn(count, *SHAPE, generator=torch.Generator().manual_seed(seed + 1_000_000))


def _bayes(place: World) -> dict[str, Tensor]:
    """The gradient of log p(y|x), exact."""
    return {"own": place.mixture.bayes_gradient(place.test.floats(), place.test.labels)}


def shuffled(images: ga.ImageSet, seed: int) -> ga.ImageSet:
    """The images with labels that say nothing of them."""
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(seed))
    return ga.ImageSet(images.images, images.labels[order], images.classes)


def audited(kind: str, seed: int) -> dict[str, str]:
    """The labels of the verdicts that train nothing, and of the answer."""
    place = world(seed)
    model = network(kind, place)
    what: Any = {RANDOM: {"own": random_maps(len(place.test), seed)}, BAYES: _bayes(place)}.get(kind, "logit_gradient")
    asked = shuffled(place.test, seed) if kind in (UNTRAINED, SHUFFLED) else place.test
    how = QUIET | {"seed": seed}
    found: dict[str, Any] = {
        "fidelity": ga.fidelity(model, asked, what, fill="mean", levels=(0.1,), patches=0, controls=("random",), **how),
        "contrast": ga.contrast(model, place.train, place.test, what, neighbours=30, controls=("random", "untrained"), **how),
        "leakage": ga.leakage(model, place.test, attribution=what, controls=(), **how),
    }
    settings = {"shape": place.test.shape, "classes": place.test.classes}
    told = {name: found[name] for name in ("fidelity", "contrast")}
    labels = {name: one.verdict.label for name, one in found.items()} | {"answer": answers({"own": told}, settings)["own"].label}
    if kind != RANDOM:  # it is about gradients alone
        subject, gradient = (place.mixture.bayes_classifier(), "log_probability") if kind == BAYES else (model, "logit")
        labels["alignment"] = ga.alignment(
            subject, place.test, place.mixture.denoiser(), gradient=gradient, score="bayes", **how
        ).verdict.label
    return labels


def trained(seed: int) -> dict[str, str]:
    """The label of DiffROAR of values, for random maps."""
    place = world(seed)
    with tempfile.TemporaryDirectory() as store:
        result = ga.diffroar(
            network(RANDOM, place),
            place.train,
            place.test,
            {"own": random_maps(len(place.test), seed)},
            levels=(0.1, 0.3),
            evaluator=EVALUATOR,
            seeds=2,
            gap=0,
            controls=("random", "edges"),
            seed=seed,
            store=store,
            workers=1,
            **QUIET,
        )
    return {"diffroar": result.verdict.label}


def counted(kind: str, labels: list[dict[str, str]]) -> Iterator[Row]:
    """A row for each verdict and label."""
    for name in labels[0]:
        found = Counter(one[name] for one in labels)
        for label in filter(None, LABELS[name]):
            hits = sum(count for given, count in found.items() if given.startswith(label))
            low, high = clopper_pearson(hits, len(labels))
            what = f"{kind}, {name}: `{label}`, {hits} of {len(labels):,} [{100 * low:.1f}, {100 * high:.1f}]"
            print(f"{what}; of all: {dict(found)}", flush=True)
            needed = None if kind == BAYES else 100 * most(len(labels)) / len(labels)
            yield Row(what, 100 * hits / len(labels), "%", at_most=needed)


def clopper_pearson(hits: int, count: int) -> tuple[float, float]:
    """The 95 % interval of a rate."""
    found = stats.binomtest(hits, count).proportion_ci(method="exact")
    return float(found.low), float(found.high)


def most(count: int) -> int:
    """The most hits of that many whose interval still holds the nominal rate."""
    return max(hits for hits in range(count + 1) if clopper_pearson(hits, count)[0] <= NOMINAL)


if __name__ == "__main__":
    main()
