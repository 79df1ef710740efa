"""Claim: a table of alignment over 1,000 images at least 10 times faster than image by image, and equal within 1e-5.

The reference's way takes one image at a time: its gradient, its score, one similarity. That is timed for a table of 2 gradients, 3
scores, 3 sigmas and 2 similarities, each of whose 36 numbers an image is found from the start, and for tables of a single row. Ours
takes whole batches, computes what rows share once, and adds the controls, which the reference does without. A single row has
nothing to share: on a CPU its ratio is what batching alone gives, and where a perceptual network decides the cost, the controls eat
that up; so nothing is claimed for it there. The denoiser is a small class-conditional U-Net with random weights, the classifier a
LeNet-5, the images 28x28. `features` on that LeNet-5 stands for LPIPS, whose weights are not everywhere.

On a CPU the seconds are the process's own, on one thread; on CUDA they are wall time. Image by image is timed on some of the
images, spread over the set, and scaled to all. The difference is found on those images in double precision: in single, another
order of sums can take an image across a kink of ReLU or max pooling, where the gradient jumps.
Run: `OMP_NUM_THREADS=1 python benchmarks/alignment.py`. About a minute on one thread.
"""

from __future__ import annotations

import copy
import itertools
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from scipy.stats import spearmanr
from torch import Tensor, nn
from torch.nn import functional as F

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from gradaudit.batching import placed
from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.networks.unet import unet
from gradaudit.diffusion.preconditioning import Preconditioned
from gradaudit.instruments.alignment import alignment

NEEDED, EQUAL = {"whole table": 10}, 1e-5
SHAPE, CLASSES = (1, 28, 28), 10
TABLES: dict[str, dict[str, Any]] = {
    "one row": {"gradient": ["logit"], "score": ["conditional"], "sigma": (0.25,), "similarity": ["cosine"]},
    "one row, features": {"gradient": ["logit"], "score": ["conditional"], "sigma": (0.25,), "similarity": ["features"]},
    "whole table": {
        "gradient": ["logit", "log_probability"],
        "score": ["conditional", "unconditional", "bayes"],
        "sigma": (0.1, 0.25, 0.5),
        "similarity": ["cosine", "rank_correlation"],
    },
}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--images", type=int, default=1000)
    parser.add_argument("--alone", type=int, default=40, help="images that are timed one by one")
    parser.add_argument("--widths", type=int, nargs="+", default=(16, 32), help="channels of the U-Net's levels")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    if arguments.short:
        arguments.images, arguments.alone = 60, 4
    torch.set_num_threads(1)
    torch.manual_seed(0)
    device = torch.device(arguments.device)
    network = unet(SHAPE, CLASSES, widths=arguments.widths)
    for name, weight in network.named_parameters():
        if "conv_out" in name:  # zero before training, which would make all scores alike
            nn.init.normal_(weight, std=0.1)
    denoiser = Denoiser(Preconditioned(network, CLASSES), shape=SHAPE, classes=CLASSES).eval().requires_grad_(False).to(device)
    classifier = ga.Recipe(network="lenet5").build(SHAPE, CLASSES).eval().to(device)
    images = ga.load_images("mnist5k")[1][: arguments.images]
    weights = sum(weight.numel() for weight in denoiser.parameters())
    print(f"{len(images)} images, a U-Net of {weights:,} weights, torch {torch.__version__}, {device}, one thread")
    print(f"{'':20}{'image by image':>16}{'gradaudit':>12}{'ratio':>8}{'largest difference':>20}")
    with recording(__file__, __doc__, arguments) as rows:
        for name, table in TABLES.items():
            rows += report(name, table, classifier, denoiser, images, arguments.alone, device)


def report(
    name: str,
    table: dict[str, Any],
    classifier: nn.Module,
    denoiser: Denoiser,
    images: ga.ImageSet,
    alone: int,
    device: torch.device,
) -> list[Row]:
    options = options_of(table, classifier, device)
    alignment(classifier, images[:64], denoiser, **options)  # warms up
    ours, _ = timed(device, lambda: alignment(classifier, images, denoiser, **options))
    chosen = images[np.linspace(0, len(images) - 1, alone).round().astype(int)]
    one_by_one(table, classifier, denoiser, chosen[:2], device)
    theirs, _ = timed(device, lambda: one_by_one(table, classifier, denoiser, chosen, device))
    theirs *= len(images) / alone
    far = difference(table, classifier, denoiser, chosen, device)
    verdict = "" if theirs / ours >= NEEDED.get(name, 0) and far <= EQUAL else "  NOT MET"
    print(f"{name:20}{theirs:>14.1f} s{ours:>10.2f} s{theirs / ours:>8.1f}{far:>20.1e}{verdict}")
    needed, allowed = NEEDED.get(name), EQUAL if name in NEEDED else None
    return [
        Row(f"{name}, {len(images):,} images", ours, "s", "image by image", theirs / ours, at_least=needed),
        Row(f"{name}: largest difference", far, at_most=allowed),
    ]


