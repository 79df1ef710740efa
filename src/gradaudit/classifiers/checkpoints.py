"""Weights from files: read without running code, unwrapped, and fitted to a network by name and shape."""

from __future__ import annotations

import os
import pickle
import warnings
from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.classifiers.build import NETWORKS, build_shapes
from gradaudit.classifiers.stand_ins import StandIn, read_with_stand_ins
from gradaudit.errors import InputError, first_line, require

SUFFIXES = (".pt", ".pth", ".ckpt", ".tar", ".th", ".model", ".bin", ".safetensors")
FOREIGN = (".npz", ".npy", ".h5", ".hdf5", ".keras", ".msgpack", ".onnx", ".pb", ".tflite")  # what other frameworks write
PROGRAMS = (".pt2", ".torchscript")
STARTS = {  # of files that are something else than their name says
    b"version https://git-lfs": "the file itself: this one is Git LFS's pointer to it, which `git lfs pull` replaces",
    b"<!": "a checkpoint: this one is a web page",
    b"<html": "a checkpoint: this one is a web page",
    b"\x1f\x8b": "unpacked: this one is packed by gzip",
}
SCRIPT = "weights, or a module of Python: this one is a TorchScript archive or another program, which a function of yours may load"
WRAPPERS = ("state_dict", "model", "model_state_dict", "net", "ema")
COUNTS = "num_batches_tracked"
COUNTER = "n_averaged"  # of torch's AveragedModel
RESHAPED = "of another shape"


def read_checkpoint(
    path: str | os.PathLike[str], *, allow_pickle: bool = False, argument: str = "weights"
) -> dict[str, Tensor] | nn.Module:
    """The tensors by name in a checkpoint; a whole module where one was pickled and `allow_pickle` is True.

    Args:
        path: `.safetensors`, or what `torch.save` wrote. Under "state_dict", "model", "model_state_dict", "net" or "ema",
            the tensors are found there, or under the only other name that has some. What else describes a training, such as
            settings, dates and paths, is not read, and runs nothing.
        allow_pickle: let a pickle run the code that it carries. Only for files whose author you trust.
        argument: the word for the path in errors.

    Raises:
        InputError: there is no such file, it is damaged, holds no tensors, or is a pickle with code in it.
    """
    require(Path(path).is_file(), argument, str(path), "a file that exists")
    expected = "a checkpoint of PyTorch's or .safetensors; of another framework's arrays, a function of yours makes the module"
    require(Path(path).suffix not in FOREIGN, argument, str(path), expected)
    require(Path(path).suffix not in PROGRAMS, argument, str(path), SCRIPT)
    _check_start(path, argument)
    safe = Path(path).suffix == ".safetensors"
    content = _read_safetensors(path, argument) if safe else _read_torch(path, allow_pickle, argument)
    found = _unwrapped(content)
    if isinstance(found, nn.Module):
        return found
    if isinstance(found, StandIn):
        raise InputError(argument, str(path), _opt_in(f"`{type(found).__module__}.{type(found).__qualname__}`"))
    tensors = _tensors(found) if isinstance(found, Mapping) else {}
    require(bool(tensors), argument, str(path), f"a checkpoint with tensors, plain or under {', '.join(WRAPPERS)}")
    return tensors


def load_weights(
    network: nn.Module,
    weights: Mapping[str, Tensor],
    source: str,
    input_shape: tuple[int, int, int],
    classes: int,
    argument: str = "weights",
) -> None:
    """Copy `weights` into `network`, with whatever prefix taken off that makes them fit.

    Args:
        network: gets the weights, in its own dtype.
        weights: tensors by name. Those of other things than the network, such as a loss's, are left.
        source: where they came from, for errors.
        input_shape: (C, H, W), for naming another network that would fit.
        classes: likewise.
        argument: the word for the weights in errors.

    Raises:
        InputError: a tensor is missing, unexpected, of another shape, or not finite; or different weights fit under two prefixes.

    Warns:
        UserWarning: some tensors are not the network's.
    """
    expected = network.state_dict()
    prefix, chosen = _chosen(weights, expected, argument, source)
    problem = mismatch(chosen, expected)
    if problem:
        hint = _hint(problem, weights, input_shape, classes)
        raise InputError(argument, source, f"a checkpoint of this network: {problem}{hint}")
    require_finite(chosen, argument, source)
    named: Any = OrderedDict(chosen)
    named._metadata = getattr(expected, "_metadata", {})  # the names are today's; some layers ask which version they are of
    network.load_state_dict(named, strict=False)
    others = [*(weights.keys() - {COUNTER} - {prefix + own for own in chosen})]
    if others:
        told = f"{len(others)} of the tensors in {source} are of no part of the network and were left"
        warnings.warn(f"{told}: {_first(sorted(others))}", stacklevel=4)


