"""The README's code, run as it stands."""

import shlex

import pytest

import gradaudit as ga
from gradaudit.cli import main

MODEL = """
import torch

torch.manual_seed(0)
my_model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
"""


@pytest.fixture(autouse=True)
def my_package(user):
    """A model of the user's."""
    (user / "my_package.py").write_text(MODEL)


@pytest.mark.slow
def test_your_own_model_in_five_lines_of_python(user, code_of, capsys):
    (code,) = (block for block in code_of("README.md") if "my_model" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    exec(compile(code, "README.md", "exec"), {})
    result = ga.load_audit(user / "report")
    assert str(result.answer["mine"]) in capsys.readouterr().out
    assert {"diffroar", "robustness"} <= set(result.results["mine"])
    assert "denoiser" in result.skipped["mine"]["alignment"]


@pytest.mark.slow
def test_your_own_model_in_one_command(user, code_of, capsys):
    (command,) = (line for block in code_of("README.md", "bash") for line in block.splitlines() if "my_package" in line)
    program, *arguments = shlex.split(command)
    assert program == "gradaudit"
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "diffroar" in capsys.readouterr().out
    assert (user / "report" / "index.html").stat().st_size > 10_000
    assert "diffroar" in ga.load_audit(user / "report").results["mine"]
