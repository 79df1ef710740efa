"""Several attributions in one argument, as the instruments take them: each with its name."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from gradaudit.attributions._control import NO_CLASSIFIER
from gradaudit.attributions._resolve import ATTRIBUTIONS, Attribution, resolve_attribution
from gradaudit.errors import InputError, require


def each_named(attributions: Iterable[Any]) -> Iterator[tuple[str, Any]]:
    """Each attribution with the name that its user gave it in `{"my name": attribution}`, or `""`."""
    for one in attributions:
        # A mapping with a "name" is a spec.
        names = {"": one} if not isinstance(one, Mapping) or isinstance(one.get("name"), str) else one
        yield from ((str(name), value) for name, value in names.items())


def named_attributions(attribution: Any, seed: int) -> dict[str, Attribution]:
    """The audited attributions by name.

    Raises:
        InputError: there is none, one of them is not an attribution, or two have one name.
    """
    named: dict[str, Attribution] = {}
    for name, value in each_named(attribution if isinstance(attribution, (list, tuple)) else [attribution]):
        resolved = resolve_attribution(value, seed=seed)
        label = name or resolved.name
        require(label not in named, "attribution", label, "named differently from the other attributions")
        named[label] = resolved
    require(len(named) > 0, "attribution", attribution, "at least one attribution")
    return named


def named_controls(controls: Sequence[str], seed: int) -> dict[str, Attribution]:
    """The controls by name.

    Raises:
        InputError: not a list of the names of controls.
    """
    expected = 'a list of the names of controls, such as ("random", "edges", "untrained")'
    listed = isinstance(controls, Iterable) and not isinstance(controls, (str, Mapping))
    require(listed and all(isinstance(name, str) for name in controls), "controls", controls, expected)
    named = {}
    for name in controls:
        try:
            named[name] = resolve_attribution(name, seed=seed)
        except InputError as error:
            raise InputError("controls", name, f"{expected} ({error})") from None
        honest = named[name].control or not named[name].needs_classifier
        require(honest, "controls", name, "the name of a control, which lacks what the audited attributions know")
    return named


def what_lacks(control: str) -> str | None:
    """What a control of this name lacks, in words that follow "which"; None for one that lacks nothing, as a blurred map."""
    name = control.partition("(")[0].strip().replace("-", "_")
    if name not in ATTRIBUTIONS.names():
        return NO_CLASSIFIER
    lacks: str | None = getattr(ATTRIBUTIONS.function("controls", name), "lacks", NO_CLASSIFIER)
    return lacks
