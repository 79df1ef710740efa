"""Keys: the hash of all that decided an outcome."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any


def key_of(description: Mapping[str, Any]) -> str:
    """The hash under which the outcome of what is described, in JSON values, is kept; the order of keys does not count.

    Raises:
        TypeError: a value that is not JSON.
        ValueError: a number that is not finite.
    """
    return hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode()).hexdigest()
