"""Claim: one guided step of DVCE with the 256x256 ADM U-Net and two 224x224 classifiers takes at most 12 GiB on the CPU.

The U-Net is the unconditional one of 552 million parameters in single precision, with random weights, and the classifiers are of
ResNet-50's architecture, likewise; 16 views of one image. The step's images are those of the straightforward one (two passes,
three backward passes) within 1e-4, in the same memory layout: in another, convolutions round otherwise, and it is 1.5e-4. Each way
runs in its own process, whose highest resident memory counts, libraries included. Both compute the U-Net's activations again in the
backward pass, as is the default for images of this size; beside them the exact step that keeps them, which is faster.
Run: `python benchmarks/adm_memory.py`. 10 to 30 minutes on 2 cores.
"""

from __future__ import annotations

import copy
import math
import resource
import time
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from _processes import alone
from _record import Row, benchmark_parser, recording
from _timing import settle
from gradaudit.diffusion.adapters import variance_preserving
from gradaudit.diffusion.adm.architecture import Architecture
from gradaudit.diffusion.diffusers_unet import UNet
from gradaudit.instruments.counterfactual.guidance import Process, guided_diffusion
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull
from gradaudit.instruments.counterfactual.guidance.process import Level
from gradaudit.instruments.counterfactual.guidance.sampling import bound_sampler
from gradaudit.instruments.counterfactual.guidance.views import augmented
from gradaudit.instruments.counterfactual.problem import Problem
from gradaudit.noise import normal

SIDE, CLASSIFIERS_SIDE, VIEWS = 256, 224, 16
CLASS, DISTANCE, CONE = 0.1, 0.15, 30.0
ALLOWED, EQUAL = 12.0, 1e-4
ADM = Architecture(
    model_channels=256,
    first_channels=256,
    channels=(256, 256, 512, 512, 1024, 1024),
    attention=(False, False, False, True, True, True),
    blocks=2,
    resampling_blocks=True,
    scale_shift=True,
    in_channels=3,
    out_channels=6,
    classes=0,
)
SMALL: dict[str, Any] = {"model_channels": 32, "first_channels": 32, "channels": (32, 32, 64, 64, 128, 128)}  # of a trial


def main() -> None:
    arguments = benchmark_parser(__doc__).parse_args()
    print(f"torch {torch.__version__}, {torch.get_num_threads()} threads", flush=True)
    print("| step | peak GiB | s | images differ by |\n|---|---|---|---|", flush=True)
    images = []
    with recording(__file__, __doc__, arguments) as rows:
        for name, way in (("exact", exact), ("exact, activations kept", kept), ("straightforward", straightforward)):
            found = alone(measured, way, arguments.short)
            images.append(found["image"])
            apart = float(np.abs(images[0] - found["image"]).max())
            print(f"| {name} | {found['gib']:.2f} | {found['seconds']:.0f} | {apart:.1e} |", flush=True)
            rows.append(Row(f"{name}: peak", found["gib"], "GiB", at_most=ALLOWED if name == "exact" else None))
            rows.append(Row(f"{name}: a step", found["seconds"], "s"))
        rows.append(Row("images of exact and straightforward differ by", apart, at_most=EQUAL))
    print(f"\nallowed of exact: {ALLOWED} GiB; images that differ by at most {EQUAL}")


def measured(way: Any, short: bool) -> dict[str, Any]:
    problem = photograph(short)
    start = time.perf_counter()
    found = way(problem)
    seconds = time.perf_counter() - start
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    return {"gib": peak, "seconds": seconds, "image": found.numpy()}


def timed(way: Callable[[Problem], Tensor], problem: Problem, device: str, precision: str) -> tuple[Tensor, float, int | None]:
    """A way on a device: its images, the seconds of the second of two runs, and the bytes that it took on a GPU at the most.

    In `"fp32"` without the shorter mantissas (TF32) that convolutions have on a GPU otherwise.
    """
    own = on(problem, device)  # the straightforward way changes its networks' layout and what they keep
    gpu = torch.device(device).type == "cuda"
    for _ in range(2):
        if gpu:
            torch.cuda.reset_peak_memory_stats()
        start = time.perf_counter()
        mixed = torch.autocast(torch.device(device).type, torch.bfloat16) if precision == "bf16" else nullcontext()
        with mixed, torch.backends.cudnn.flags(allow_tf32=precision != "fp32"):
            images = way(own)
        settle()
        seconds = time.perf_counter() - start
    return images.cpu(), seconds, torch.cuda.max_memory_allocated() if gpu else None


def on(problem: Problem, device: str) -> Problem:
    """A copy on the device."""
    networks = {name: copy.deepcopy(getattr(problem, name)).to(device) for name in ("classifier", "robust", "denoiser")}
    return replace(problem, images=problem.images.to(device), targets=problem.targets.to(device), **networks)


