"""The demo: the whole audit of a standard and a robust classifier on embedded images, on one page."""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Any

from gradaudit.auditing import Audit, AuditResult, prepare_audit
from gradaudit.auditing.files import read_classifier
from gradaudit.datasets import blocks, load_images
from gradaudit.diffusion import load_denoiser
from gradaudit.files import writable_folder
from gradaudit.training import Recipe, Store, train_once

CLASSIFIERS = {"standard": "zoo:mnist/standard", "robust": "zoo:mnist/robust"}
ON_BLOCKS = {"standard": "zoo:mnist-blocks/standard", "robust": "zoo:mnist-blocks/robust"}  # by the same recipes
ORACLE = Recipe(network="convnet", epochs=4)  # asked what the counterfactuals show; no method has seen it
DENOISER = "zoo:mnist"
OPTIONS = {"robustness": {"norm": "l2", "eps": (0.0, 1.0, 2.0)}}  # up to the radius that the robust one was trained for


def prepare_demo(
    out: str | os.PathLike[str],
    *,
    seed: int = 0,
    workers: Any = "auto",
    store: str | os.PathLike[str] | None = None,
    show_progress: bool = False,
) -> Audit:
    """The demo's audit, ready to run; its oracle is trained first.

    Args:
        out: folder for finished work, unless `store` is another.
        seed: every random draw comes from it.
        workers: fits at once, or `"auto"`.
        store: folder for finished work.
        show_progress: print progress to standard error.

    Raises:
        InputError: a folder can't be written.
    """
    place = Store(writable_folder("out", out) / "store" if store is None else store)
    training, testing = load_images("mnist5k", seed=seed)
    read = {name: read_classifier(name, spec, testing) for name, spec in CLASSIFIERS.items()}
    oracle = train_once(ORACLE.with_(seed=seed), training, store=place, device="cpu", show_progress=show_progress)
    return prepare_audit(
        {name: classifier for name, (classifier, _) in read.items()},
        training,
        testing,
        preset="quick",
        options=OPTIONS,
        denoiser=load_denoiser(DENOISER),
        robust=read["robust"][0],
        oracles={"convnet": oracle},
        recipes={name: recipe for name, (_, recipe) in read.items() if recipe is not None},
        on_blocks={name: read_classifier(name, spec, blocks(testing[:1]))[0] for name, spec in ON_BLOCKS.items()},
        seed=seed,
        store=place,
        workers=workers,
        device="cpu",
        show_progress=show_progress,
    )


def run_demo(out: str | os.PathLike[str], *, seed: int = 0, **options: Any) -> tuple[AuditResult, Path]:
    """The audit of both classifiers, and the page that shows them side by side; arguments and errors as `prepare_demo`."""
    result = prepare_demo(out, seed=seed, **options).run()
    return result, result.write(out, command=shlex.join(["gradaudit", "demo", "--out", str(out), "--seed", str(seed)]))
