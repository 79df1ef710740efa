"""The directive `{audit-file}`: the keys of an audit's TOML file, a table for each instrument, as the instruments declare them."""

from __future__ import annotations

from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

from gradaudit.auditing.document import file_schema


class AuditFile(SphinxDirective):
    """Tables of what an audit's file may say."""

    def run(self) -> list[nodes.Node]:
        """The tables, from Markdown."""
        return self.parse_text_to_nodes("\n\n".join(tables(file_schema())), allow_section_headings=True)


def tables(schema: dict[str, Any]) -> list[str]:
    """The Markdown of a schema: first the keys of the file, then those of each instrument's section."""
    parts = {name: one["anyOf"][0] for name, one in schema["properties"].items() if {"const": False} in one.get("anyOf", [])}
    own = {name: one for name, one in schema["properties"].items() if name not in parts}
    found = [table(own)]
    for name, section in parts.items():
        found.append(f"## `[{name}]`\n\n{section['description']}\n\n{table(section['properties'])}")
    return found


def table(properties: dict[str, Any]) -> str:
    """A row for each key."""
    rows = [f"| `{name}` | {cell(one)} | {default(one)} |" for name, one in properties.items()]
    return "\n".join(("| key | what it says | default |", "|---|---|---|", *rows))


def cell(one: dict[str, Any]) -> str:
    """What a key says, and the words that it may be."""
    text = one["description"]
    words = f" ({', '.join(f'`{word}`' for word in one['enum'])})" if "enum" in one else ""
    sentence = text[:1].upper() + text[1:].rstrip(".")
    return (sentence + words + ".").replace("|", r"\|")


def default(one: dict[str, Any]) -> str:
    """A default as TOML has it; empty where there is none."""
    if "default" not in one:
        return ""
    value = one["default"]
    shown = {True: "true", False: "false"}.get(value, value) if isinstance(value, bool) else value
    return f"`{shown!r}`".replace("'", '"') if not isinstance(value, bool) else f"`{shown}`"


def setup(app: Sphinx) -> dict[str, bool]:
    """Called by Sphinx."""
    app.add_directive("audit-file", AuditFile)
    return {"parallel_read_safe": True}
