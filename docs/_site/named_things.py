"""The directive `{named} package.module:REGISTRY`: a row for each thing that is found by name there, with its options."""

from __future__ import annotations

import inspect
from typing import Any, ClassVar

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gradaudit.registry import Registry, imported, options_of


class Named(SphinxDirective):
    """A table of what a registry holds."""

    required_arguments: ClassVar[int] = 1

    def run(self) -> list[nodes.Node]:
        """The table, from Markdown."""
        return self.parse_text_to_nodes(table(imported("named", self.arguments[0])))


def table(registry: Registry) -> str:
    """The Markdown of what a registry holds at this moment, a row a name."""
    rows = [row(registry, name) for name in registry.names()]
    return "\n".join(("| name | what it is | options |", "|---|---|---|", *rows))


def row(registry: Registry, name: str) -> str:
    """What a thing is and which options it takes, as its own code says."""
    options = options_of(registry.function("name", name))
    written = ", ".join(f"`{option(*one)}`" for one in options.items())
    return f"| `{name}` | {cell(registry.summary(name))} | {written} |"


def option(name: str, default: Any) -> str:
    """An option as it is written between brackets after a name."""
    if default is inspect.Parameter.empty:
        return name
    return cell(f"{name}={default}" if isinstance(default, str) else f"{name}={default!r}")


def cell(text: str) -> str:
    """Text in a table's cell, whose bars would end it."""
    return text.replace("|", r"\|")


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("named", Named)
    return {"parallel_read_safe": True}
