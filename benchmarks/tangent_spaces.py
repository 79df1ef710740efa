"""Claim: tangent spaces from an autoencoder about 40 times faster than one backward pass for each output coordinate, and equal
within 1e-5, for a 128-dimensional latent and 32x32x3 images.

The reference's way is 3,072 backward passes through the decoder for each image, image by image; beside it, the same for several
images at once, and with many coordinates at once (vmapped). All take the same decoder with constant weights, and the same QR.
Rounds in turn, medians of the ratios within a round. The weights are random, which changes no time.
Run: `OMP_NUM_THREADS=1 python benchmarks/tangent_spaces.py`. About 2 minutes on one thread.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor

from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.diffusion.tangents import tangent_spaces

SHAPE, LATENT = (3, 32, 32), 128
FEATURES = 3072
NEEDED, EQUAL = 40, 1e-5
OURS, REFERENCE = "gradaudit: forward mode", "reference: a backward pass a coordinate"
BESIDE = 4


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=16, help="images at once, where several are")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    autoencoder = Autoencoder(SHAPE, latent=LATENT).eval().requires_grad_(False).to(arguments.device)
    images = torch.rand(arguments.images, *SHAPE, device=arguments.device)
    first, several = images[:1], images[:BESIDE]
    ways: dict[str, Callable[[], Tensor]] = {
        OURS: lambda: tangent_spaces(images, autoencoder, device=arguments.device),
        REFERENCE: lambda: backward_by_coordinate(autoencoder, first),
        f"the same, {BESIDE} images at once": lambda: backward_by_coordinate(autoencoder, several),
        "backward, 64 coordinates at once": lambda: backward_vmapped(autoencoder, several),
    }
    exact = tangent_spaces(images, autoencoder, device=arguments.device)
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    worst = dict.fromkeys(ways, 0.0)
    for number in range(arguments.rounds):
        for name, way in ways.items():
            if name in (OURS, REFERENCE) or number == 0:  # the others stand beside the claim
                spent, found = timed(way)
                seconds[name].append(spent / len(found))
                worst[name] = max(worst[name], distance(found, exact[: len(found)]))
    report(seconds, worst)


def timed(way: Callable[[], Tensor]) -> tuple[float, Tensor]:
    start = time.perf_counter()
    found = way()
    if found.is_cuda:
        torch.cuda.synchronize(found.device)
    return time.perf_counter() - start, found


def backward_by_coordinate(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """The reference's way: the Jacobian row by row."""
    latents = autoencoder.encode(images).detach().requires_grad_()
    outputs = autoencoder.decoder(latents).flatten(1)
    rows = [torch.autograd.grad(outputs[:, place].sum(), latents, retain_graph=True)[0] for place in range(FEATURES)]
    return torch.linalg.qr(torch.stack(rows, dim=1)).Q.mT


def backward_vmapped(autoencoder: Autoencoder, images: Tensor) -> Tensor:
    """Still a backward pass a coordinate, but 64 of them at once."""
    latents = autoencoder.encode(images)
    rows = torch.func.jacrev(lambda latent: autoencoder.decoder(latent[None])[0].flatten(), chunk_size=64)
    jacobian = torch.stack([rows(latent) for latent in latents])
    return torch.linalg.qr(jacobian).Q.mT


def distance(first: Tensor, second: Tensor) -> float:
    """The largest entry of the difference of the projectors on the two spans."""
    first, second = first.cpu().double(), second.cpu().double()
    return float((first.mT @ first - second.mT @ second).abs().max())


def report(seconds: dict[str, list[float]], worst: dict[str, float]) -> None:
    base, ours = seconds[REFERENCE], seconds[OURS]
    print(f"latent {LATENT}, images {SHAPE}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(f"{'':42s} {'s an image':>10s} {'faster':>8s} {'projectors differ by':>22s}")
    for name, times in seconds.items():
        differ = "" if times is ours else f"{worst[name]:.1e}"
        print(
            f"{name:42s} {statistics.median(times):10.4f} {statistics.median(base) / statistics.median(times):8.1f} {differ:>22s}"
        )
    ratios = [slow / fast for slow, fast in zip(base, ours, strict=True)]
    print(f"\nfaster than the reference's way, by round: {', '.join(f'{ratio:.1f}' for ratio in ratios)}")
    differ = max(worst.values())
    print(f"median {statistics.median(ratios):.1f} (needed: {NEEDED}); projectors differ by {differ:.1e} (allowed: {EQUAL:g})")


if __name__ == "__main__":
    main()
