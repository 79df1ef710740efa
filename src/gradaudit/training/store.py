"""The store: outcomes of finished work under the hash of all that decided them.

An entry is written whole or not at all, so a killed run continues where it was and several processes can share a store.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import platformdirs

from gradaudit.errors import InputError
from gradaudit.files import writable_folder, write_text


def default_folder() -> Path:
    """`$GRADAUDIT_STORE`, or the user's cache folder."""
    return Path(os.environ.get("GRADAUDIT_STORE") or platformdirs.user_cache_path("gradaudit") / "store")


def key_of(description: Mapping[str, Any]) -> str:
    """The hash under which the outcome of what is described, in JSON values, is kept; the order of keys does not count.

    Raises:
        TypeError: a value that is not JSON.
        ValueError: a number that is not finite.
    """
    return hashlib.sha256(json.dumps(description, sort_keys=True, allow_nan=False).encode()).hexdigest()


class Store:
    """A folder of outcomes, one JSON file each, and of arrays.

    Args:
        folder: made if need be; `default_folder()` unless given.

    Raises:
        InputError: nothing can be written there.
    """

    def __init__(self, folder: str | os.PathLike[str] | None = None) -> None:
        # Absolute, since a worker that it is sent to may run in another folder.
        self.folder = writable_folder("store", default_folder() if folder is None else folder).absolute()

    def path(self, description: Mapping[str, Any], suffix: str = ".json") -> Path:
        """Where the outcome of what is described lies, or would lie: in the folder of its kind, `description["what"]`."""
        key = key_of(description)
        return self.folder / str(description["what"]) / key[:2] / (key + suffix)

    def get(self, description: Mapping[str, Any]) -> dict[str, Any] | None:
        """The outcome, or None where there is none.

        Warns:
            UserWarning: the entry is damaged, which counts as none.
        """
        path = self.path(description)
        try:
            return dict(json.loads(path.read_text(encoding="utf-8"))["outcome"])
        except FileNotFoundError:
            return None
        except (OSError, ValueError, KeyError, TypeError) as error:
            warnings.warn(f"ignoring a damaged entry of the store, {path}: {error}", stacklevel=2)
            return None

    def put(self, description: Mapping[str, Any], outcome: Mapping[str, Any]) -> None:
        """Keep the outcome, whole or not at all.

        Raises:
            StoreError: it can't be written, for instance because the disk is full.
            ValueError: the outcome holds a number that is not finite.
        """
        entry = {"description": dict(description), "outcome": dict(outcome)}
        write_text(self.path(description), json.dumps(entry, sort_keys=True, indent=1, allow_nan=False) + "\n")

    def __reduce__(self) -> tuple[type[Store], tuple[Path]]:
        return Store, (self.folder,)


def as_store(store: Store | str | os.PathLike[str] | None) -> Store:
    """The store given, or the one in the folder given, or the user's own.

    Raises:
        InputError: nothing can be written there, or it is none of these.
    """
    if isinstance(store, Store):
        return store
    if store is not None and not isinstance(store, (str, os.PathLike)):
        raise InputError("store", store, "a folder or a Store")
    return Store(store)


def packed(bits: np.ndarray) -> str:
    """Booleans as text, for an outcome; `unpacked` gives them back."""
    return base64.b64encode(np.packbits(bits).tobytes()).decode()


def unpacked(text: str, count: int) -> np.ndarray:
    """Boolean (count,) from the text that `packed` made."""
    return np.unpackbits(np.frombuffer(base64.b64decode(text), np.uint8), count=count).astype(bool)