def options_of(table: dict[str, Any], classifier: nn.Module, device: torch.device) -> dict[str, Any]:
    named = [{"name": one, "network": classifier} if one == "features" else one for one in table["similarity"]]
    return {**table, "similarity": named, "device": device}


def difference(
    table: dict[str, Any], classifier: nn.Module, denoiser: Denoiser, images: ga.ImageSet, device: torch.device
) -> float:
    """The largest difference of any number, in double precision."""
    classifier, denoiser = copy.deepcopy(classifier).double(), copy.deepcopy(denoiser).double()
    found = alignment(classifier, images, denoiser, **options_of(table, classifier, device))
    audited = found.table["gradient"].isin(found.gradients).to_numpy()
    expected = one_by_one(table, classifier, denoiser, images, device)
    return float(np.abs(np.array(found.details["values"])[audited] - expected).max())


def timed(device: torch.device, work: Callable[[], Any]) -> tuple[float, Any]:
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    start = clock()
    found = work()  # its numbers are on the CPU, so nothing is still running
    return clock() - start, found


def one_by_one(
    table: dict[str, Any], classifier: nn.Module, denoiser: Denoiser, images: ga.ImageSet, device: torch.device
) -> np.ndarray:
    """The same numbers, each from the start: for each row and image a gradient, a score and a similarity."""
    found = []
    for row in itertools.product(table["gradient"], table["score"], table["sigma"], table["similarity"]):
        for place in range(len(images)):
            image, label = placed(classifier, images.floats([place])), images.labels[place : place + 1].to(device)
            found.append(one(*row, classifier, denoiser, image, label))
    return np.array(found).reshape(-1, len(images))


def one(
    gradient: str,
    score: str,
    sigma: float,
    similarity: str,
    classifier: nn.Module,
    denoiser: Denoiser,
    image: Tensor,
    label: Tensor,
) -> float:
    inputs = image.clone().requires_grad_()
    logits = classifier(inputs)
    quantity = logits if gradient == "logit" else logits.log_softmax(dim=1)
    (slope,) = torch.autograd.grad(quantity[0, label[0]], inputs)
    with torch.no_grad():
        conditional = denoiser(image, sigma, label) if score != "unconditional" else image
        unconditional = denoiser(image, sigma) if score != "conditional" else image
        direction = {
            "conditional": conditional - image,
            "unconditional": unconditional - image,
            "bayes": conditional - unconditional,
        }
        return SIMILARITIES[similarity](slope, direction[score], classifier)


def cosine(first: Tensor, second: Tensor, classifier: nn.Module) -> float:
    return F.cosine_similarity(first.flatten(1).double(), second.flatten(1).double()).item()


def rank_correlation(first: Tensor, second: Tensor, classifier: nn.Module) -> float:
    return float(spearmanr(first.flatten().cpu(), second.flatten().cpu()).statistic)


def features(first: Tensor, second: Tensor, classifier: nn.Module) -> float:
    pairs = zip(activations(first, classifier), activations(second, classifier), strict=True)
    distances = [(F.normalize(a) - F.normalize(b)).square().sum(dim=1).mean().item() for a, b in pairs]
    return 1 - sum(distances) / len(distances) / 2


def activations(maps: Tensor, classifier: nn.Module) -> list[Tensor]:
    outputs: list[Tensor] = []
    layers = [part for part in classifier.modules() if isinstance(part, (nn.Conv2d, nn.Linear))][:-1]
    handles = [layer.register_forward_hook(lambda _module, _inputs, output: outputs.append(output)) for layer in layers]
    classifier((maps / maps.abs().max() + 1) / 2)
    for handle in handles:
        handle.remove()
    return outputs


SIMILARITIES = {"cosine": cosine, "rank_correlation": rank_correlation, "features": features}


if __name__ == "__main__":
    main()
