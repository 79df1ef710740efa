"""What options decide, as JSON values for the store's key: the same in every process, and other where a number could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor, nn

from gradaudit.classifiers import classifier_fingerprint
from gradaudit.errors import InputError
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.registry import imported, parse_spec


def key_part(value: Any) -> Any:
    """The value; of tensors, modules and functions their fingerprints; and of names of files or functions what these hold as well.

    A file that was trained again, or a function that was changed, so is another option under the same name.
    """
    if isinstance(value, str):
        return _behind(value)
    if value is None or isinstance(value, (bool, int, float)):
        return value if value == value and abs(value or 0) != float("inf") else str(value)  # which JSON can't say
    if isinstance(value, Mapping):
        return {str(key): key_part(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [key_part(one) for one in value]
    if is_dataclass(value) and not isinstance(value, type):  # by its fields: what it has cached since does not count
        return [type(value).__qualname__, *(key_part(getattr(value, field.name)) for field in fields(value))]
    if isinstance(value, Path):
        return _behind(str(value))
    if isinstance(value, np.generic):
        return key_part(value.item())
    if isinstance(value, (Tensor, np.ndarray)):
        return fingerprint(value)
    return classifier_fingerprint(value) if isinstance(value, nn.Module) else fingerprint(*identity(value))


def _behind(text: str) -> Any:
    """The text, and what it names."""
    if "/" in text or "." in text:
        try:
            return [text, fingerprint(Path(text).read_bytes())]
        except (OSError, ValueError):
            pass  # no file
    try:
        spec = parse_spec("option", text)
        source = [fingerprint(*identity(imported("option", spec.name)))] if ":" in spec.name else []
    except InputError:
        return text  # what uses it will say so
    inner = {key: key_part(one) for key, one in spec.options.items()} | {"": [key_part(one) for one in spec.positional]}
    return [text, *source, inner] if source or spec.options or spec.positional else text
