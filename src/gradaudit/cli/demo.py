"""`gradaudit demo`."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Annotated

import typer

from gradaudit.cli._options import AsJson, Seed, StoreFolder, Workers, workers_of
from gradaudit.cli._output import say
from gradaudit.cli.audit import print_audit


def demo(
    out: Annotated[Path, typer.Option(help="Folder for the page, tables and figures.")] = Path("demo"),
    seed: Seed = 0,
    workers: Workers = "auto",
    store: StoreFolder = None,
    as_json: AsJson = False,
) -> None:
    """Audit a standard and a robust classifier of digits, both packaged, and write a page. A minute or two.

    Everything it needs comes with the package. Open `demo/index.html` when it is done.
    """
    from gradaudit.demo import run_demo

    start = time.perf_counter()
    result, page = run_demo(out, seed=seed, workers=workers_of(workers), store=store, show_progress=True)
    if as_json:
        print(json.dumps(result.to_json()))
        return
    print_audit(result)
    say(f"The page: {page} ({time.perf_counter() - start:.0f} s in all)")
