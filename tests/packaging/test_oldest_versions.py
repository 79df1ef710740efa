"""`make test-oldest` tries the oldest versions that pyproject.toml allows."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parents[2]
TRIED = ("autoattack", "metrics", "ray", "s3")  # the extras that `dev` holds, which `make test-oldest` installs


def tried():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    extras = [project["optional-dependencies"][name] for name in TRIED]
    return {found.name: found for found in map(Requirement, sum(extras, project["dependencies"]))}


def pins(name):
    lines = (ROOT / name).read_text(encoding="utf-8").splitlines()
    return {name: Version(version) for name, _, version in (line.partition("==") for line in lines if not line.startswith("#"))}


def lowest(requirement):
    ((operator, version),) = ((bound.operator, Version(bound.version)) for bound in requirement.specifier)
    assert operator == ">="
    return version


def test_each_oldest_version_is_the_lower_bound():
    assert pins("constraints-oldest.txt") == {name: lowest(requirement) for name, requirement in tried().items()}


@pytest.mark.parametrize("constraints", ["constraints.txt", "constraints-integrations.txt"])
def test_the_pinned_versions_are_allowed(constraints):
    pinned = {name.lower().replace("_", "-"): version for name, version in pins(constraints).items()}
    of_both = tried().keys() & pinned.keys()
    assert {"torch", "numpy", "pandas"} <= of_both
    assert [name for name in of_both if pinned[name] < lowest(tried()[name])] == []
