"""Links to Markdown among the benchmarks' results, outside the site, as downloads: Sphinx would look for a page there."""

from __future__ import annotations

import re

from sphinx.application import Sphinx

OUTSIDE = re.compile(r"\]\((?=\.\./benchmarks/[^)\s]+\.md\))")


def as_files(app: Sphinx, page: str, source: list[str]) -> None:
    """Mark the links as paths; on GitHub, which does not know that mark, they stay as they are."""
    source[0] = OUTSIDE.sub("](path:", source[0])


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.connect("source-read", as_files)
    return {"parallel_read_safe": True}
