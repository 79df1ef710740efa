"""What a user may call an attribution, brought to one form: a name for tables, a fingerprint, and what gives the scores."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint, map_array
from gradaudit.identity import identity
from gradaudit.registry import Registry, Spec, check_complete, files_behind, options_of, parse_spec

Function: TypeAlias = Callable[[nn.Module, Tensor, Tensor], Tensor]

ATTRIBUTIONS = Registry("gradaudit.attributions", "attribution", also=("gradaudit.diffusion.attributions",))


@dataclass(frozen=True, eq=False)
class Attribution:
    """An attribution that is ready to run, or scores that were computed elsewhere.

    Args:
        name: canonical, for tables; options at their defaults are left out.
        fingerprint: SHA-256 of all that decides the scores, beside classifier and images.
        function: `(classifier, images, targets) -> scores`; None for precomputed scores.
        scores: precomputed, real (N, C, H, W) or (N, H, W), memory-mapped where they were a file; else None.
        needs_classifier: False for controls and precomputed scores.
        knows_images: False for controls whose scores are mere noise, whatever the image.
        control: True for what runs beside the audited attributions to keep them honest.
    """

    name: str
    fingerprint: str
    function: Function | None = None
    scores: np.ndarray | None = None
    needs_classifier: bool = True
    knows_images: bool = True
    control: bool = False


AttributionLike: TypeAlias = str | Mapping[str, Any] | Spec | os.PathLike[str] | Function | Tensor | np.ndarray | Attribution


def resolve_attribution(attribution: AttributionLike, *, seed: int = 0) -> Attribution:
    """The attribution that is meant.

    Args:
        attribution: a spec such as `"logit_gradient"`, `"captum(method=DeepLift)"` or `"package.module:function"`; a
            function `(classifier, images, targets) -> scores`; or scores: a tensor, an array, or the path of a `.npy` file.
        seed: for attributions that draw at random, unless the spec sets its own.

    Raises:
        InputError: it is none of these; the name, an option or the file does not exist; an option is missing.
    """
    if isinstance(attribution, Attribution):
        return attribution
    if isinstance(attribution, (Tensor, np.ndarray)):
        return _precomputed(attribution, "scores")
    if isinstance(attribution, os.PathLike) or (isinstance(attribution, str) and attribution.endswith(".npy")):
        return _from_file(Path(attribution))
    if callable(attribution):
        return _own(attribution, seed)
    return _named(parse_spec("attribution", attribution), seed)


def _named(spec: Spec, seed: int) -> Attribution:
    bound: Any = ATTRIBUTIONS.bind("attribution", spec, seed=seed)
    written: Any = ATTRIBUTIONS.bind("attribution", spec)
    check_complete("attribution", spec, bound)
    function, given = bound.func, bound.keywords
    known = options_of(function)
    changed = {key: value for key, value in given.items() if key not in known or not _same(value, known[key])}
    named = {key: _shown(value) for key, value in written.keywords.items() if key in changed or key == "seed"}
    plain = spec.name if ":" in spec.name else spec.name.replace("-", "_")
    # Registered functions are told apart by name; a user's own may change under the same name.
    who = identity(function) if ":" in spec.name else [plain]
    inner = made_of({**known, **given}["of"], given.get("seed", seed)) if getattr(function, "of_another", False) else None
    if inner is not None:
        changed["of"] = inner.fingerprint
        named |= {"of": inner.name} if "of" in named else {}
    parts = [part for key in sorted(changed) for part in (key, _mark(changed[key]), *files_behind(changed[key]))]
    return Attribution(str(Spec(plain, named)), fingerprint(*who, *parts), bound, None, *_marks(function, inner))


def made_of(of: AttributionLike, seed: int) -> Attribution:
    """The attribution that another is made of, by what a user gave as `of`.

    Raises:
        InputError: it is none, or scores, of which a batch could not be told from another.
    """
    try:
        inner = resolve_attribution(of, seed=seed)
    except InputError as error:
        raise InputError("of", of, f"an attribution ({error})") from None
    require(inner.function is not None, "of", of, "an attribution by name, or a function, not scores")
    return inner


def _marks(function: Callable[..., Any], inner: Attribution | None = None) -> Iterator[bool]:
    """`needs_classifier`, `knows_images` and `control`, as marked; where marks leave it open, as of what it is made of."""
    for mark, default in (("needs_classifier", True), ("knows_images", True), ("control", False)):
        marked = getattr(function, mark, default)
        yield bool(marked if marked is not None else getattr(inner, mark, default))


def _own(function: Callable[..., Tensor], seed: int) -> Attribution:
    inner = function.func if isinstance(function, functools.partial) else function
    name = getattr(inner, "__qualname__", type(inner).__qualname__).rpartition("<locals>.")[2]
    if isinstance(function, functools.partial):
        name = str(Spec(name, {key: _shown(value) for key, value in function.keywords.items()}))
    who = identity(function)
    if "seed" in options_of(function) and "seed" not in getattr(function, "keywords", {}):
        function, who = functools.partial(function, seed=seed), [*who, "seed", seed]
    return Attribution(name, fingerprint(*who), function, None, *_marks(inner))


def _from_file(path: Path) -> Attribution:
    try:
        return _precomputed(map_array(path), path.stem)
    except (OSError, ValueError, EOFError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError("attribution", str(path), f"a readable .npy file of scores ({error})") from error


def _precomputed(scores: Tensor | np.ndarray, name: str) -> Attribution:
    real = not scores.is_complex() and scores.dtype != torch.bool if isinstance(scores, Tensor) else scores.dtype.kind in "fiu"
    require(real, "attribution", scores, "scores that are real numbers")
    if isinstance(scores, Tensor):
        scores = scores.detach().cpu()
        scores = (scores.float() if scores.dtype == torch.bfloat16 else scores).numpy()
    return Attribution(name, fingerprint(scores), scores=scores, needs_classifier=False)


def _same(value: Any, default: Any) -> bool:
    return isinstance(value, (str, int, float, tuple, type(None))) and bool(value == default)


def _mark(value: Any) -> Any:
    return classifier_fingerprint(value) if isinstance(value, nn.Module) else value


def _shown(value: Any) -> Any:
    if isinstance(value, nn.Module):
        return f"{type(value).__name__} {_mark(value)[:8]}"
    return fingerprint(value)[:8] if isinstance(value, (Tensor, np.ndarray)) else value