def closest(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The weights under the prefix that makes most of them fit the expected names and shapes, without it."""

    def agreement(candidate: Mapping[str, Tensor]) -> int:
        return sum(name in expected and expected[name].shape == value.shape for name, value in candidate.items())

    return max((_under(prefix, weights) for prefix in _prefixes(weights, expected)), key=agreement)


def _chosen(
    weights: Mapping[str, Tensor], expected: Mapping[str, Tensor], argument: str, source: str
) -> tuple[str, dict[str, Tensor]]:
    """A prefix, and the weights under it that are the network's or seem to be, without it."""
    fits = [prefix for prefix in _prefixes(weights, expected) if _holds(_under(prefix, weights), expected)]
    if not fits:
        return "", closest(weights, expected)
    first, parts = fits[0], {name.partition(".")[0] for name in expected}
    found = _under(first, weights)
    rivals = [prefix for prefix in fits if not _same(_under(prefix, weights), found, expected)] if first else []
    told = " and ".join(repr(prefix) for prefix in (first, *rivals))
    require(not rivals, argument, source, f"of one network: different weights fit under {told}; keep those that are meant")
    return first, {name: value for name, value in found.items() if name in expected or not _is_apart(name, parts)}


def _holds(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return all(
        name in weights and weights[name].shape == value.shape for name, value in expected.items() if not name.endswith(COUNTS)
    )


def _same(one: Mapping[str, Tensor], other: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in expected if not name.endswith(COUNTS))


def _is_apart(name: str, parts: set[str]) -> bool:
    """Whether a tensor is of none of the network's parts; where these are numbered, any other number may be one more."""
    part = name.partition(".")[0]
    return part not in parts and not (part.isdigit() and any(one.isdigit() for one in parts))


def other_classes(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> int | None:
    """The number of classes that the weights are of, where they fit the expected shapes but for another number of them."""
    found = closest(weights, expected)
    others = {
        (tuple(expected[name].shape[:1]), tuple(value.shape[:1]))
        for name, value in found.items()
        if name in expected and value.shape != expected[name].shape and value.shape[1:] == expected[name].shape[1:]
    }
    return others.pop()[1][0] if len(others) == 1 else None


def mismatch(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> str:
    """What keeps the weights from fitting the expected names and shapes, in words; empty if nothing does."""
    # Checkpoints from before torch 0.4.1 lack the batch counters, which nothing in evaluation reads.
    missing = [name for name in expected if name not in weights and not name.endswith(COUNTS)]
    unexpected = [name for name in weights if name not in expected]
    reshaped = [
        f"{name} {tuple(value.shape)} instead of {tuple(expected[name].shape)}"
        for name, value in weights.items()
        if name in expected and value.shape != expected[name].shape
    ]
    parts = (("missing", missing), ("unexpected", unexpected), (RESHAPED, reshaped))
    return "; ".join(f"{kind} {_first(names)}" for kind, names in parts if names)


def fitting_networks(weights: Mapping[str, Tensor], input_shape: tuple[int, int, int], classes: int) -> list[str]:
    """The names of the networks, with their default options, that these weights fit."""

    def fits(name: str) -> bool:
        try:
            expected = build_shapes(name, input_shape, classes).state_dict()
        except InputError:
            return False
        return not mismatch(closest(weights, expected), expected)

    return [name for name in NETWORKS.names() if fits(name)]


def require_finite(tensors: Mapping[str, Any], argument: str, value: Any) -> None:
    """Raise `InputError` where a tensor holds NaN or infinity; names it."""
    for name, tensor in tensors.items():
        if isinstance(tensor, Tensor) and tensor.is_floating_point() and not tensor.isfinite().all():
            count = int((~tensor.isfinite()).sum())
            raise InputError(argument, value, f"finite: `{name}` holds {count:,} NaN or infinite values")


def _hint(problem: str, weights: Mapping[str, Tensor], input_shape: tuple[int, int, int], classes: int) -> str:
    if any("kernel" in name for name in weights):
        return ". Kernels are another framework's, with their dimensions in another order: a function of yours makes the module"
    fits = fitting_networks(weights, input_shape, classes)
    if fits:
        return f". For images of {input_shape} its tensors fit {' or '.join(repr(name) for name in fits)}"
    only_shapes = problem.startswith(RESHAPED)
    return f". Are `input_shape` (={input_shape}) and `classes` (={classes}) those of the checkpoint?" if only_shapes else ""


def _read_safetensors(path: str | os.PathLike[str], argument: str) -> dict[str, Tensor]:
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        tensors: dict[str, Tensor] = load_file(path)
        return tensors
    except (SafetensorError, OSError) as error:
        raise InputError(argument, str(path), f"a readable .safetensors file ({error})") from error


def _read_torch(path: str | os.PathLike[str], allow_pickle: bool, argument: str) -> Any:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns of pickle protocols before it refuses them
            return _load(path, allow_pickle)
    except Exception as error:  # a damaged pickle can raise anything
        require("TorchScript" not in str(error), argument, str(path), SCRIPT)
        if isinstance(error, pickle.UnpicklingError) and not allow_pickle and _is_pickle(path):
            raise InputError(argument, str(path), _opt_in(_refused(error))) from None
        raise InputError(argument, str(path), f"a readable checkpoint ({_reason(error)})") from error


def _load(path: str | os.PathLike[str], allow_pickle: bool) -> Any:
    try:
        return torch.load(path, map_location="cpu", weights_only=not allow_pickle)
    except pickle.UnpicklingError as error:
        if allow_pickle or not _is_pickle(path):
            raise
        return read_with_stand_ins(path, error)


def _opt_in(found: str) -> str:
    return (
        f"a file of tensors only: this one is a pickle with {found} in it, and loading it could run any code. If you trust its"
        " author, opt in with allow_pickle=True"
    )


def _check_start(path: str | os.PathLike[str], argument: str) -> None:
    with open(path, "rb") as file:
        start = file.read(32)
    for known, expected in STARTS.items():
        # A .safetensors file starts with a number, which may look like anything short.
        told = start.startswith(known) and (len(known) > 8 or Path(path).suffix != ".safetensors")
        require(not told, argument, str(path), expected)


def _is_pickle(path: str | os.PathLike[str]) -> bool:
    # A pickle starts with its protocol; torch.save's newer files are zip archives with a pickle inside.
    with open(path, "rb") as file:
        return file.read(2)[:1] in (b"\x80", b"P")


def _refused(error: Exception) -> str:
    _, found, rest = str(error).partition("GLOBAL ")
    return f"`{rest.split()[0]}`" if found else "Python objects"


def _reason(error: Exception) -> str:
    # Other errors of a damaged pickle are about the byte where the reader stumbled.
    telling = isinstance(error, RuntimeError | OSError | ImportError | AttributeError)
    return first_line(error) if telling else "it is damaged, or not written by torch.save"


def _unwrapped(content: Any) -> Mapping[str, Any] | nn.Module | StandIn | None:
    """Where the tensors are: under the first of the usual names, or else under the only name that has some."""
    if isinstance(content, nn.Module | StandIn):
        return content
    if not isinstance(content, Mapping):
        return None
    inner = [content[key] for key in WRAPPERS if isinstance(content.get(key), Mapping | nn.Module | StandIn)]
    if not inner and not _tensors(content):
        inner = [value for value in content.values() if isinstance(value, Mapping) and _tensors(value)]
        inner = inner if len(inner) == 1 else []
    return _unwrapped(inner[0]) if inner else content


def _tensors(content: Mapping[Any, Any]) -> dict[str, Tensor]:
    return {name: value for name, value in content.items() if isinstance(name, str) and isinstance(value, Tensor)}


def _prefixes(weights: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> list[str]:
    """What stands before one of the network's own names in one of the weights' names, nothing first, then the shortest."""
    found = {""}
    for name in weights:
        ends = [place + 1 for place, letter in enumerate(name) if letter == "."]
        found |= {name[:end] for end in ends if name[end:] in expected}
    return sorted(found, key=lambda prefix: (len(prefix), prefix))


def _under(prefix: str, weights: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def _first(names: list[str], count: int = 4) -> str:
    more = f" and {len(names) - count} more" if len(names) > count else ""
    return ", ".join(names[:count]) + more