def photograph(short: bool) -> Problem:
    from diffusers import UNet2DModel

    torch.manual_seed(0)
    architecture, side = (replace(ADM, **SMALL), SIDE // 4) if short else (ADM, SIDE)
    network = UNet2DModel.from_config(architecture.unet_config(64)).eval().requires_grad_(False)  # type: ignore[no-untyped-call]
    denoiser = variance_preserving(UNet(network), "linear", shape=(3, side, side))
    classifiers = [resnet50(CLASSIFIERS_SIDE // 7 if short else CLASSIFIERS_SIDE).eval().requires_grad_(False) for _ in range(2)]
    image = F.interpolate(torch.rand(1, 3, 16, 16), (side, side), mode="bicubic").clamp(0, 1)
    return Problem(classifiers[0], image, torch.tensor([3]), (5,), denoiser, classifiers[1])


def process_of(problem: Problem) -> tuple[Process, list[Level]]:
    process = Process(problem.denoiser)  # type: ignore[arg-type]
    return process, process.levels(200, 0.25)[:2]


def exact(problem: Problem, again: bool | Literal["auto"] = "auto") -> Tensor:
    process, levels = process_of(problem)
    pull = AdaptivePull(problem, CLASS, DISTANCE, cone=CONE, views=VIEWS)
    sampler = bound_sampler("ddpm", "learned")
    return guided_diffusion(problem, process=process, levels=levels, pull=pull, sampler=sampler, checkpointing=again).images


def kept(problem: Problem) -> Tensor:
    return exact(problem, again=False)


def straightforward(problem: Problem) -> Tensor:
    process, (level, following) = process_of(problem)
    network: Any = problem.denoiser.denoise.network.unet  # type: ignore[union-attr]
    network.to(memory_format=torch.channels_last).enable_gradient_checkpointing()
    sources = problem.sources()
    noisy = level.signal * (2 * problem.images - 1) + level.spread * normal(sources, problem.images)
    with torch.no_grad():
        eps, share = process.core.predict(noisy, torch.tensor([level.step], device=noisy.device))  # type: ignore[union-attr]
    clean = (noisy - level.spread * eps) / level.signal
    pull = guidance(problem, process, noisy, level, eps, sources)
    beta = 1 - level.keep / following.keep
    small = beta * (1 - following.keep) / (1 - level.keep)
    spread = torch.exp(share * math.log(beta) + (1 - share) * math.log(small))
    mean = (following.signal * beta * clean + math.sqrt(1 - beta) * (1 - following.keep) * noisy) / (1 - level.keep)
    noisy = mean + spread * pull + spread.sqrt() * normal(sources, problem.images)
    with torch.no_grad():
        eps, _ = process.core.predict(noisy, torch.tensor([following.step], device=noisy.device))  # type: ignore[union-attr]
    return (((noisy - following.spread * eps) / following.signal + 1) / 2).clamp(0, 1)


def guidance(problem, process, noisy, level, eps, sources) -> Tensor:  # type: ignore[no-untyped-def]
    leaf = noisy.clone().requires_grad_()
    eps_again = process.core.predict(leaf, torch.tensor([level.step], device=noisy.device))[0]
    images = ((leaf - level.spread * eps_again) / level.signal + 1) / 2
    seen, target = augmented(images, VIEWS, sources), int(problem.targets[0])
    losses = [network(seen).log_softmax(1)[:, target].mean() for network in (problem.classifier, problem.robust)]
    losses.append((images - problem.images).abs().sum())
    v, w, d = (torch.autograd.grad(loss, leaf, retain_graph=True)[0].double() for loss in losses)
    v, w, d = v / v.norm(), w / w.norm(), d / d.norm()
    if float((v * w).sum()) < math.cos(math.radians(CONE)):
        across = w - (w * v).sum() * v
        w = v + math.tan(math.radians(CONE)) * across / across.norm()
    return (eps.norm() * (CLASS * w / w.norm() - DISTANCE * d)).float()


class Bottleneck(nn.Module):
    """ResNet's block of three convolutions."""

    def __init__(self, inside: int, width: int, stride: int) -> None:
        super().__init__()
        out = 4 * width
        self.body = nn.Sequential(
            *(nn.Conv2d(inside, width, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, width, 3, stride, 1, bias=False), nn.BatchNorm2d(width), nn.ReLU()),
            *(nn.Conv2d(width, out, 1, bias=False), nn.BatchNorm2d(out)),
        )
        same = stride == 1 and inside == out
        self.skip = nn.Identity() if same else nn.Sequential(nn.Conv2d(inside, out, 1, stride, bias=False), nn.BatchNorm2d(out))

    def forward(self, x: Tensor) -> Tensor:  # noqa: D102
        return F.relu(self.body(x) + self.skip(x))


class Resized(nn.Module):
    """Images at the side that a classifier takes."""

    def __init__(self, side: int) -> None:
        super().__init__()
        self.side = side

    def forward(self, images: Tensor) -> Tensor:  # noqa: D102
        return F.interpolate(images, (self.side, self.side), mode="bilinear", antialias=True)


def resnet50(side: int) -> nn.Module:
    stem = [Resized(side), nn.Conv2d(3, 64, 7, 2, 3, bias=False), nn.BatchNorm2d(64), nn.ReLU(), nn.MaxPool2d(3, 2, 1)]
    blocks, inside = [], 64
    for width, count, stride in ((64, 3, 1), (128, 4, 2), (256, 6, 2), (512, 3, 2)):
        for number in range(count):
            blocks.append(Bottleneck(inside, width, stride if number == 0 else 1))
            inside = 4 * width
    return nn.Sequential(*stem, *blocks, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inside, 1000))


if __name__ == "__main__":
    main()
