"""The controls beside audited attributions; those that are made of the audited one are left out where they can't be."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from gradaudit.attributions._attribute import Scores, attribute, check_complete
from gradaudit.attributions._named import named_controls
from gradaudit.attributions._resolve import Attribution, resolve_attribution
from gradaudit.errors import InputError, require
from gradaudit.images import ImageSet
from gradaudit.registry import Spec

OF_AUDITED = ("untrained", "blurred")
"""Controls that are made of another attribution, of the first audited one unless told otherwise."""


def kind_of(control: str) -> str:
    """A control's name without its options."""
    return control.partition("(")[0]


def controls_beside(
    controls: Sequence[str], audited: Mapping[str, Attribution], seed: int
) -> tuple[dict[str, Attribution], dict[str, str]]:
    """The controls by name, those made of another attribution of the first audited one; and why some can't be, by name.

    Raises:
        InputError: as `named_controls`; or a control is audited itself.
    """
    found, left_out, first = {}, {}, next(iter(audited.values()))
    for name, one in named_controls(controls, seed).items():
        if name not in OF_AUDITED:
            found[name] = one
        elif name in audited:
            left_out[name] = "it is audited itself"
        elif first.function is None:
            left_out[name] = f"{first.name} are scores, which nobody can compute for another classifier or image"
        else:
            made = resolve_attribution(Spec(name, {"of": first}), seed=seed)
            found[name if made.fingerprint == one.fingerprint else made.name] = made
    require(not set(audited) & set(found), "controls", list(controls), "other attributions than the audited ones")
    return found, left_out


def opened(
    classifier: nn.Module,
    images: ImageSet,
    audited: Mapping[str, Attribution],
    beside: Mapping[str, Attribution],
    **how: Any,
) -> tuple[dict[str, Scores], dict[str, str], tuple[str, ...]]:
    """The streams of scores by name; why a control that is made of the audited attribution can't be, by name; and caveats.

    The caveats are of audited attributions whose scores do not add up to what their method promises.

    Opening a stream checks its attribution: all are opened before the first, perhaps long, one is drawn from.

    Raises:
        InputError: as `attribute`.
    """
    streams, left_out = {name: attribute(classifier, images, one, warn=False, **how) for name, one in audited.items()}, {}
    for name, one in beside.items():
        try:
            streams[name] = attribute(classifier, images, one, warn=False, **how)
        except InputError as error:
            if kind_of(name) not in OF_AUDITED:
                raise
            left_out[name] = str(error)
    asked = {name: value for name, value in how.items() if name != "batch_size"}
    return streams, left_out, check_complete(classifier, images, audited, **asked)
