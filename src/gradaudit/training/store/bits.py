"""Booleans as text, for outcomes."""

from __future__ import annotations

import base64

import numpy as np


def packed(bits: np.ndarray) -> str:
    """Booleans as text, for an outcome; `unpacked` gives them back."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def unpacked(text: str, count: int) -> np.ndarray:
    """Boolean (count,) from the text that `packed` made."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)
