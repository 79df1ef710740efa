"""What a user may call a gradient, a score or a similarity, brought to one form: a name for the table, and the function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

from torch import Tensor, nn

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.errors import InputError, require
from gradaudit.registry import Registry, Spec, check_complete, parse_spec

GRADIENTS = Registry("gradaudit.instruments.alignment.gradients", "gradient")
SCORES = Registry("gradaudit.instruments.alignment.scores", "score")
SIMILARITIES = Registry("gradaudit.instruments.alignment.similarities", "similarity")

MethodLike: TypeAlias = str | Mapping[str, Any] | Spec | Callable[..., Any]
Methods: TypeAlias = dict[str, Callable[..., Any]]


def resolve_methods(argument: str, registry: Registry, given: Any) -> Methods:
    """The functions that are meant, by the names that tables give them, in their order.

    Args:
        argument: the name of the user's argument, for errors.
        registry: where names are looked up.
        given: a spec such as `"cosine"`, `"package.module:function"`, a function, or a list of such.

    Raises:
        InputError: it is none of these, an option does not exist or is missing, or two have one name.
    """
    several = given if isinstance(given, (list, tuple)) else [given]
    require(len(several) > 0, argument, given, f"at least one {registry.kind}")
    methods: Methods = {}
    for one in several:
        name, function = _own(one) if callable(one) else _named(argument, registry, parse_spec(argument, one))
        require(name not in methods, argument, name, "named differently from the others")
        methods[name] = function
    return methods


def returned(argument: str, name: str, found: Any, shape: tuple[int, ...]) -> Tensor:
    """What a method returned, after checking that it is a finite tensor of that shape.

    Raises:
        InputError: it is not.
    """
    if not isinstance(found, Tensor) or tuple(found.shape) != shape:
        got = tuple(found.shape) if isinstance(found, Tensor) else type(found).__name__
        raise InputError(argument, name, f"one that returns a tensor of shape {shape}; it returned {got}")
    require(bool(found.isfinite().all()), argument, name, "one that returns finite values; some are NaN or infinite")
    return found.detach()


def _named(argument: str, registry: Registry, spec: Spec) -> tuple[str, Callable[..., Any]]:
    bound: Any = registry.bind(argument, spec)
    check_complete(argument, spec, bound)
    plain = spec.name if ":" in spec.name else spec.name.replace("-", "_")
    return _written(plain, bound.keywords), bound


def _own(function: Callable[..., Any]) -> tuple[str, Callable[..., Any]]:
    bound = function if isinstance(function, functools.partial) else functools.partial(function)
    name = getattr(bound.func, "__qualname__", type(bound.func).__qualname__).rpartition("<locals>.")[2]
    return _written(name, bound.keywords), bound


def _written(name: str, options: Mapping[str, Any]) -> str:
    return str(Spec(name, {key: _word(value) for key, value in options.items()}))


def _word(value: Any) -> Any:
    return f"{type(value).__name__} {classifier_fingerprint(value)[:8]}" if isinstance(value, nn.Module) else value
