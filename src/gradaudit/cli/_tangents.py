"""The `--tangents` option: what knows the data manifold."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from gradaudit.errors import require
from gradaudit.registry import Spec, parse_spec

if TYPE_CHECKING:
    from gradaudit.images import ImageSet

TAKEN = {"images", "source", "seed", "device", "show_progress"}  # of `tangent_spaces`, by other options of the commands
EXPECTED = 'an autoencoder\'s `.safetensors` file, `neighbours`, or `denoiser("FILE OR zoo:NAME", sigma=0.25)`'


def tangents_source(text: str, training: ImageSet, allow_pickle: bool) -> tuple[Any, dict[str, Any]]:
    """The source of tangent spaces that the text names, and the options of its way."""
    if text.endswith(".safetensors"):
        from gradaudit.diffusion.autoencoder import load_autoencoder

        return load_autoencoder(text), {}
    spec = parse_spec("--tangents", text)
    require(spec.name in ("neighbours", "denoiser") and not TAKEN & spec.options.keys(), "--tangents", text, EXPECTED)
    if spec.name == "neighbours":
        require(not spec.positional, "--tangents", text, EXPECTED)
        return training, spec.options
    return _denoiser(spec, allow_pickle), spec.options


def _denoiser(spec: Spec, allow_pickle: bool) -> Any:
    from gradaudit.diffusion.load import load_denoiser

    require(len(spec.positional) == 1 and isinstance(spec.positional[0], str), "--tangents", str(spec), EXPECTED)
    return load_denoiser(spec.positional[0], allow_pickle=allow_pickle)
