"""The runner: what it finds, in what order and with what threads it runs, what it says of failures, and the page that it writes."""

import ast
import fcntl
import json
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HEAD = '"""Claim: {claim}\n\nMore of it.\nRun: `{command}`. {about}\n"""\n'


def write(folder, name, body="", claim="it is fast.", command=None, about="About 2 minutes on one core."):
    command = command or f"python benchmarks/{name}.py"
    (folder / f"{name}.py").write_text(HEAD.format(claim=claim, command=command, about=about) + body)


def recorded(script, folder, name, value):
    """A benchmark's code that keeps a record with one figure, of which at least 2 is needed."""
    module = script("_record")
    record = module.record_of(name, "it is fast.", (module.Row("speed", value, at_least=2.0),), 0.0, 1.0, False, "command")
    return f"import pathlib\npathlib.Path({str(folder / f'{name}.json')!r}).write_text({record_text(record, folder)!r})\n"


def record_text(record, folder):
    path = record.save(folder)
    text = path.read_text()
    path.unlink()
    return text


def test_a_new_file_is_found_by_its_docstring(script, tmp_path):
    write(
        tmp_path,
        "new",
        "parser.add_argument('--x')",
        command="OMP_NUM_THREADS=1 python benchmarks/new.py --n 3 --data-dir DATA [--more]",
    )
    (tmp_path / "_shared.py").write_text('"""Claim: none.\n\nRun: `python x.py`."""')
    (tmp_path / "tool.py").write_text('"""Makes pictures.\n\nRun: `python benchmarks/tool.py`."""')
    found = script("_catalogue").catalogue(tmp_path)
    assert [*found] == ["new"]
    one = found["new"]
    assert (one.claim, one.about, one.short) == ("it is fast.", "about 2 minutes on one core", False)
    assert one.environment == {"OMP_NUM_THREADS": "1"}
    assert one.arguments == ["--n", "3"]
    assert one.needs == ("data",)


@pytest.mark.parametrize(
    ("command", "variables", "why"),
    [
        ("python benchmarks/a.py", {}, ""),
        ("python benchmarks/a.py --data-dir DATA", {"GRADAUDIT_DATA": "data"}, ""),
        ("python benchmarks/a.py --data-dir DATA", {}, "needs data: set GRADAUDIT_DATA"),
        ("python benchmarks/a.py --weights-dir WEIGHTS", {"GRADAUDIT_DATA": "data"}, "needs weights: set GRADAUDIT_WEIGHTS"),
        ("python benchmarks/a.py --tangents AUTOENCODER", {}, "needs AUTOENCODER, which only you have: run it by hand"),
        ("python benchmarks/a.py --device cuda", {"PATH": ""}, "needs a GPU"),
        ("python benchmarks/a.py [--data-dir DATA]", {}, ""),
    ],
)
def test_what_cannot_run_here_says_why(script, tmp_path, monkeypatch, command, variables, why):
    for name in ("GRADAUDIT_DATA", "GRADAUDIT_WEIGHTS"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    write(tmp_path, "a", command=command)
    one = script("_catalogue").catalogue(tmp_path)["a"]
    assert one.why_not() == why
    assert one.why_not(short=True) == "has no short version"


def test_every_claim_and_question_has_a_command_and_a_length(script):
    found = script("_catalogue").catalogue()
    paths = (ROOT / "benchmarks").glob("[!_]*.py")
    said = {path.stem: ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "" for path in paths}
    assert {name for name, text in said.items() if text.startswith(("Claim", "Question"))} == set(found)
    assert [one.name for one in found.values() if one.path.name not in one.command] == []


@pytest.fixture
def runner(script, tmp_path, monkeypatch):
    """The runner's module, with its results and its lock in a folder of the test's."""
    module = script("run")
    results = tmp_path / "results"
    results.mkdir()
    monkeypatch.setattr(module, "RESULTS", results)
    monkeypatch.setattr(module, "LOCK", tmp_path / "lock")
    module.LOCK.touch()
    return module


def test_it_goes_on_after_a_failure(script, runner, tmp_path, capfd, monkeypatch):
    monkeypatch.delenv("GRADAUDIT_DATA", raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    write(tmp_path, "a_fails", "raise SystemExit(3)")
    write(tmp_path, "b_lacks", command="python benchmarks/b_lacks.py --data-dir DATA")
    say = "import os; print('threads', os.environ.get('OMP_NUM_THREADS'))\n"
    write(tmp_path, "c_good", say + recorded(script, tmp_path / "results", "c_good", 2.5))
    write(tmp_path, "d_one", say, command="OMP_NUM_THREADS=1 python benchmarks/d_one.py")
    status = runner.run_all(script("_catalogue").catalogue(tmp_path), short=False)
    out = capfd.readouterr().out
    assert status == 1
    assert "failed: a_fails" in out
    assert "missed" not in out
    assert "[2/4] b_lacks: not measured: needs data: set GRADAUDIT_DATA" in out
    assert out.index("threads None") < out.index("threads 1")
    assert "at least 2" in out
    plain = json.loads((tmp_path / "results" / "d_one.json").read_text())
    assert (plain["rows"], plain["command"]) == ([], "OMP_NUM_THREADS=1 python benchmarks/d_one.py")


@pytest.mark.parametrize(("value", "status"), [(2.5, 0), (1.5, 1)])
def test_a_missed_figure_is_an_exit_status(script, runner, tmp_path, capfd, value, status):
    write(tmp_path, "a", recorded(script, tmp_path / "results", "a", value))
    assert runner.run_all(script("_catalogue").catalogue(tmp_path), short=False) == status
    assert ("missed a needed figure: a" in capfd.readouterr().out) == bool(status)


def test_never_two_at_once(runner):
    with open(runner.LOCK) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(SystemExit, match="another run of the benchmarks"):
            runner.run_all({}, short=False)


def test_the_table_has_a_line_for_each_figure(script, tmp_path):
    write(tmp_path, "a", claim="a | b is < c.")
    benchmarks = script("_catalogue").catalogue(tmp_path)
    module = script("_record")
    rows = (module.Row("speed", 0.5, "s", "the plain way", 3.0, (2.5, 3.5), at_least=2.0), module.Row("GPU", why="no GPU here"))
    record = module.record_of("a", "a | b is < c.", rows, 0.25, 200.0, False, "python benchmarks/a.py")
    lines = script("_table").markdown(benchmarks, {"a": record}).splitlines()
    assert lines[2].startswith(r"| [a](../benchmarks/a.py): a \| b is &lt; c. |")
    assert "3 min, " in lines[2]
    assert lines[3] == "| - speed | at least 2 times | 0.5 s | x3 [2.5, 3.5] against the plain way | yes |  |  |"
    assert lines[4] == "| - GPU |  | not measured: no GPU here |  |  |  |  |"
    assert any(line.startswith("- A: ") and "torch" in line for line in lines)
    assert {line.count(" | ") for line in (lines[0], *lines[2:5])} == {6}


def test_the_page_is_what_the_kept_results_give(script):
    catalogue, table = script("_catalogue"), script("_table")
    page = (ROOT / "docs" / "benchmarks.md").read_text(encoding="utf-8")
    benchmarks = catalogue.catalogue()
    expected = table.written_into(page, table.markdown(benchmarks, table.kept_records(benchmarks)))
    assert page == expected, "run `python benchmarks/run.py --markdown`"
    assert table.written_into(expected, "x").count(table.BEGIN) == 1
