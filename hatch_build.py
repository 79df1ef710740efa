"""The long description that PyPI shows: the README, with links that lead somewhere from there too."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from hatchling.metadata.plugin.interface import MetadataHookInterface

RELATIVE = re.compile(r"(?P<text>(?P<picture>!?)\[[^\]]*\])\((?![a-z]+:|#)(?P<path>[^)\s]+)\)")


class LongDescription(MetadataHookInterface):
    """`readme` of the project's metadata."""

    PLUGIN_NAME = "custom"

    def update(self, metadata: dict[str, Any]) -> None:
        """Put the README there, with links as the environment of the build says."""
        readme = Path(self.root, "README.md").read_text(encoding="utf-8")
        text = absolute(readme, repository(os.environ), metadata["version"])
        metadata["readme"] = {"content-type": "text/markdown", "text": text}


def repository(environment: Mapping[str, str]) -> str | None:
    """The address of the repository that the release workflow runs in; None elsewhere."""
    name, server = environment.get("GITHUB_REPOSITORY"), environment.get("GITHUB_SERVER_URL")
    return f"{server}/{name}" if name and server else None


def absolute(text: str, address: str | None, version: str) -> str:
    """Markdown whose relative links and pictures are those of the version's tag in the repository; as it is without an address."""
    if address is None:
        return text

    def link(found: re.Match[str]) -> str:
        kind = "raw" if found["picture"] else "blob"
        return f"{found['text']}({address}/{kind}/v{version}/{found['path']})"

    return RELATIVE.sub(link, text)
