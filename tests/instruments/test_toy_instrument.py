"""A folder is an instrument by being there: in Python, on the command line, in the audit, on the page, in the schema."""

import inspect
import json
from pathlib import Path

import pytest

from gradaudit.instruments.contract import audited as kinds

TOYS = Path(__file__).parent / "toys"
WITH_TOYS = f"""
import gradaudit.instruments
gradaudit.instruments.__path__.append({str(TOYS)!r})
"""


@pytest.fixture(name="run")
def run_fixture(run_program, tmp_path):
    """Python with the toy's folder among the instruments, and no other file touched."""
    return lambda code, *words: run_program(WITH_TOYS + code, *words, cwd=tmp_path, GRADAUDIT_STORE=str(tmp_path / "store"))


@pytest.fixture(name="gradaudit")
def gradaudit_fixture(run):
    """The command line with the toy's folder among the instruments."""
    return lambda *words: run("from gradaudit.cli import main; main()", *words)


@pytest.fixture(name="classifier")
def classifier_fixture(gradaudit, images):
    found = gradaudit("train", images, "--out", "mine.safetensors", "--network", "linear", "--epochs", 1, "--device", "cpu")
    assert found.returncode == 0, found.stderr
    return "mine.safetensors"


def test_it_is_a_python_function_with_its_options(run):
    code = (
        "import inspect, gradaudit as ga\n"
        "print(inspect.signature(ga.toy)); print(ga.toy.__doc__)\n"
        "try: ga.toy(None, None, factor=-1)\n"
        "except ga.InputError as error: print(error)\n"
    )
    found = run(code)
    assert "(classifier, images, *, factor: float = 2.0, of: str = 'label', seed" in found.stdout, found.stderr
    assert "factor: what the confidence is multiplied by." in found.stdout
    assert "`factor` (=-1) must be a finite number, above 0" in found.stdout


def test_it_is_a_command_with_a_page(gradaudit, images, classifier, tmp_path):
    helped = gradaudit("toy", "--help")
    assert "--factor" in helped.stdout
    assert "predicted" in helped.stdout
    assert "toy" in gradaudit("--help").stdout
    found = gradaudit("toy", classifier, images, "--factor", "3", "--json")
    assert json.loads(found.stdout)["settings"]["factor"] == 3, found.stderr
    page = (tmp_path / "out" / "index.html").read_text()
    assert "The toy says 1." in page
    assert f"Is {classifier} confident?" in page
    planned = gradaudit("toy", classifier, images, "--dry-run")
    assert "gradients: about" in planned.stdout
    wrong = gradaudit("toy", classifier, images, "--factor", "-3")
    assert wrong.returncode == 2
    assert wrong.stderr.splitlines()[-1].startswith("error: `factor` (=-3.0) must be")


def test_it_is_a_part_of_the_audit_its_page_and_its_files(gradaudit, images, classifier, tmp_path):
    (tmp_path / "audit.toml").write_text(
        f'data = "{images.name}"\n[classifiers]\nmine = "{classifier}"\n[toy]\nfactor = 4.0\nimages = 12\n'
    )
    skipped = [word for name in kinds() for word in ("--skip", name)]
    found = gradaudit("audit", "audit.toml", "--out", "report", "--device", "cpu", *skipped)
    assert found.returncode == 0, found.stderr
    data = json.loads((tmp_path / "report" / "results.json").read_text())
    assert data["settings"]["options"]["toy"] == {"factor": 4.0, "images": 12}
    assert data["results"]["mine"]["toy"]["settings"]["factor"] == 4.0
    assert "confidence" in data["scores"]["measure"]["values"]
    assert "The toy says 1." in (tmp_path / "report" / "index.html").read_text()
    assert (tmp_path / "report" / "mine" / "toy" / "toy.csv").exists()
    wrong = (tmp_path / "audit.toml").read_text().replace("4.0", '"four"')
    (tmp_path / "audit.toml").write_text(wrong)
    found = gradaudit("audit", "audit.toml", "--out", "other", "--device", "cpu", *skipped)
    assert found.returncode == 2
    assert "`toy.factor` (='four') must be a finite number, above 0" in found.stderr


def test_it_is_in_the_schema_of_an_audits_file(gradaudit):
    schema = json.loads(gradaudit("schema", "--of", "file").stdout)
    assert schema["properties"]["toy"]["anyOf"][0]["properties"]["factor"] == {
        "type": "number",
        "exclusiveMinimum": 0,
        "description": "what the confidence is multiplied by",
        "default": 2.0,
    }


def test_a_saved_result_comes_back(gradaudit, run, images, classifier):
    assert gradaudit("toy", classifier, images).returncode == 0
    found = run("import gradaudit as ga; print(type(ga.load_result('out')).__name__)")
    assert found.stdout.strip() == "ToyResult"


def test_without_the_folder_there_is_none():
    import gradaudit as ga

    assert not hasattr(ga, "toy")
    assert "options" not in inspect.signature(ga.leakage).parameters
