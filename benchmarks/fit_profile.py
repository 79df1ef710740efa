"""Question: where does the time of a fit go, and how far is it from what one core's matrix products reach?

The default MLP and convnet as DiffROAR fits them on one thread: 4 epochs, 10 % of the features kept, in bf16 where the processor
multiplies it. Shares are of the operators' own time under torch's profiler; what is left of the wall time of the same fits without
the profiler, in turn with it, is Python and the dispatch of operators. Floating-point operations are counted by torch's flop
counter; the peak is the best of square matrix products of several sizes, in fp32 and in bf16, in the same run on that thread.
Run: `OMP_NUM_THREADS=1 python benchmarks/fit_profile.py`. About 2 minutes on one core.
"""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch.profiler import ProfilerActivity, profile, record_function
from torch.utils.flop_counter import FlopCounterMode

import gradaudit as ga
from _record import Row, benchmark_parser, recording
from gradaudit.attributions import kept_count
from gradaudit.devices import one_thread, seeded
from gradaudit.fills import resolve_fill
from gradaudit.instruments.diffroar.cells import Cell, logits_of
from gradaudit.instruments.diffroar.unmasking import Unmasking
from gradaudit.training.fitting import fit
from inner_loop import CPU, LEVEL, ranked

SIZES = (256, 512, 1024, 2048)
PYTHON, PRODUCTS = "Python and dispatch", "matrix products and convolutions"
MARKS = {
    "drawing": "drawing batches: gathering and unmasking",
    "filling": "drawing batches: fill",
    "evaluating": "evaluation on test images",
    "Optimizer.step": "optimiser",
    "Optimizer.zero_grad": "optimiser",
}
KINDS = {
    PRODUCTS: ("aten::mm", "aten::addmm", "aten::bmm", "convolution", "mkldnn_linear", "aten::linear"),
    "casts and copies": ("aten::copy_", "aten::_to_copy", "aten::to", "aten::clone", "aten::contiguous", "reorder"),
    "normalisation, activation, pooling, loss": ("aten::", "Backward"),
}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    arguments = parser.parse_args()
    train, test = ga.load_images("mnist5k")
    if arguments.short:
        train, test, arguments.rounds = train.sample(1000), test.sample(500), 1
    splits = [ranked(images, seed) for seed, images in enumerate((train, test))]
    unmasking = Unmasking(kept_count(LEVEL, splits[0].ranks.shape[1]), "top", "image", resolve_fill("zero", train))
    with recording(__file__, __doc__, arguments) as rows, one_thread():
        peaks = {precision: peak(dtype) for precision, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16))}
        for precision, found in peaks.items():
            rows.append(Row(f"peak of one core's matrix products, {precision}", found / 1e9, "GFLOP/s"))
        for network in ("mlp", "convnet"):
            recipe = ga.Recipe(network=network, epochs=1 if arguments.short else 4)
            fitting = Fitting(Cell(unmasking, recipe, *splits, len(train.classes), {}))
            rows += profiled(network, fitting, peaks, arguments.rounds)


def peak(dtype: torch.dtype, repeats: int = 5) -> float:
    """The most floating-point operations a second of a square matrix product, over sizes."""
    best = 0.0
    for size in SIZES:
        first, second = torch.randn(2, size, size).to(dtype)
        for _ in range(repeats):
            start = time.perf_counter()
            first @ second
            best = max(best, 2 * size**3 / (time.perf_counter() - start))
    return best


@dataclass(frozen=True)
class Fitting:
    """A cell's fit, with marks for the profiler."""

    cell: Cell

    def __call__(self) -> None:
        """Fit and evaluate, as `fit_cell` does."""
        train, test, recipe, unmasking = self.cell.train, self.cell.test, self.cell.recipe, self.cell.unmasking
        with seeded(recipe.seed):
            learner = self.cell.build()
            fill: Any = marked("filling", unmasking.fill)
            draw = marked("drawing", replace(unmasking, fill=fill).draw(train, CPU))
            fit(learner, draw, len(train), recipe, device=CPU)
            marked("evaluating", logits_of)(learner, unmasking.draw(test, CPU), len(test), recipe, CPU)


def marked(name: str, function: Any) -> Callable[..., Any]:
    """The function under a name that the profiler sees."""

    def call(*arguments: Any) -> Any:
        with record_function(name):
            return function(*arguments)

    return call


def profiled(network: str, fitting: Fitting, peaks: dict[str, float], rounds: int) -> list[Row]:
    """Print and return the shares, and what the fit achieves."""
    fitting()  # warms up
    seconds, parts = [], []
    for _ in range(rounds):
        start = time.perf_counter()
        fitting()
        seconds.append(time.perf_counter() - start)
        parts.append(operators(fitting))
    wall = statistics.median(seconds)
    spent = {
        name: statistics.median(found[name] for found in parts) for name in dict.fromkeys(key for found in parts for key in found)
    }
    spent[PYTHON] = max(0.0, wall - sum(spent.values()))
    total = sum(spent.values())
    with FlopCounterMode(display=False) as counter:
        fitting()
    achieved = counter.get_total_flops() / wall
    shares = {name: 100 * value / total for name, value in sorted(spent.items(), key=lambda item: -item[1])}
    best = max(peaks.values())
    print(f"\n{network}: {wall:.2f} s a fit, {achieved / 1e9:.1f} GFLOP/s, {100 * achieved / best:.0f} % of the peak; time goes to")
    for name, share in shares.items():
        print(f"  {share:5.1f} %  {name}")
    products = counter.get_total_flops() / spent[PRODUCTS] / 1e9
    return [
        Row(f"{network}: achieved by a fit", achieved / 1e9, "GFLOP/s", "the peak", achieved / best),
        Row(f"{network}: achieved inside {PRODUCTS}", products, "GFLOP/s", "the peak", 1e9 * products / best),
        *(Row(f"{network}: {name}", share, "% of the time") for name, share in shares.items()),
    ]


def operators(fitting: Fitting) -> Counter[str]:
    """Seconds of the operators' own time, by what they are for."""
    with profile(activities=[ProfilerActivity.CPU]) as found:
        fitting()
    spent: Counter[str] = Counter()
    for event in found.events():
        part = part_of(event)
        if part:
            spent[part] += event.self_cpu_time_total / 1e6
    return spent


def part_of(event: Any) -> str:
    """What an operator is for: the innermost mark around it, else its kind; empty for the frames of Python around operators."""
    around, mark = event, None
    while around is not None and mark is None:
        mark = next((part for name, part in MARKS.items() if around.name.startswith(name)), None)
        around = around.cpu_parent
    if any(event.name.startswith(name) for name in MARKS):
        return ""  # a mark's own time is Python's
    return mark or next((kind for kind, names in KINDS.items() if any(name in event.name for name in names)), "")


if __name__ == "__main__":
    main()
