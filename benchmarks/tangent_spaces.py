"""Claim: tangent spaces from an autoencoder about 40 times faster than one backward pass for each output coordinate, and equal
within 1e-5, for a 128-dimensional latent and 32x32x3 images; products with a denoiser's Jacobian at least 1.8 times faster than by
a pass of torch's own for each.

The reference's way is 3,072 backward passes through the decoder for each image, image by image; beside it, the same for several
images at once, and with many coordinates at once (vmapped). All take the same decoder with constant weights, and the same QR.
The denoiser is the package's of CIFAR-10: 24 products each with J and J' share one way forward, beside 64 ways there and back at
once. Rounds in turn, medians of the ratios within a round. The autoencoder's weights are random, which changes no time.
Run: `OMP_NUM_THREADS=1 python benchmarks/tangent_spaces.py`. About 3 minutes on one thread.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _timing import compared, in_turn
from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.diffusion.tangents import tangent_spaces
from gradaudit.diffusion.tangents.denoiser_jacobian import Jacobian

SHAPE, LATENT = (3, 32, 32), 128
FEATURES = 3072
NEEDED, EQUAL = 35, 1e-5  # "about 40": medians of runs lie between 37 and 49
OURS, REFERENCE = "gradaudit: forward mode", "reference: a backward pass a coordinate"
BESIDE, PRODUCTS = 4, 24
SHARED, APART = "denoiser: one way forward for all products", "denoiser: a way forward for each product"
NEEDED_OF_DENOISER = 1.8


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--images", type=int, default=16, help="images at once, where several are")
    parser.add_argument("--device", default="cpu")
    arguments = parser.parse_args()
    torch.manual_seed(0)
    autoencoder = Autoencoder(SHAPE, latent=LATENT).eval().requires_grad_(False).to(arguments.device)
    images = torch.rand(arguments.images, *SHAPE, device=arguments.device)
    first, several = images[:1], images[:BESIDE]
    claimed: dict[str, Callable[[int], Tensor]] = {
        OURS: lambda _: tangent_spaces(images, autoencoder, device=arguments.device),
        REFERENCE: lambda _: backward_by_coordinate(autoencoder, first),
    }
    beside: dict[str, Callable[[int], Tensor]] = {
        f"the same, {BESIDE} images at once": lambda _: backward_by_coordinate(autoencoder, several),
        "backward, 64 coordinates at once": lambda _: backward_vmapped(autoencoder, several),
    }
    exact = tangent_spaces(images, autoencoder, device=arguments.device)
    with recording(__file__, __doc__, arguments) as rows:
        measured = [in_turn(claimed, 1 if arguments.short else arguments.rounds)]
        measured += [] if arguments.short else [in_turn(beside, 1)]
        seconds, worst = {}, {}
        for spent, found in measured:
            for name, spaces in found.items():
                seconds[name] = [one / len(spaces[0]) for one in spent[name]]
                worst[name] = max(distance(each, exact[: len(each)]) for each in spaces)
        rows += report(seconds, worst)
        rows += of_denoiser(1 if arguments.short else arguments.rounds, arguments.device)


def of_denoiser(rounds: int, device: str) -> list[Row]:
    """Products of four images' Jacobians with vectors, J and J'."""
    denoiser, images = ga.load_denoiser("zoo:cifar10").to(device).requires_grad_(False), torch.rand(BESIDE, *SHAPE, device=device)
    levels, vectors = torch.full((BESIDE,), 0.25, device=device), torch.randn(BESIDE, PRODUCTS, FEATURES, device=device)

    def shared(_: int) -> Tensor:
        jacobian = Jacobian(denoiser, images, levels)
        return torch.stack([jacobian.products(vectors, transposed=which) for which in (False, True)])

    def apart(_: int) -> Tensor:
        return torch.stack([product_by_product(denoiser, images, levels, vectors, which) for which in (False, True)])

    seconds, found = in_turn({SHARED: shared, APART: apart}, rounds)
    ratio = compared(seconds[APART], seconds[SHARED])
    scale = float(found[APART][0].abs().max())
    differ = max(float((one - found[APART][0]).abs().max()) for one in found[SHARED]) / scale
    each = {name: 1000 * statistics.median(times) / (2 * BESIDE * PRODUCTS) for name, times in seconds.items()}
    print(f"\n{SHARED}: {each[SHARED]:.2f} ms a product; {APART}: {each[APART]:.2f} ms, {ratio['ratio']:.1f} times as long")
    print(f"they differ by {differ:.1e} of the largest (allowed: {EQUAL:g})")
    return [
        Row(SHARED, each[SHARED], "ms a product", APART, **ratio, at_least=NEEDED_OF_DENOISER),
        Row(APART, each[APART], "ms a product"),
        Row("products differ by, of the largest", differ, at_most=EQUAL),
    ]


def product_by_product(denoiser: ga.Denoiser, images: Tensor, levels: Tensor, rows: Tensor, transposed: bool) -> Tensor:
    """Each product with a way forward of its own, and torch's own second derivatives."""
    where = torch.arange(len(images), device=images.device).repeat_interleave(rows.shape[1])
    found = []
    for part, vectors in zip(where.split(64), rows.reshape(-1, *images.shape[1:]).split(64), strict=True):
        inputs = images[part].requires_grad_()
        with sdpa_kernel(SDPBackend.MATH):
            denoised = denoiser(inputs, levels[part])
        if transposed:
            found.append(torch.autograd.grad(denoised, inputs, vectors)[0])
            continue
        probe = torch.zeros_like(denoised, requires_grad=True)
        (back,) = torch.autograd.grad(denoised, inputs, probe, create_graph=True)
        found.append(torch.autograd.grad(back, probe, vectors)[0])
    return torch.cat(found).reshape(rows.shape)


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


def report(seconds: dict[str, list[float]], worst: dict[str, float]) -> list[Row]:
    base = statistics.median(seconds[REFERENCE])
    print(f"latent {LATENT}, images {SHAPE}, torch {torch.__version__}, {torch.get_num_threads()} threads\n")
    print(f"{'':42s} {'s an image':>10s} {'faster':>8s} {'projectors differ by':>22s}")
    rows = []
    for name, times in seconds.items():
        an_image, differ = statistics.median(times), "" if name == OURS else f"{worst[name]:.1e}"
        print(f"{name:42s} {an_image:10.4f} {base / an_image:8.1f} {differ:>22s}")
        rows.append(Row(name, 1000 * an_image, "ms an image"))
    found = compared(seconds[REFERENCE], seconds[OURS])
    rows[0] = Row(OURS, rows[0].value, rows[0].unit, REFERENCE, **found, at_least=NEEDED)
    print(f"\nfaster than the reference's way: {found['ratio']:.1f} times, median of the rounds (needed: {NEEDED})")
    print(f"projectors differ by {max(worst.values()):.1e} (allowed: {EQUAL:g})")
    return [*rows, Row("projectors differ by", max(worst.values()), at_most=EQUAL)]


if __name__ == "__main__":
    main()
