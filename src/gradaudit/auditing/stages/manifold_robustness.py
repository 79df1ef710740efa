"""Manifold robustness in the audit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

from torch import Tensor

from gradaudit.auditing.settings import options_taken
from gradaudit.auditing.stages._stage import Options, Score, Stage
from gradaudit.diffusion import load_autoencoder, tangent_spaces
from gradaudit.errors import require
from gradaudit.instruments.bench import Bench
from gradaudit.instruments.costs import Cost
from gradaudit.instruments.manifold_robustness import ManifoldRobustnessResult, manifold_robustness
from gradaudit.registry import parse_spec
from gradaudit.results import Result

FEWEST = 200  # training images among which neighbours are looked for
EXPECTED = "an autoencoder's `.safetensors` file, `neighbours` with its options, or `denoiser` with its options"


def lacks(bench: Bench, name: str, options: Options) -> str | None:
    """Something is needed that knows the data manifold."""
    source = _source(options)
    if source == "neighbours" and len(bench.train) < FEWEST:
        return (
            f"tangent spaces by neighbours need {FEWEST} training images or more, and there are {len(bench.train)}; "
            "an autoencoder or a denoiser would do"
        )
    if source == "denoiser" and bench.denoiser is None:
        return "its tangent spaces are to come from a denoiser, and none was given (denoiser=, --denoiser)"
    return None


def run(bench: Bench, name: str, options: Options) -> Result:
    """Manifold robustness's result; `tangents` says what knows the manifold."""
    given = dict(options)
    images = bench.tested(given.pop("images", None))
    tangents = given.pop("tangents", "neighbours")
    result = manifold_robustness(
        bench.classifiers[name],
        images,
        _bases(bench, tangents),
        **given,
        seed=bench.run.seed,
        device=bench.run.device,
        show_progress=bench.run.show_progress,
    )
    return replace(result, settings=result.settings | {"tangents": str(tangents)})


def _source(options: Options) -> str:
    text = str(options.get("tangents", "neighbours"))
    if text.endswith(".safetensors"):
        return "autoencoder"
    found = parse_spec("tangents", text).name
    require(found in ("neighbours", "denoiser"), "tangents", text, EXPECTED)
    return found


def _bases(bench: Bench, tangents: str) -> Callable[[Tensor], Tensor]:
    kind = _source({"tangents": tangents})
    source: Any = bench.train if kind == "neighbours" else bench.denoiser
    chosen = {} if kind == "autoencoder" else parse_spec("tangents", tangents).options
    if kind == "autoencoder":
        source = load_autoencoder(tangents)

    def bases(floats: Tensor) -> Tensor:
        return tangent_spaces(floats, source, seed=bench.run.seed, device=bench.run.device, **chosen)

    return bases


def uses(bench: Bench, name: str, options: Options) -> dict[str, Any]:
    """What knows the manifold; an autoencoder's file is among the options."""
    known: dict[str, dict[str, Any]] = {
        "neighbours": {"train": bench.train.fingerprint},
        "denoiser": {"denoiser": bench.denoiser_mark},
    }
    return known.get(_source(options), {})


def cost(bench: Bench, name: str, options: Options) -> Cost:
    """Both directions of every draw at every radius; a pass forward is about a third of one there and back."""
    count = len(bench.tested(options.get("images")))
    radius = options.get("radius")
    radii = len(radius) if isinstance(radius, (list, tuple)) else 4
    return Cost(gradients=count * radii * int(options.get("samples", 10)) * 2 // 3)


def scores(result: Result) -> dict[str, Score]:
    """The ratio of the changes on and off the manifold, over all radii."""
    assert isinstance(result, ManifoldRobustnessResult)
    return {"relative off-manifold robustness": Score(*result.ratio(), 1)}


TAKES = frozenset(options_taken(manifold_robustness, "images", "tangents"))
STAGE = Stage("manifold_robustness", TAKES, lacks, run, uses, cost, scores)
