"""A classifier's fingerprint: what decides its output, as one hash."""

from __future__ import annotations

import re
from typing import Any

from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.files import fingerprint


def classifier_fingerprint(classifier: nn.Module) -> str:
    """A SHA-256 in hexadecimal over the classifier's structure and tensors.

    The structure is the class of every submodule and the settings that its `repr` shows, so that ReLU and SiLU differ. A
    setting that a user's own class keeps out of its `repr` and its tensors does not count; `extra_repr` can show it.

    Raises:
        InputError: it is not an `nn.Module`, whose state could be seen.
    """
    require(isinstance(classifier, nn.Module), "classifier", type(classifier).__name__, "an nn.Module")
    structure = [f"{name}={type(module).__module__}.{type(module).__qualname__}" for name, module in classifier.named_modules()]
    # Buffers that are not saved with the state count as well.
    state = dict(classifier.named_buffers()) | classifier.state_dict()
    tensors = [part for name in sorted(state) for part in (name, _part(state[name]))]
    return fingerprint(*structure, _without_addresses(repr(classifier)), *tensors)


def _part(value: Any) -> Tensor | str:
    return value if isinstance(value, Tensor) else _without_addresses(repr(value))


def _without_addresses(text: str) -> str:
    return re.sub(r"0x[0-9a-fA-F]+", "0x", text)
