"""Claim: memory of what trains networks, asks a denoiser or has workers is known before it starts, to within 30 %.

On MNIST with the zoo's classifiers and denoiser, each instrument in a process of its own: what a dry run says before it starts,
against the largest resident memory of the process; of several workers, the proportional memory of all processes (PSS, in which
pages that they share count once), as a plan's workers do nothing but the work. An idle worker is one that has imported gradaudit
and trained a network of a single layer on four images: what it holds is what each is counted with.

Run: `OMP_NUM_THREADS=1 python benchmarks/predicted_memory.py`. Five minutes. Linux only.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import psutil
import torch

import gradaudit as ga
from _processes import alone, peak, reset_peak
from _record import RESULTS, Record, Row, benchmark_parser, recording
from gradaudit.instruments.contract import about, instrument
from gradaudit.instruments.costs import WORKER, predicted
from gradaudit.instruments.setup import Run, Setup
from gradaudit.instruments.sweep import BASE
from gradaudit.training.backends import resolve_backend

OFF, IDLE = 1.3, 2
SHORT = "alignment"
TRAINED = ga.named_recipe("mnist/standard", epochs=1)
FINE_TUNE = {"finetuned": "evaluators/fine-tune(epochs=1)", "patches": 0, "levels": (0.2,)}
MASKS = {"fills": "mean", "levels": (0.1,), "sides": ("top",), "seeds": 2, "epochs": 1, "learner": TRAINED}
PARTS: dict[str, tuple[str, dict[str, Any], int]] = {
    SHORT: ("alignment", {}, 1),
    "counterfactuals, DVCE": ("counterfactual", {"method": "dvce(steps=10)"}, 1),
    "counterfactuals, DVCE, guidance none": ("counterfactual", {"method": "dvce(steps=10,guidance=none)"}, 1),
    "counterfactuals, blended": ("counterfactual", {"method": "blended(steps=10)"}, 1),
    "leakage on blocks": ("leakage", {"epochs": 1}, 1),
    "fidelity, fine-tuned": ("fidelity", FINE_TUNE, 1),
    "mask recovery": ("mask_recovery", MASKS, 1),
    "sweep": ("sweep", {"families": {"gradient_penalty": (0.1,)}, "base": BASE.with_(epochs=1), "tangents": "neighbours"}, 1),
    "sweep, 2 workers": ("sweep", {"families": {"noise": (0.1,)}, "base": BASE.with_(epochs=1), "tangents": "neighbours"}, 2),
}


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--only", choices=PARTS, nargs="+", help="some of the instruments; the others' rows are kept as they are")
    arguments = parser.parse_args()
    with recording(__file__, __doc__, arguments) as rows:
        rows.extend(_kept(arguments))
        for name in [SHORT] if arguments.short else arguments.only or PARTS:
            found = alone(measured, name, 40 if arguments.short else 400)
            print(name, found, flush=True)
            bounds = {} if arguments.short else {"at_least": 1 / OFF, "at_most": OFF}
            said = f"measured {found['bytes'] / 1e6:.0f} MB, {found['before'] / 1e6:.0f} MB of them before"
            rows.append(Row(name, found["predicted"] / 1e6, "MB", said, found["predicted"] / found["bytes"], **bounds))
        if not arguments.short and not arguments.only:
            each = alone(idle)
            rows.append(Row("an idle worker", each / 1e6, "MB", f"counted with {WORKER / 1e6:.0f} MB", WORKER / each))


def _kept(arguments: argparse.Namespace) -> list[Row]:
    """The rows of the last record about instruments that are not measured now."""
    file = (arguments.results or RESULTS) / "predicted_memory.json"
    if not arguments.only or arguments.short or not file.exists():
        return []
    return [row for row in Record.load_from(file).rows if row.what not in arguments.only]


def measured(name: str, images: int) -> dict[str, float]:
    """Predicted and measured bytes; call it in a fresh process."""
    torch.set_num_threads(1)
    kind, options, workers = PARTS[name]
    train, test = (part[: 5 * count] for part, count in zip(ga.load_images("mnist5k"), (images, images // 5), strict=True))
    with tempfile.TemporaryDirectory() as store:
        run = Run(0, ga.Store(store), workers, "local", torch.device("cpu"), False)
        classifiers = {"standard": ga.load_classifier("zoo:mnist/standard")}
        robust = ga.load_classifier("zoo:mnist/robust")
        if kind == "counterfactual":
            test = test[:32]
        setup = Setup(classifiers, {"standard": TRAINED}, train, test, ga.load_denoiser("zoo:mnist"), robust, {}, run)
        one, chosen = instrument(kind), (about(kind).audited or about(kind).command)(**options)
        cost = one.cost(setup, "standard", chosen)
        before = reset_peak()
        said = predicted(cost, None, run.device)
        with watched(workers > 1) as highest:
            one.measure(setup, "standard", chosen)
        return {"predicted": said.memory, "before": before, "bytes": highest[0] or peak()}


def idle() -> float:
    """Proportional memory of a worker that has done next to nothing."""
    torch.set_num_threads(1)
    pixels = torch.randint(0, 256, (4, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = ga.ImageSet(pixels, torch.tensor([0, 1, 0, 1]), ("a", "b"))
    with tempfile.TemporaryDirectory() as folder:
        backend = resolve_backend("local", ga.Store(folder), torch.device("cpu"))
        list(backend.run(ga.train, [(ga.Recipe(network="linear", epochs=1, batch_size=4), images)] * 8 * IDLE, IDLE))
        return (proportional() - psutil.Process().memory_full_info().pss) / IDLE


@contextmanager
def watched(needed: bool) -> Iterator[list[int]]:
    """A list whose only number is the highest proportional memory of all processes inside, where that is needed."""
    highest, over = [0], threading.Event()

    def watch() -> None:
        while not over.wait(0.1):
            highest[0] = max(highest[0], proportional())

    watcher = threading.Thread(target=watch)
    if needed:
        watcher.start()
    try:
        yield highest
    finally:
        over.set()
        if needed:
            watcher.join()


def proportional() -> int:
    """Proportional memory of this process and its children."""
    own, total = psutil.Process(), 0
    for process in (own, *own.children(recursive=True)):
        try:
            total += process.memory_full_info().pss
        except psutil.Error:  # it ended while it was looked at
            continue
    return total


if __name__ == "__main__":
    main()
