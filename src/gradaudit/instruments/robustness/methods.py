"""What a user may call an attack, brought to one form: a name for the table, a fingerprint, and the function."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.registry import Registry, Spec, options_of, parse_spec
from gradaudit.training.perturbations import check_reach

ATTACKS = Registry("gradaudit.instruments.robustness.attacks", "attack")
SHARED = ("norm", "steps", "step_size", "restarts", "seed")  # the options of `robustness` that go to every attack that has them
WORST = "worst"

AttackLike: TypeAlias = str | Mapping[str, Any] | Spec | Callable[..., Any]


@dataclass(frozen=True, eq=False)
class Method:
    """An attack or a measure, ready to run.

    Args:
        name: canonical, for tables: the options that the user set are in it.
        function: all options bound but `eps` and `batch_size`.
        numbers: `"attack"` for adversarial images, `"share"` or `"radius"` for a measure.
        norm: what its radius is, for the table.
        after_others: whether it sees only the images that other attacks did not break, a group at a time.
        own: whether the function is the user's.
        fingerprint: SHA-256 of all that decides its outcome, beside classifier, images and radius.
    """

    name: str
    function: functools.partial[Any]
    numbers: Literal["attack", "share", "radius"]
    norm: str
    after_others: bool
    own: bool
    fingerprint: str

    @property
    def is_attack(self) -> bool:
        """Whether it looks for adversarial images."""
        return self.numbers == "attack"

    def has(self, option: str) -> bool:
        """Whether its function has that option."""
        return option in options_of(self.function.func)


def resolve_methods(attack: Any, **shared: Any) -> dict[str, Method]:
    """The methods that are meant, by name, in their order.

    Args:
        attack: a spec such as `"pgd"` or `"smoothing(sigma=0.5)"`, `"package.module:function"`, a function, or a list of such.
        **shared: norm, steps, step_size, restarts and seed: options for those attacks that have them and do not set their own.

    Raises:
        InputError: it is none of these, an option does not exist, or two have one name.
    """
    several = attack if isinstance(attack, (list, tuple)) else [attack]
    require(len(several) > 0, "attack", attack, "at least one attack")
    methods: dict[str, Method] = {}
    for one in several:
        method = _own(one, shared) if callable(one) else _named(parse_spec("attack", one), shared)
        require(method.name not in methods and method.name != WORST, "attack", method.name, "named differently from the other rows")
        methods[method.name] = method
    return methods


def _named(spec: Spec, shared: Mapping[str, Any]) -> Method:
    given: Any = ATTACKS.bind("attack", spec)
    bound: Any = ATTACKS.bind("attack", spec, **shared)
    require("eps" not in given.keywords, "attack", str(spec), "without eps: the argument `eps` lists the radii for all attacks")
    own = ":" in spec.name
    plain = spec.name if own else spec.name.replace("-", "_")
    return _method(str(Spec(plain, given.keywords)), bound, shared, own)


def _own(function: Callable[..., Any], shared: Mapping[str, Any]) -> Method:
    given = function if isinstance(function, functools.partial) else functools.partial(function)
    name = getattr(given.func, "__qualname__", type(given.func).__qualname__).rpartition("<locals>.")[2]
    known = options_of(given.func)
    options = {key: value for key, value in shared.items() if key in known} | given.keywords
    bound = functools.partial(given.func, *given.args, **options)
    return _method(str(Spec(name, dict(given.keywords))), bound, shared, True)


def _method(name: str, bound: functools.partial[Any], shared: Mapping[str, Any], own: bool) -> Method:
    function = bound.func
    options = options_of(function) | bound.keywords
    decide = [part for key in sorted(options) if key not in ("eps", "batch_size") for part in (key, options[key])]
    return Method(
        name,
        bound,
        getattr(function, "measures", "attack"),
        getattr(function, "norm", shared["norm"]),
        getattr(function, "after_others", False),
        own,
        fingerprint(*(identity(bound) if own else [function.__name__]), *decide),
    )


def check_reaches(methods: Mapping[str, Method], eps: float, shape: Sequence[int]) -> None:
    """Raise `InputError` if no two images of that shape are as far apart as an attack's radius `eps`."""
    for method in methods.values():
        if method.is_attack:
            check_reach(method.norm, eps, shape)  # type: ignore[arg-type]


def rehearse(method: Method, classifier: Any, images: Any, labels: Any, eps: float) -> None:
    """Call the method on no images, or a user's own attack on one, so that a bad option is refused before any long work.

    Raises:
        InputError: a bad option, or a user's attack that fails.
    """
    count = 1 if method.own else 0
    try:
        call(method, classifier, images[:count], labels[:count], eps, batch_size=1)
    except InputError:
        raise
    except Exception as error:
        if not method.own:
            raise
        expected = "an attack (classifier, images, labels, *, norm, eps) -> images"
        raise InputError("attack", method.name, f"{expected}; it raised {type(error).__name__}: {error}") from error


def call(method: Method, classifier: Any, images: Any, labels: Any, eps: float | None, *, batch_size: int, **changed: Any) -> Any:
    """What the method's function returns; it is given the norm and `eps`, and the batch size where it splits its work itself."""
    options: dict[str, Any] = dict(changed)
    if method.has("batch_size"):
        options["batch_size"] = batch_size
    if method.numbers != "radius":
        options["eps"] = eps
    if method.own and "norm" not in method.function.keywords:
        options["norm"] = method.norm
    given = (images, labels) if method.is_attack else (images,)
    return method.function(classifier, *given, **options)
