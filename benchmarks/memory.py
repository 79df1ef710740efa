"""Claim: a grid on full CIFAR-10 needs at most 1.5 times the memory of its uint8 images plus its ranking, however many levels.

The peak over the process and its workers, shared pages counted once (PSS), less the same peak on 600 images: what is left is data.
Run: `python benchmarks/memory.py --data cifar10 --data-dir DATA`. About 2 minutes on 2 cores. Linux only.
"""

from __future__ import annotations

import multiprocessing
import os
import tempfile
import threading
import time
from typing import Any

import psutil
import torch

import gradaudit as ga
from _record import Row, benchmark_parser, recording

ALLOWED = 1.5
LEVELS = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)


def main() -> None:
    parser = benchmark_parser(__doc__)
    parser.add_argument("--data", default="cifar10")
    parser.add_argument("--data-dir", default=os.environ.get("GRADAUDIT_DATA"))
    parser.add_argument("--workers", type=int, default=2)
    arguments = parser.parse_args()
    few, many = (200, 2000) if arguments.short else (600, None)
    with recording(__file__, __doc__, arguments) as rows:
        base, _ = peak(arguments, levels=2, images=few)
        print(f"{few} images, 2 levels: peak {base / 1e6:.0f} MB; the interpreters and libraries of {arguments.workers} workers")
        for levels in (2, 8):
            found, size = peak(arguments, levels=levels, images=many)
            ratio = (found - base) / size
            print(
                f"{many or 'all'} images, {levels} levels: peak {found / 1e6:.0f} MB, {(found - base) / 1e6:.0f} MB for data;"
                f" images and ranking are {size / 1e6:.0f} MB: ratio {ratio:.2f} (allowed: {ALLOWED})"
            )
            what = f"{arguments.data}, {levels} levels: memory for data"
            rows.append(Row(what, (found - base) / 1e6, "MB", "images and ranking", ratio, at_most=ALLOWED))


def peak(arguments: Any, levels: int, images: int | None) -> tuple[int, int]:
    """Highest PSS in bytes of a fresh process and its workers while the grid runs, and the size of its data."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=run_grid, args=(vars(arguments), levels, images, sender))
    process.start()
    sender.close()  # so that a child which dies is noticed
    highest, done = 0, threading.Event()

    def watch() -> None:
        nonlocal highest
        before = 0
        while not done.is_set():
            now = tree_memory(process.pid)
            # Processes are read one after the other: where one gives shared pages back meanwhile, a single sum counts them twice.
            highest = max(highest, min(before, now))
            before = now
            time.sleep(0.1)

    watcher = threading.Thread(target=watch)
    watcher.start()
    size = receiver.recv()
    done.set()
    watcher.join()
    for worker in psutil.Process(process.pid).children(recursive=True):  # they would wait for more work for minutes
        worker.kill()
    process.kill()
    process.join()
    return highest, size


def tree_memory(pid: int) -> int:
    total = 0
    try:
        parent = psutil.Process(pid)
        for process in (parent, *parent.children(recursive=True)):
            total += process.memory_full_info().pss
    except psutil.Error:
        pass  # a process that ended while it was looked at
    return total


def run_grid(arguments: dict[str, Any], levels: int, images: int | None, sender: Any) -> None:
    train, test = ga.load_images(arguments["data"], folder=arguments["data_dir"])
    if images is not None:
        train, test = train.sample(images), test.sample(images)
    torch.manual_seed(0)
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(train.images[0].numel(), len(train.classes)))
    with tempfile.TemporaryDirectory() as store:
        ga.diffroar(
            classifier,
            train,
            test,
            evaluate="retrain",
            learner=ga.Recipe(network="linear", epochs=1),
            levels=LEVELS[:levels],
            seeds=1,
            controls=(),
            mask_only=False,
            store=store,
            workers=arguments["workers"],
        )
    features = train.images[0].numel()
    sender.send((len(train) + len(test)) * features * (1 + 2))  # one byte a pixel, two a rank


if __name__ == "__main__":
    main()
