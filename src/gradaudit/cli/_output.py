"""What every command prints with: tables on standard output, at a width that fits."""

from __future__ import annotations

import sys

from rich.console import Console


def say(text: str) -> None:
    console().print(text, highlight=False, soft_wrap=True)


def console() -> Console:
    return Console(width=None if sys.stdout.isatty() else 150)
