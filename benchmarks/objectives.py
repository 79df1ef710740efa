"""Claim: an adversarial step costs at most 1.15 times its (steps + 1) forward-backward passes, and a gradient-penalty step at
most 3.2 times a standard one.

Each beside a straightforward implementation: PGD as it is often written (gradients of everything, the batch flattened for its L2
norm) and a penalty on the gradient of the batch's mean loss. The ResNet-18 has batch norm and a quarter of the width; where the
processor multiplies bf16 it is timed in mixed precision as well. One thread, rounds in turn, medians of the ratios within a round.
Run: `OMP_NUM_THREADS=1 python benchmarks/objectives.py`. About 8 minutes.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn import functional as F

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from _timing import compared
from gradaudit.devices import resolve_precision
from gradaudit.training import OBJECTIVES
from gradaudit.training.fitting import memory_format

STEPS = 7
NEEDED = {"adversarial l2": 1.15, "adversarial linf": 1.15, "gradient penalty": 3.2}
RESNET = "resnet18(width=16, activation=silu)"
DIGITS, PHOTOGRAPHS = (1, 28, 28), (3, 32, 32)
NETWORKS = {
    "mlp(activation=silu)": DIGITS,
    "lenet5(activation=silu)": DIGITS,
    "convnet(activation=silu)": PHOTOGRAPHS,
    RESNET: PHOTOGRAPHS,
}

Objective = Callable[[nn.Module, Tensor, Tensor], Tensor]


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--batch-size", type=int, default=128)
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    print(f"batches of {arguments.batch_size}, {STEPS} PGD steps, torch {torch.__version__}, one thread")
    with recording(__file__, __doc__, arguments) as rows:
        for network, shape in NETWORKS.items():
            torch.manual_seed(0)
            images = torch.rand(arguments.batch_size, *shape)
            labels = torch.randint(10, (arguments.batch_size,))
            classifier = ga.Recipe(network=network).build(shape, 10)
            classifier = classifier.to(memory_format=memory_format(classifier))
            rounds = 1 if arguments.short else arguments.rounds
            rows += report(network, timed(classifier, images, labels, rounds))
            if network == RESNET and resolve_precision("auto", torch.device("cpu")) == "bf16":
                rows += report(f"{network}, bf16", timed(classifier, images, labels, rounds, mixed=True))


def objectives() -> dict[str, Objective]:
    own = {
        "standard": "standard",
        "adversarial l2": {"name": "adversarial", "norm": "l2", "eps": 2.0, "steps": STEPS},
        "adversarial linf": {"name": "adversarial", "norm": "linf", "eps": 0.3, "steps": STEPS},
        "gradient penalty": "gradient_penalty",
    }
    plain = {"plain l2": plain_l2, "plain linf": plain_linf, "plain penalty": plain_penalty}
    return {name: OBJECTIVES.bind("objective", spec) for name, spec in own.items()} | plain


def timed(classifier: nn.Module, images: Tensor, labels: Tensor, rounds: int, mixed: bool = False) -> dict[str, list[float]]:
    """Seconds of a step's loss and gradients, a value a round."""
    weights = list(classifier.parameters())
    seconds: dict[str, list[float]] = {name: [] for name in objectives()}
    for number in range(rounds + 1):
        for name, objective in objectives().items():
            repeats = 8 if name == "standard" else 3 if "penalty" in name else 1
            start = time.perf_counter()
            for _ in range(repeats):
                for weight in weights:
                    weight.grad = None
                # As the fitting loop does it; a plain loop asks for all gradients.
                with torch.autocast("cpu", torch.bfloat16, enabled=mixed):
                    loss = objective(classifier, images, labels)
                loss.backward(inputs=None if name.startswith("plain") else weights)
            if number:  # the first round warms up
                seconds[name].append((time.perf_counter() - start) / repeats)
    return seconds


def report(network: str, seconds: dict[str, list[float]]) -> list[Row]:
    rows = []
    print(f"\n{network}: a standard step takes {1000 * statistics.median(seconds['standard']):.2f} ms")
    for name, plain in (("adversarial l2", "plain l2"), ("adversarial linf", "plain linf"), ("gradient penalty", "plain penalty")):
        times = 1 if name == "gradient penalty" else STEPS + 1
        unit = "standard steps" if times == 1 else f"times {times} standard steps"
        own, straightforward = (compared(seconds[one], seconds["standard"], times) for one in (name, plain))
        print(
            f"  {name:17s} {own['ratio']:5.2f} {unit} (allowed: {NEEDED[name]}); straightforward: {straightforward['ratio']:5.2f}"
        )
        against = "a standard step" if times == 1 else f"{times} standard steps"
        for what, found, allowed in ((name, own, NEEDED[name]), (f"{name}, straightforward", straightforward, None)):
            milliseconds = 1000 * statistics.median(seconds[name if found is own else plain])
            rows.append(Row(f"{network}: {what}", milliseconds, "ms", against, **found, at_most=allowed))
    return rows


def plain_l2(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """PGD that normalises and projects the whole batch as one vector."""
    delta = torch.zeros_like(images)
    for _ in range(STEPS):
        moved = (images + delta).clone().detach().requires_grad_(True)
        F.cross_entropy(classifier(moved), labels).backward()
        delta = delta + 2.5 * 2.0 / STEPS * moved.grad / moved.grad.norm()
        delta = delta * min(1.0, 2.0 / float(delta.norm()))
        delta = torch.clamp(images + delta, 0, 1) - images
    classifier.zero_grad()
    return F.cross_entropy(classifier((images + delta).detach()), labels)


def plain_linf(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    delta = torch.empty_like(images).uniform_(-0.3, 0.3)
    for _ in range(STEPS):
        moved = (images + delta).clone().detach().requires_grad_(True)
        F.cross_entropy(classifier(moved), labels).backward()
        delta = torch.clamp(delta + 2.5 * 0.3 / STEPS * moved.grad.sign(), -0.3, 0.3)
        delta = torch.clamp(images + delta, 0, 1) - images
    classifier.zero_grad()
    return F.cross_entropy(classifier((images + delta).detach()), labels)


def plain_penalty(classifier: nn.Module, images: Tensor, labels: Tensor) -> Tensor:
    """The penalty on the gradient of the batch's mean loss, whose strength falls with the batch size."""
    inputs = images.clone().requires_grad_(True)
    loss = F.cross_entropy(classifier(inputs), labels)
    (gradient,) = torch.autograd.grad(loss, inputs, create_graph=True)
    return loss + 1e5 * gradient.square().sum() / len(images)


if __name__ == "__main__":
    main()
