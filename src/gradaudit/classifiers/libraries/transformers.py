"""Image classifiers of Hugging Face's transformers, from folders that `save_pretrained` wrote."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import nn

from gradaudit.classifiers.libraries._network import Asked, LibraryNetwork
from gradaudit.classifiers.logits import Logits
from gradaudit.classifiers.normalisation import Normalisation
from gradaudit.errors import InputError, MissingExtraError, require

PROCESSOR = "preprocessor_config.json"
STRANGE = {  # settings of a processor that a normalisation can't stand for, and the values that mean nothing
    "do_flip_channel_order": (False, None),
    "rescale_offset": (False, None),
    "include_top": (False, None),
}


def transformers(name: str, asked: Asked) -> LibraryNetwork:
    """An image classifier from a folder that `save_pretrained` wrote: config.json, model.safetensors, preprocessor_config.json.

    Nothing is downloaded, and no code of the folder's runs. Without its weights, it is untrained and of its config.

    Args:
        name: the folder.
        asked: what it is asked to be.

    Raises:
        MissingExtraError: transformers is not installed.
        InputError: it is no such folder, holds no image classifier or only part of one, pickled weights that were not
            allowed, or a processor that does more than normalise.
    """
    try:
        import transformers as package
    except ImportError as error:
        raise MissingExtraError("transformers", "transformers", f"`transformers:{name}`") from error
    folder = Path(name).expanduser()
    require((folder / "config.json").is_file(), "network", name, "a folder with a config.json, as save_pretrained writes it")
    require(not asked.options, "network", name, "given no options: its config.json says all")
    described = _json(folder / "config.json")
    expected = f"a folder of transformers; this is timm's: timm:local-dir:{name}"
    require("model_type" in described or "architecture" not in described, "network", name, expected)
    with _quiet(package):
        config = package.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        network = _trained(package, folder, config, asked) if asked.pretrained else _untrained(package, config, asked)
    processor = _json(folder / PROCESSOR) if (folder / PROCESSOR).is_file() else {}
    channels = int(getattr(config, "num_channels", 3))
    return LibraryNetwork(
        network=Logits(network),
        channels=channels,
        normalisation=_normalisation(folder, processor, channels) if processor else None,
        sizes=_sizes(processor) if asked.pretrained else (),
        class_names=class_names_of(config) if asked.pretrained else None,
        renamed=lambda tensors: {f"classifier.{name}": value for name, value in tensors.items()},  # as `Logits` has it
    )


def class_names_of(config: Any) -> tuple[str, ...] | None:
    """A configuration's names of classes, in the order of the logits; None where nobody gave it any."""
    names = getattr(config, "id2label", None)
    if not isinstance(names, Mapping) or {*names} != {*range(len(names))}:
        return None
    found = tuple(str(names[place]) for place in range(len(names)))
    return None if found == tuple(f"LABEL_{place}" for place in range(len(found))) else found


def _trained(package: Any, folder: Path, config: Any, asked: Asked) -> nn.Module:
    safe = [*folder.glob("*.safetensors"), *folder.glob("*.safetensors.index.json")]
    pickled = [file.name for file in folder.glob("pytorch_model*.bin")]
    expected = f"a folder with model.safetensors; {', '.join(pickled)} may run code: if you trust its author, allow_pickle=True"
    require(bool(safe) or not pickled or asked.allow_pickle, "network", str(folder), expected)
    network, told = package.AutoModelForImageClassification.from_pretrained(
        folder,
        config=config,
        local_files_only=True,
        trust_remote_code=False,
        use_safetensors=bool(safe),
        weights_only=not asked.allow_pickle,
        output_loading_info=True,
        dtype=torch.float32,
    )
    # Whatever is lacking was drawn at random, as where the folder holds a network without its head.
    lacking = sorted({str(key) for kind in ("missing_keys", "mismatched_keys", "error_msgs") for key in told.get(kind, ())})
    expected = f"a folder with all weights of {type(network).__name__}; it lacks {', '.join(lacking[:4])}"
    require(not lacking, "network", str(folder), expected)
    found: nn.Module = network
    return found


def _untrained(package: Any, config: Any, asked: Asked) -> nn.Module:
    if asked.classes is not None and asked.classes != config.num_labels:
        config.num_labels = asked.classes
    if asked.input_shape is not None:
        config.num_channels = asked.input_shape[0]
        if isinstance(getattr(config, "image_size", None), int):
            config.image_size = asked.input_shape[1]
    network: nn.Module = package.AutoModelForImageClassification.from_config(config, trust_remote_code=False)
    return network.eval()


def _normalisation(folder: Path, processor: Mapping[str, Any], channels: int) -> Normalisation:
    """Of pixels in [0, 1]; the processor takes those of 0 to 255 and scales them first."""
    odd = [f"{key}={processor[key]}" for key, plain in STRANGE.items() if processor.get(key) not in plain]
    expected = f"one whose processor only normalises; {', '.join(odd)} in {PROCESSOR}: put a module of yours in front"
    require(not odd, "network", str(folder), expected)
    scale = 255 * float(processor.get("rescale_factor") or 1 / 255) if processor.get("do_rescale", True) else 255.0
    mean: Any = (0.0,) * channels
    std: Any = (1.0,) * channels
    if processor.get("do_normalize", True):
        mean, std = (processor.get(key) for key in ("image_mean", "image_std"))
        if not (isinstance(mean, list | tuple) and isinstance(std, list | tuple)):
            raise InputError("network", str(folder), f"one whose {PROCESSOR} has image_mean and image_std")
    return Normalisation(tuple(float(value) / scale for value in mean), tuple(float(value) / scale for value in std))


def _sizes(processor: Mapping[str, Any]) -> tuple[tuple[int, int], ...]:
    size = processor.get("crop_size") if processor.get("do_center_crop") else processor.get("size")
    if isinstance(size, int):
        return ((size, size),)
    if not isinstance(size, Mapping):
        return ()
    sides = size.get("height", size.get("shortest_edge")), size.get("width", size.get("shortest_edge"))
    return ((int(sides[0]), int(sides[1])),) if None not in sides else ()


def _json(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        return found
    except (OSError, ValueError) as error:
        raise InputError("network", str(path), f"a readable JSON file ({error})") from error


@contextmanager
def _quiet(package: Any) -> Iterator[None]:
    """Without progress of its own; what it would warn of is an error here."""
    words = package.utils.logging
    before, bar = words.get_verbosity(), words.is_progress_bar_enabled()
    words.set_verbosity_error()
    words.disable_progress_bar()
    try:
        yield
    finally:
        words.set_verbosity(before)
        if bar:
            words.enable_progress_bar()
