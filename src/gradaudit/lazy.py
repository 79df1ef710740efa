"""Packages whose public names are imported when they are first used, so that what needs only a part need not wait for torch."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any


def lazily(package: str, homes: Mapping[str, tuple[str, ...]]) -> Callable[[str], Any]:
    """The `__getattr__` of a package.

    Args:
        package: its name.
        homes: for each module, by its name within the package, or its full name, the public names that live there.
    """

    def found(name: str) -> Any:
        for home, names in homes.items():
            if name in names:
                return getattr(import_module(home if home.startswith("gradaudit.") else f"{package}.{home}"), name)
        raise AttributeError(f"module {package!r} has no attribute {name!r}")

    return found
