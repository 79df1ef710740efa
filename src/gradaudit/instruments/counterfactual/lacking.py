"""What is raised where a measure or a loss can't be had on this machine."""

from __future__ import annotations


class LackingError(Exception):
    """What a measure needs is not there; the message says what, and the measure is skipped."""
