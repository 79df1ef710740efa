"""Claim: an exact guided step of DVCE at least 1.2 times as fast as the straightforward one, with the same images within 1e-4.

The straightforward step passes through the U-Net twice, once to guide and once to sample, and back through it three times, each
time from the loss: the explained classifier's, the robust helper's, the distance's. Here it is given constant weights as well.
Beside it the variants with one product and with none, which take other ways. All on 16 digits with the packaged U-Net and
classifiers: 5 guided steps and the last denoising, with one view (where classifiers cost least) and with 16 (the default with a
helper). Rounds in turn, medians of the ratios within a round. The images are random digits of the embedded MNIST.
Run: `OMP_NUM_THREADS=1 python benchmarks/guided_step.py`. About 2 minutes on one thread.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable
from functools import partial
from itertools import pairwise

import torch
from torch import Tensor

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _timing import compared, in_turn
from gradaudit.instruments.counterfactual.guidance import Process, guided_diffusion
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull
from gradaudit.instruments.counterfactual.guidance.process import Level
from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler
from gradaudit.instruments.counterfactual.guidance.views import augmented
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.noise import image_keys, normal

IMAGES, STEPS = 16, 5
CLASS, DISTANCE, CONE = 0.3, 0.15, 30.0
NEEDED, EQUAL = 1.2, 1e-4
PLAIN, EXACT = "straightforward", "exact"


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    problem = digits(arguments.device)
    process = Process(problem.denoiser)  # type: ignore[arg-type]
    levels = process.levels(200, 0.5)[40 : 41 + STEPS]
    print(f"{IMAGES} digits of 28 x 28, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    with recording(__file__, __doc__, arguments) as rows:
        for views in (1, 16):
            rows += compare(problem, process, levels, views, 1 if arguments.short else arguments.rounds)


def digits(device: str) -> Problem:
    _, test = ga.load_images("mnist5k")
    images = test[:IMAGES]
    names = ("standard", "robust")
    networks = [ga.load_classifier(f"zoo:mnist/{name}", device=device).eval().requires_grad_(False) for name in names]
    denoiser = ga.load_denoiser("zoo:mnist").requires_grad_(False).to(device)
    keys = tuple(image_keys(images.floats(), 0))
    targets = (images.labels.to(device) + 1) % 10
    return Problem(networks[0], images.floats(device=device), targets, keys, denoiser, networks[1])


def compare(problem: Problem, process: Process, levels: list[Level], views: int, rounds: int) -> list[Row]:
    ways: dict[str, Callable[[int], Tensor]] = {PLAIN: lambda _: straightforward(problem, process, levels, views)}
    ways |= {name: partial(ours, problem, process, levels, views, name) for name in (EXACT, "combined", "none")}
    images = {name: way(0) for name, way in ways.items()}
    seconds, _ = in_turn(ways, rounds)
    rows, seen = [], f"{views} view{'s' if views > 1 else ''}"
    print(f"| {seen} | s a step | faster | images differ by |\n|---|---|---|---|")
    for name, spent in seconds.items():
        a_step, found = statistics.median(spent) / STEPS, compared(seconds[PLAIN], spent)
        apart = float((images[name] - images[PLAIN]).abs().max())
        print(f"| {name} | {a_step:.3f} | {found['ratio']:.2f} | {apart:.1e} |")
        against = {} if name == PLAIN else {"against": PLAIN, **found, "at_least": NEEDED if name == EXACT else None}
        rows.append(Row(f"{seen}: {name}", a_step, "s a step", **against))
    print(f"\nneeded of exact: {NEEDED} times faster, images that differ by at most {EQUAL}\n", flush=True)
    apart = float((images[EXACT] - images[PLAIN]).abs().max())
    return [*rows, Row(f"{seen}: images of {EXACT} and {PLAIN} differ by", apart, at_most=EQUAL)]


def ours(problem: Problem, process: Process, levels: list[Level], views: int, guidance: str, _: int = 0) -> Tensor:
    pull = AdaptivePull(problem, CLASS, DISTANCE, cone=CONE, views=views, guidance=guidance)
    sampler = bound_sampler("ddpm", "fixed_small")
    return guided_diffusion(problem, process=process, levels=levels, pull=pull, sampler=sampler).images


def straightforward(problem: Problem, process: Process, levels: list[Level], views: int) -> Tensor:
    sources = problem.sources()
    noisy = levels[0].signal * (2 * problem.images - 1) + levels[0].spread * normal(sources, problem.images)
    for level, following in pairwise(levels):
        with torch.no_grad():
            clean = denoised(process, noisy, level)
        eps = (noisy - level.signal * clean) / level.spread
        pull = guidance(problem, process, noisy, level, eps, views, sources)
        beta = 1 - level.keep / following.keep
        spread = beta * (1 - following.keep) / (1 - level.keep)
        mean = (following.signal * beta * clean + math.sqrt(1 - beta) * (1 - following.keep) * noisy) / (1 - level.keep)
        noisy = mean + spread * pull + math.sqrt(spread) * normal(sources, problem.images)
    with torch.no_grad():
        return ((denoised(process, noisy, levels[-1]) + 1) / 2).clamp(0, 1)


def denoised(process: Process, noisy: Tensor, level: Level) -> Tensor:
    clean: Tensor = process.denoiser((noisy / level.signal + 1) / 2, level.spread / level.signal / 2)
    return 2 * clean - 1


def guidance(problem, process, noisy, level, eps, views, sources) -> Tensor:  # type: ignore[no-untyped-def]
    leaf = noisy.clone().requires_grad_()
    images = (denoised(process, leaf, level) + 1) / 2
    seen, owners = augmented(images, views, sources), problem.targets.repeat_interleave(views)[:, None]
    losses = [network(seen).log_softmax(1).gather(1, owners).sum() / views for network in (problem.classifier, problem.robust)]
    losses.append((images - problem.images).abs().sum())
    v, w, d = (unit(torch.autograd.grad(loss, leaf, retain_graph=True)[0]) for loss in losses)
    across = unit(w - (w * v).flatten(1).sum(1)[:, None, None, None] * v)
    outside = (w * v).flatten(1).sum(1) < math.cos(math.radians(CONE))
    edge = unit(v + math.tan(math.radians(CONE)) * across)
    followed = torch.where(outside[:, None, None, None], edge, w)
    return eps.flatten(1).norm(dim=1)[:, None, None, None] * (CLASS * followed - DISTANCE * d)


def unit(vectors: Tensor) -> Tensor:
    return vectors / vectors.flatten(1).norm(dim=1)[:, None, None, None]


if __name__ == "__main__":
    main()
