"""Terminals, processes, folders and variables as they are on somebody's machine: each works, or is one clear line."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

COMMAND = ("robustness", "classifier.safetensors", "images.npz", "--eps", "0.1", "--steps", "2", "--device", "cpu")
KEPT = {"index.html", "results.json", "robustness.csv", "robustness.svg"}


@pytest.fixture(name="shell")
def shell_fixture(trained, tmp_path):
    """Run a line of shell in which `$RUN` is the command; its status, and what it wrote."""

    def shell(line, **variables):
        words = [sys.executable, "-m", "gradaudit", *COMMAND]
        environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path), "RUN": " ".join(words)} | variables
        done = subprocess.run(["bash", "-c", line], cwd=tmp_path, env=environment, capture_output=True, timeout=120)
        return done.returncode, done.stdout.decode(), done.stderr.decode()

    return shell


# Several oddities at once, since each run has to load the libraries that compute.
WORKS = {
    "little allowed": (
        "ulimit -n 32; umask 0777; unset HOME; $RUN <&-",
        {"TERM": "", "TMPDIR": "/nowhere", "MPLCONFIGDIR": "/dev/null/x", "MPLBACKEND": "bogus", "NO_COLOR": "1"},
    ),
    "a locale without UTF-8, TeX without TeX": (
        "echo 'text.usetex: True' > matplotlibrc; $RUN --out '猫 out'",
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONOPTIMIZE": "2"},
    ),
    "output in ASCII, warnings as errors": (
        "$RUN --out '猫 out'",
        {"PYTHONIOENCODING": "ascii", "PYTHONWARNINGS": "error", "TERM": "dumb", "FORCE_COLOR": "1"},
    ),
    "closed streams": ("$RUN >&- 2>&-", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("line", "variables"), WORKS.values(), ids=WORKS)
def test_it_works_and_says_nothing_to_standard_error(shell, tmp_path, line, variables):
    status, _, errors = shell(line, **variables)
    assert (status, errors) == (0, "")
    folder = tmp_path / ("猫 out" if "猫" in line else "out")
    assert {path.name for path in folder.iterdir()} == KEPT
    assert (folder / "index.html").read_bytes().decode("utf-8", "strict")


@pytest.mark.slow
def test_json_is_all_that_comes_out_whatever_is_closed_or_coloured(shell):
    assert json.loads(shell("$RUN --json 2>&-", FORCE_COLOR="1")[1])["instrument"] == "robustness"


@pytest.mark.slow
def test_a_reader_that_went_away_is_no_traceback(shell):
    status, out, errors = shell("$RUN --json | true; exit ${PIPESTATUS[0]}")
    assert (status, out, errors) == (1, "", "")


STOPS = {
    "a home that can't be written": ("unset GRADAUDIT_STORE; $RUN", {"HOME": "/dev/null/x", "XDG_CACHE_HOME": ""}),
    "files that may not grow": ("ulimit -f 4; $RUN", {}),
}


@pytest.mark.slow
@pytest.mark.parametrize(("line", "variables"), STOPS.values(), ids=STOPS)
def test_what_can_not_be_written_is_one_line_with_the_reason(shell, tmp_path, line, variables):
    status, out, errors = shell(line, **variables)
    assert status == 2
    assert out == ""
    assert len(errors.splitlines()) == 1
    assert errors.startswith("error: ")
    assert "cannot write" in errors
    assert not list(tmp_path.rglob("*.part"))
    assert shell("$RUN")[0] == 0, "the same command goes on once there is room"


def make_odd(folder, kind):
    """A place for `--out` that can't be one."""
    path = folder / kind
    if kind == "file":
        path.touch()
    elif kind == "dangling":
        path.symlink_to("nowhere")
    elif kind == "loop":
        path.symlink_to(path)
    return {"device": Path("/dev/null"), "long": Path("x" * 300), "deep": Path(*["y" * 200] * 25)}.get(kind, path)


@pytest.mark.parametrize("kind", ["file", "dangling", "loop", "device", "long", "deep"])
def test_a_folder_that_can_not_be_is_refused_before_any_work(cli, trained, tmp_path, kind):
    found = cli(*COMMAND, "--out", make_odd(tmp_path, kind))
    assert (found.status, found.out) == (2, "")
    assert len(found.err.splitlines()) == 1
    assert found.err.startswith("error: `--out` (=")
    assert not (tmp_path / "nowhere").exists()
    assert not list((tmp_path / "store").glob("robustness/*/*"))


@pytest.mark.parametrize("name", ["odd #1%20?é \n 猫", "-x", "[b]a'b\"c[/b]:{x}$HOME"])
def test_a_folder_of_any_name_is_written(cli, trained, tmp_path, name):
    found = cli(*COMMAND, f"--out={name}")
    assert found.status == 0, found.err
    assert {path.name for path in (tmp_path / name).iterdir()} == KEPT
    assert "page, tables and figures" in " ".join(found.out.split())


def test_a_link_to_a_folder_is_followed(cli, trained, tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert cli(*COMMAND, "--out", "link").status == 0
    assert {path.name for path in (tmp_path / "real").iterdir()} == KEPT
    assert (tmp_path / "link").is_symlink()


def test_a_tilde_that_no_shell_has_seen_is_the_users_home(cli, trained, tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("GRADAUDIT_STORE", "~/store")
    assert cli(*COMMAND, "--out=~/out").status == 0
    assert {path.name for path in (tmp_path / "home" / "out").iterdir()} == KEPT
    assert (tmp_path / "home" / "store").is_dir()
    assert not (tmp_path / "~").exists()


@pytest.mark.parametrize("columns", ["1", "20", "0", "abc"])
def test_a_terminal_of_any_width(cli, monkeypatch, columns):
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    assert cli("attributions").status == 0
    assert cli("--help").status == 0
