"""A classifier as one self-describing file: its tensors, and all that is needed to build it again."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.classifiers.build import build_shapes, read_input_shape
from gradaudit.classifiers.checkpoints import closest, mismatch, require_finite
from gradaudit.classifiers.normalisation import Normalisation, NormalisationLike, NormalisedClassifier, read_normalisation
from gradaudit.errors import InputError, require
from gradaudit.files import whole_file
from gradaudit.registry import Spec, parse_spec

FORMAT = 1
KEY = "gradaudit"
FIELDS = {"network", "input_shape", "classes", "normalisation", "metadata"}


def save_classifier(
    path: str | os.PathLike[str],
    classifier: nn.Module,
    *,
    network: str | Mapping[str, Any] | Spec,
    input_shape: tuple[int, int, int],
    classes: int,
    normalisation: NormalisationLike = None,
    metadata: Mapping[str, Any] | None = None,
) -> Path:
    """Write the classifier to a `.safetensors` file that `load_classifier(path)` reads alone; return the path.

    Args:
        path: ends in `.safetensors`; written whole or not at all.
        classifier: the network, behind its normalisation where there is one (`normalised(network, normalisation)`).
        network: the spec that builds the network.
        input_shape: (C, H, W) of an image.
        classes: the number of classes.
        normalisation: the one inside the classifier.
        metadata: any JSON values to keep beside the tensors: the recipe, the data's fingerprint, versions, accuracy.

    Raises:
        InputError: the tensors are not those of `network` or not finite, the classifier's normalisation is another, or
            `metadata` is not JSON.
        StoreError: the file can't be written.
    """
    from safetensors.torch import save

    require(Path(path).suffix == ".safetensors", "path", str(path), "a file name that ends in .safetensors")
    spec, shape = parse_spec("network", network), read_input_shape(input_shape)
    numbers = read_normalisation(normalisation, shape[0])
    tensors = _tensors(_network_inside(classifier, numbers), spec, shape, classes)
    header = {
        "format": FORMAT,
        "network": str(spec),
        "input_shape": list(shape),
        "classes": classes,
        "normalisation": None if numbers is None else {"mean": numbers.mean, "std": numbers.std},
        "metadata": dict(metadata or {}),
    }
    text = _json(header)
    with whole_file(path) as file:
        file.write(save(tensors, {KEY: text}))
    return Path(path)


def classifier_metadata(path: str | os.PathLike[str]) -> dict[str, Any]:
    """What `save_classifier` wrote beside the tensors, read without loading them.

    The keys are "format", "network" (a spec), "input_shape", "classes", "normalisation" ("mean" and "std", or None) and
    "metadata".

    Raises:
        InputError: the file can't be read, or `save_classifier` did not write it.
    """
    found = find_metadata(path)
    if found is None:
        raise InputError("path", str(path), "a file that `save_classifier` wrote; this one does not name its network")
    return found


def find_metadata(path: str | os.PathLike[str], argument: str = "path") -> dict[str, Any] | None:
    """`classifier_metadata`, or None for a `.safetensors` file that somebody else wrote."""
    from safetensors import SafetensorError, safe_open

    require(Path(path).is_file(), argument, str(path), "a file that exists")
    try:
        with safe_open(path, framework="pt") as file:
            text = (file.metadata() or {}).get(KEY)
        found = None if text is None else json.loads(text)
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(argument, str(path), f"a readable .safetensors file ({error})") from error
    if found is None:
        return None
    known = isinstance(found, dict) and found.get("format") == FORMAT and found.keys() >= FIELDS
    require(known, argument, str(path), f"a file of format {FORMAT}, the one that this version reads")
    return dict(found)


def _network_inside(classifier: nn.Module, normalisation: Normalisation | None) -> nn.Module:
    classifier = getattr(classifier, "_orig_mod", classifier)  # torch.compile's wrapper
    if not isinstance(classifier, NormalisedClassifier):
        expected = "none, as in the classifier; normalised(network, normalisation) puts one inside"
        require(normalisation is None, "normalisation", str(normalisation), expected)
        return classifier
    inside = [classifier.normalise.mean.flatten().tolist(), classifier.normalise.std.flatten().tolist()]
    given = normalisation and [torch.tensor(values).tolist() for values in (normalisation.mean, normalisation.std)]
    require(given == inside, "normalisation", str(normalisation), f"the one inside the classifier: {inside}")
    return classifier.network


def _tensors(network: nn.Module, spec: Spec, input_shape: tuple[int, int, int], classes: int) -> dict[str, Tensor]:
    state = {name: value for name, value in network.state_dict().items() if isinstance(value, Tensor)}
    if ":" not in spec.name:
        expected = build_shapes(spec, input_shape, classes).state_dict()
        state = closest(state, expected)
        problem = mismatch(state, expected)
        require(not problem, "network", str(spec), f"the spec of the classifier that is saved: {problem}")
    require_finite(state, "classifier", type(network).__name__)
    # Clones, since a file can't hold two tensors that share memory.
    return {name: value.detach().cpu().clone(memory_format=torch.contiguous_format) for name, value in state.items()}


def _json(header: Mapping[str, Any]) -> str:
    try:
        return json.dumps(header, sort_keys=True, allow_nan=False)
    except (TypeError, ValueError) as error:
        raise InputError("metadata", header["metadata"], f"JSON values ({error})") from error
