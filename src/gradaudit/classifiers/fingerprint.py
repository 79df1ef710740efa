"""A classifier's fingerprint: what decides its output, as one hash."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.identity import identity, of_a_user


def classifier_fingerprint(classifier: nn.Module) -> str:
    """A SHA-256 in hexadecimal over the classifier's structure and tensors.

    The structure is the class of every submodule and the settings that its `repr` shows, so that ReLU and SiLU differ. Of a user's
    own class the methods count too, with the functions that they call: a `forward` that was edited is another classifier. A
    setting that such a class keeps out of its `repr` and its tensors does not count; `extra_repr` can show it.

    Raises:
        InputError: it is not an `nn.Module`, whose state could be seen.
    """
    require(isinstance(classifier, nn.Module), "classifier", type(classifier).__name__, "an nn.Module")
    structure = [f"{name}={type(module).__module__}.{type(module).__qualname__}" for name, module in classifier.named_modules()]
    # Buffers that are not saved with the state count as well.
    state = dict(classifier.named_buffers()) | classifier.state_dict()
    tensors = [part for name in sorted(state) for part in (name, _part(state[name]))]
    return fingerprint(*structure, _without_addresses(repr(classifier)), *tensors, *_own_code(classifier))


def _own_code(classifier: nn.Module) -> list[Any]:
    own = {type(module) for module in classifier.modules() if of_a_user(type(module))}
    return [part for kind in sorted(own, key=lambda kind: f"{kind.__module__}.{kind.__qualname__}") for part in identity(kind)]


def _part(value: Any) -> Tensor | str:
    return value if isinstance(value, Tensor) else _without_addresses(repr(value))


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)
