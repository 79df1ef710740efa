"""The links of PyPI's long description lead to the released version in the repository."""

from __future__ import annotations

import importlib.util
import re
import sys
import types
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ADDRESS = "https://host.example/somebody/gradaudit"


@pytest.fixture(name="hook")
def hook_fixture(monkeypatch):
    """The build's hook; its base class is there in a build alone."""
    for name in ("hatchling", "hatchling.metadata", "hatchling.metadata.plugin", "hatchling.metadata.plugin.interface"):
        monkeypatch.setitem(sys.modules, name, types.ModuleType(name))
    sys.modules["hatchling.metadata.plugin.interface"].MetadataHookInterface = object
    spec = importlib.util.spec_from_file_location("hatch_build", ROOT / "hatch_build.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("[how](docs/a.md#part)", f"[how]({ADDRESS}/blob/v1.2.3/docs/a.md#part)"),
        ("![a picture, of two\nlines](docs/p.png)", f"![a picture, of two\nlines]({ADDRESS}/raw/v1.2.3/docs/p.png)"),
        ("[there](https://elsewhere.example/x.md)", "[there](https://elsewhere.example/x.md)"),
        ("[below](#part)", "[below](#part)"),
    ],
)
def test_relative_links_become_those_of_the_tag(hook, given, expected):
    assert hook.absolute(given, ADDRESS, "1.2.3") == expected


def test_no_link_of_the_readme_is_relative_then(hook):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    found = re.findall(r"\]\(([^)]*)\)", hook.absolute(readme, ADDRESS, "1.2.3"))
    assert len(found) > 10
    assert [link for link in found if not link.startswith("https://")] == []
    for link in found:
        path = link.removeprefix(f"{ADDRESS}/").partition("/v1.2.3/")[2].partition("#")[0]
        assert not link.startswith(ADDRESS) or (ROOT / path).is_file()


def test_the_address_is_the_release_workflows(hook):
    assert hook.repository({"GITHUB_SERVER_URL": "https://host.example", "GITHUB_REPOSITORY": "somebody/gradaudit"}) == ADDRESS
    assert hook.repository({"GITHUB_REPOSITORY": "somebody/gradaudit"}) is None
    assert hook.absolute("[how](docs/a.md)", None, "1.2.3") == "[how](docs/a.md)"
