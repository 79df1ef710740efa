"""`gradaudit demo`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from gradaudit.cli._options import AsJson, Seed, StoreFolder, Workers, workers_of
from gradaudit.cli._output import say
from gradaudit.cli.diffroar import print_diffroar
from gradaudit.cli.leakage import print_leakage


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page, tables and classifiers.")] = Path("demo"),
    seed: Seed = 0,
    workers: Workers = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Train standard and adversarial classifiers on embedded MNIST images, audit them, write a page. About two minutes.

    Everything it needs comes with the package. Open `demo/index.html` when it is done.
    """
    from gradaudit.demo import run_demo
    from gradaudit.instruments.diffroar import DiffROARResult
    from gradaudit.instruments.leakage import LeakageResult

    start = time.perf_counter()
    results, page = run_demo(out, seed=seed, workers=workers_of(workers), store=store, show_progress=True)
    if as_json:
        print(json.dumps({name: result.to_json() for name, result in results.items()}))
        return
    for name, result in results.items():
        if isinstance(result, DiffROARResult):
            print_diffroar(result, f"{name} classifier")
        elif isinstance(result, LeakageResult):
            print_leakage(result, f"{name} classifier")
    say(f"The page: {page} ({time.perf_counter() - start:.0f} s in all)")
