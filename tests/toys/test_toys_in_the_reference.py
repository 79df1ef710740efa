"""The reference of names is made from the registries, all of them, so a toy is in it by being there."""

import pkgutil
import re
import runpy
from importlib import import_module
from pathlib import Path

import pytest

import gradaudit as ga
from gradaudit.attributions import ATTRIBUTIONS, resolve_attribution
from gradaudit.cli.listings import KINDS, registry_of
from gradaudit.registry import Registry, imported

DOCS = Path(__file__).parents[2] / "docs"


def described():
    """What the page describes, in its order: the path of each registry."""
    return re.findall(r"^```{named} (\S+)$", (DOCS / "reference" / "names.md").read_text(encoding="utf-8"), flags=re.MULTILINE)


def test_every_kind_is_in_the_reference_and_in_gradaudit_names():
    every = (found.name for found in pkgutil.walk_packages(ga.__path__, "gradaudit."))
    modules = [import_module(name) for name in every if not name.startswith("gradaudit.peers.")]  # each needs another library
    made = {value.package for module in modules for value in vars(module).values() if isinstance(value, Registry)}
    assert {registry_of(kind).package for kind in KINDS} == made
    assert sorted(imported("path", path).package for path in described()) == sorted(made)


def test_the_reference_is_made_from_what_is_there(toys):
    pytest.importorskip("sphinx", reason="the site needs Sphinx: pip install 'gradaudit[docs]'")
    table = runpy.run_path(str(DOCS / "_site" / "named_things.py"))["table"]
    for path in described():
        registry = imported("path", path)
        (row,) = (line for line in table(registry).splitlines() if line.startswith("| `toy` |"))
        assert f"| {registry.summary('toy')} |" in row
        assert "`strength=1` |" in row


def test_a_control_says_that_it_is_one():
    for name in ATTRIBUTIONS.names():
        options = {"captum": {"method": "DeepLift"}, "manifold_integrated_gradients": {"autoencoder": "autoencoder.safetensors"}}
        found = resolve_attribution({"name": name} | options.get(name, {}))
        assert ATTRIBUTIONS.summary(name).startswith("Control: ") != found.needs_classifier, name
