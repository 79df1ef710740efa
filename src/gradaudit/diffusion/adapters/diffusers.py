"""Folders that diffusers' `save_pretrained` wrote: a `UNet2DModel` and the schedule that it was trained on."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import Tensor, nn

from gradaudit.classifiers.checkpoints import read_checkpoint
from gradaudit.diffusion.adapters._edm import edm_preconditioned
from gradaudit.diffusion.adapters._variance_preserving import CLEAN, variance_preserving
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.diffusers_unet import UNet, fill, shapes_of
from gradaudit.errors import InputError, first_line, require

WEIGHTS = "diffusion_pytorch_model"
VARIANCE_PRESERVING = (
    "DDPMScheduler",
    "DDPMParallelScheduler",
    "DDIMScheduler",
    "DDIMParallelScheduler",
    "PNDMScheduler",
    "DPMSolverMultistepScheduler",
    "DPMSolverSinglestepScheduler",
    "DEISMultistepScheduler",
    "UniPCMultistepScheduler",
)
EDM = ("EDMEulerScheduler", "EDMDPMSolverMultistepScheduler")
# What attention was called before diffusers 0.15; the files on the Hub still are.
RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def diffusers(
    folder: str,
    *,
    allow_pickle: bool = False,
    prediction: str | None = None,
    schedule: str | Tensor | None = None,
    null_class: int | None = None,
) -> Denoiser:
    """The denoiser in a folder of diffusers': a pipeline with its scheduler, or a U-Net alone.

    Args:
        folder: with `config.json` and the weights of a `UNet2DModel`, in `unet/` or itself, and `scheduler_config.json`, in
            `scheduler/` or itself.
        allow_pickle: also read weights in a `.bin` file.
        prediction: "epsilon", "v_prediction" or "sample"; None for what the scheduler says, or else "epsilon".
        schedule: "linear", "cosine", alpha-bar as a tensor (T,), or "edm"; None for what the scheduler says.
        null_class: what stands for no class in a class-conditional model; None where it was trained on classes alone.

    Raises:
        InputError: a file is missing, damaged, or doesn't fit the others; an unknown scheduler; weights only in a pickle.
    """
    place = Path(folder)
    require(place.is_dir(), "source", str(folder), "a folder that exists")
    config = _json(_found(place, "unet", "config.json"))
    require(config.get("_class_name") == "UNet2DModel", "source", str(folder), "a UNet2DModel, by the class in its config.json")
    _check_embeddings(config, str(folder))
    scheduler = _scheduler(place, prediction, schedule)
    weights = _weights(_found(place, "unet", "config.json").parent, allow_pickle)
    unet = UNet(fill(shapes_of(config, str(folder)), _tensors(weights, allow_pickle), str(weights)), null_class)
    return _denoiser(unet, config, scheduler, place.resolve().name)


def _denoiser(unet: UNet, config: Mapping[str, Any], scheduler: Mapping[str, Any], name: str) -> Denoiser:
    description: dict[str, object] = {"adapter": "diffusers", "source": name} | {
        key: value for key, value in scheduler.items() if isinstance(value, str | int | float | list)
    }
    size = config.get("sample_size")
    sides = (size, size) if isinstance(size, int) else size
    shape = (config.get("in_channels", 3), *sides) if sides else None
    rest: dict[str, Any] = {"shape": shape, "classes": unet.classes, "description": description}
    if "sigma_data" in scheduler:
        return edm_preconditioned(unet, **{key: scheduler[key] for key in ("sigma_data", "negated", "sigma_range")}, **rest)
    whole = config.get("time_embedding_type", "positional") == "learned"
    return variance_preserving(unet, scheduler["schedule"], prediction=scheduler["prediction"], integer_steps=whole, **rest)


def _scheduler(place: Path, prediction: str | None, schedule: str | Tensor | None) -> dict[str, Any]:
    """What the network was trained on: schedule and prediction, or EDM's numbers."""
    allowed = f"one of {', '.join(CLEAN)}, or None"
    require(prediction is None or prediction in CLEAN, "prediction", prediction, allowed)
    if isinstance(schedule, str) and schedule == "edm":
        return _edm({}, prediction)
    if schedule is not None:
        return {"schedule": schedule, "prediction": prediction or "epsilon"}
    expected = f"given, since {place} has no scheduler_config.json: linear, cosine, edm or alpha-bar as a tensor (T,)"
    path = _path(place, "scheduler", "scheduler_config.json")
    if path is None:
        raise InputError("schedule", None, expected)
    config = _json(path)
    if config.get("_class_name") in EDM:
        return _edm(config, prediction)
    found = prediction or config.get("prediction_type", "epsilon")
    require(found in CLEAN, "source", str(path), f"a scheduler whose prediction_type is one of {', '.join(CLEAN)}, not {found!r}")
    return {"schedule": _alphas_cumprod(config, path), "prediction": found, "scheduler": config["_class_name"]}


