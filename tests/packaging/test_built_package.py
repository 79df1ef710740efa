"""What `make build` leaves in `dist` is what a user should get. The variable GRADAUDIT_DIST names that folder."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

import gradaudit as ga

ROOT = Path(__file__).parents[2]
DIST = Path(os.environ.get("GRADAUDIT_DIST", ""))
NOT_SHIPPED = (".ci/", ".github/")

pytestmark = pytest.mark.skipif("GRADAUDIT_DIST" not in os.environ, reason="make build builds the package and runs these")

A_SMALL_AUDIT = """
import gradaudit as ga
from gradaudit.instruments.contract import audited

train, test = ga.load_images("mnist5k")
classifiers = {name: ga.load_classifier(f"zoo:mnist/{name}") for name in ("standard", "robust")}
denoisers = [ga.load_denoiser(f"zoo:{name}") for name in ("mnist", "fashion-mnist")]
options = dict.fromkeys(set(audited()) - {"contrast", "fidelity"}, False) | {"train_images": 300, "test_images": 40}
result = ga.audit(classifiers, train, test, denoiser=denoisers[0], preset="quick", options=options, workers=1, store="store")
result.write("report")
print(ga.__file__)
"""


def only(pattern):
    (found,) = DIST.glob(pattern)
    return found


def in_git(*folders):
    done = subprocess.run(["git", "ls-files", *folders], cwd=ROOT, capture_output=True, text=True, check=True)
    return {name for name in done.stdout.splitlines() if not name.startswith(NOT_SHIPPED)}


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Runs a program of a new environment that has the wheel, and besides it what this environment has."""
    folder = tmp_path_factory.mktemp("installed")
    venv.create(folder, symlinks=True)
    own = Path(sysconfig.get_path("purelib", vars={"base": str(folder), "platbase": str(folder)}))
    (own / "others.pth").write_text(sysconfig.get_path("purelib"))  # after its own, and no .pth in there is read
    python = folder / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--no-deps", "--no-index", only("*.whl")]
    subprocess.run(pip, check=True)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTHON")}

    def program(name, *words):
        command = [folder / "bin" / name, *words]
        done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, timeout=300)
        assert done.returncode == 0, done.stderr
        return done.stdout

    program.folder, program.own = folder, own
    return program


def test_the_sdist_holds_what_git_holds():
    with tarfile.open(only("*.tar.gz")) as archive:
        names = {member.name.partition("/")[2] for member in archive.getmembers() if member.isfile()}
    assert names == in_git() | {"PKG-INFO"}


def test_the_wheel_holds_the_package():
    with zipfile.ZipFile(only("*.whl")) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
    assert names == {name.removeprefix("src/") for name in in_git("src")}


def test_both_have_the_version_of_the_package():
    assert {only("*.whl").name.split("-")[1], only("*.tar.gz").name.removesuffix(".tar.gz").split("-")[1]} == {ga.__version__}


def test_the_long_description_is_the_readme():
    with zipfile.ZipFile(only("*.whl")) as archive:
        (name,) = (one for one in archive.namelist() if one.endswith(".dist-info/METADATA"))
        text = archive.read(name).decode().partition("\n\n")[2]
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    if "GITHUB_REPOSITORY" in os.environ:  # a release's links lead to the repository; see test_long_description.py
        assert not re.search(r"\]\((?!https://)", text)
        text, readme = (re.sub(r"\]\([^)]*\)", "", one) for one in (text, readme))
    assert text.strip() == readme.strip()


@pytest.mark.parametrize("words", [("gradaudit", "--version"), ("python", "-m", "gradaudit", "--version")])
def test_the_command_runs(run, words):
    assert run(*words) == f"gradaudit {ga.__version__}\n"


def test_an_audit_runs_with_nothing_of_the_clone(run):
    found = Path(run("python", "-c", A_SMALL_AUDIT).splitlines()[-1])
    assert found.is_relative_to(run.own)
    page = (run.folder / "report" / "index.html").read_text(encoding="utf-8")
    assert "<style" in page
    assert (run.folder / "report" / "answers.csv").is_file()
