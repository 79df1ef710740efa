"""A denoiser as one self-describing file: its tensors, and all that is needed to build it again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from gradaudit.classifiers.checkpoints import mismatch, require_finite
from gradaudit.devices import resolve_device, seeded
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.preconditioning import Preconditioned
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.errors import InputError, require
from gradaudit.files import whole_file

FORMAT = "gradaudit-denoiser"
VERSION = 1
FIELDS = {"version", "shape", "classes", "description"}


def save_denoiser(
    path: str | os.PathLike[str], denoiser: Denoiser, *, half: bool = True, measured: Mapping[str, Any] | None = None
) -> Path:
    """Write a denoiser that `read_denoiser(path)` gives back; the file carries its recipe, its data's fingerprint and versions.

    Args:
        path: a `.safetensors` file; written whole or not at all.
        denoiser: what `train_denoiser` or `read_denoiser` returned.
        half: keep the weights in fp16, in half the room.
        measured: figures to keep with it, as JSON values.

    Returns:
        The path.

    Raises:
        InputError: a denoiser of another kind, weights that are not finite (as fp16, with `half`), or figures that are not JSON.
        StoreError: the file can't be written.
    """
    from safetensors.torch import save

    require(Path(path).suffix == ".safetensors", "path", str(path), "a file name that ends in .safetensors")
    model = denoiser.denoise
    if not isinstance(model, Preconditioned) or "recipe" not in denoiser.description:
        raise InputError("denoiser", type(model).__name__, "one that `train_denoiser` or `read_denoiser` returned")
    kept = torch.float16 if half else torch.float32
    tensors = {name: value.detach().to("cpu", kept).contiguous().clone() for name, value in model.state_dict().items()}
    require_finite(tensors, "denoiser", type(denoiser).__name__)
    description = denoiser.description if measured is None else denoiser.description | {"measured": dict(measured)}
    header = {"version": VERSION, "shape": denoiser.shape, "classes": denoiser.classes, "description": description}
    try:
        text = json.dumps(header, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("measured", measured, f"JSON values ({error})") from error
    with whole_file(path) as file:
        file.write(save(tensors, {"format": FORMAT, "denoiser": text}))
    return Path(path)


def read_denoiser(path: str | os.PathLike[str], device: str | torch.device = "cpu") -> Denoiser:
    """The denoiser that `save_denoiser` wrote, in float32 and evaluation mode, on `device`.

    Raises:
        InputError: the file is damaged, is something else, or its tensors do not fit its recipe.
    """
    place = resolve_device(device)
    header, tensors = _read(path)
    shape, classes, description = tuple(header["shape"]), header["classes"], header["description"]
    with seeded(0):
        model = DenoiserRecipe(**description["recipe"]).build(shape, classes)
    problem = mismatch(tensors, model.state_dict())
    require(not problem, "path", str(path), f"a denoiser's file whose tensors fit its recipe: {problem}")
    require_finite(tensors, "path", str(path))
    model.load_state_dict(tensors)
    denoiser = Denoiser(model, shape=shape, classes=classes, description=description)
    return denoiser.eval().to(place)


def _read(path: str | os.PathLike[str]) -> tuple[dict[str, Any], dict[str, Tensor]]:
    from safetensors import SafetensorError, safe_open

    require(Path(path).is_file(), "path", str(path), "a file that exists")
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        header = json.loads(metadata.get("denoiser", "null"))
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError("path", str(path), f"a readable .safetensors file ({error})") from error
    known = metadata.get("format") == FORMAT and isinstance(header, dict) and header.keys() >= FIELDS
    require(known and header["version"] == VERSION, "path", str(path), "a file that this version's `save_denoiser` wrote")
    return header, tensors