def _edm(config: Mapping[str, Any], prediction: str | None) -> dict[str, Any]:
    found = prediction or config.get("prediction_type", "epsilon")
    # Behind EDM's preconditioning the prediction's type only decides its sign.
    require(found in ("epsilon", "v_prediction"), "prediction", found, "epsilon or v_prediction for EDM's schedulers")
    limits = (config.get("sigma_min", 0.002), config.get("sigma_max", 80.0))
    return {"sigma_data": config.get("sigma_data", 0.5), "negated": found == "v_prediction", "sigma_range": limits}


def _alphas_cumprod(config: Mapping[str, Any], path: Path) -> Tensor:
    import diffusers as library

    name = config.get("_class_name")
    expected = f"one of {', '.join((*VARIANCE_PRESERVING, *EDM))}, not {name}; or give `schedule` and `prediction`"
    require(name in VARIANCE_PRESERVING, "source", str(path), expected)
    try:
        found: Tensor = getattr(library, str(name)).from_config(dict(config)).alphas_cumprod
    except Exception as error:  # whatever a damaged configuration leads to
        expected = f"the configuration of a {name} ({type(error).__name__}: {first_line(error)})"
        raise InputError("source", str(path), expected) from error
    return found


def _check_embeddings(config: Mapping[str, Any], source: str) -> None:
    time, label = config.get("time_embedding_type", "positional"), config.get("class_embed_type")
    expected = f'a U-Net whose time_embedding_type is "positional" or "learned", not {time!r}'
    require(time in ("positional", "learned"), "source", source, expected)
    require(label is None, "source", source, f"a U-Net whose class_embed_type is null, not {label!r}")


def _weights(folder: Path, allow_pickle: bool) -> Path:
    safe = sorted(folder.glob(f"{WEIGHTS}*.safetensors"))
    preferred = [path for path in safe if path.stem == WEIGHTS] or safe
    require(len(preferred) <= 1, "source", str(folder), f"a folder with one file of weights; it has {[path.name for path in safe]}")
    pickles = sorted(folder.glob(f"{WEIGHTS}*.bin"))
    if preferred or (pickles and allow_pickle):
        return (preferred or pickles)[0]
    expected = f"a folder with {WEIGHTS}.safetensors"
    if pickles:
        expected += (
            f"; it has {pickles[0].name} alone, a pickle, and loading a pickle can run any code. If you trust its author, convert "
            "it: UNet2DModel.from_pretrained(folder, use_safetensors=False).save_pretrained(folder, safe_serialization=True); "
            "or opt in with allow_pickle=True"
        )
    raise InputError("source", str(folder), expected)


def _tensors(path: Path, allow_pickle: bool) -> dict[str, Tensor]:
    content = read_checkpoint(path, allow_pickle=allow_pickle, argument="source")
    if isinstance(content, nn.Module):
        raise InputError("source", str(path), "a file of tensors by name, not of a whole module")
    return {_renamed(name): value for name, value in content.items()}


def _renamed(name: str) -> str:
    parts = name.split(".")
    if len(parts) > 1 and "attentions" in parts:
        parts[-2] = RENAMED.get(parts[-2], parts[-2])
    return ".".join(parts)


def _found(place: Path, inside: str, name: str) -> Path:
    path = _path(place, inside, name)
    if path is None:
        raise InputError("source", str(place), f"a folder with {inside}/{name} or {name}, as diffusers' save_pretrained writes it")
    return path


def _path(place: Path, inside: str, name: str) -> Path | None:
    return next((path for path in (place / inside / name, place / name) if path.is_file()), None)


def _json(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError("source", str(path), f"readable JSON ({error})") from error
    require(isinstance(found, dict), "source", str(path), "a JSON object")
    return dict(found)
