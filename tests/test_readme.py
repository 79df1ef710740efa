"""The code of the README and of the documents, run as it stands."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import gradaudit as ga
from gradaudit.cli import main

ROOT = Path(__file__).parent.parent
MODEL = """
import torch

torch.manual_seed(0)
my_model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
"""


def blocks(path, language):
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / path).read_text(encoding="utf-8"), flags=re.DOTALL)


@pytest.fixture
def user(tmp_path, monkeypatch):
    """A folder of a user, with a model of theirs and photographs in class folders."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "my_package.py").write_text(MODEL)
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        folder = tmp_path / "photos" / name
        folder.mkdir(parents=True)
        for place in range(30):
            pixels = rng.integers(0, 128, (40, 40, 3), dtype=np.uint8) + np.uint8(100 * label)
            Image.fromarray(pixels).save(folder / f"{place}.png")
    return tmp_path


@pytest.mark.slow
def test_your_own_model_in_five_lines_of_python(user, capsys):
    (code,) = (block for block in blocks("README.md", "python") if "my_model" in block)
    assert len([line for line in code.splitlines() if line.strip()]) <= 6
    exec(compile(code, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith(("holds", "violated", "inconclusive"))
    result = ga.load_result(user / "report")
    assert set(result.table["attribution"]) == {"logit_gradient", "random", "blurred_random", "edges"}
    assert result.table["seed"].nunique() == 5


@pytest.mark.slow
def test_your_own_model_in_one_command(user, capsys):
    (command,) = (line for block in blocks("README.md", "bash") for line in block.splitlines() if "my_package" in line)
    program, *arguments = shlex.split(command)
    assert program == "gradaudit"
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 0
    assert "DiffROAR" in capsys.readouterr().out
    assert (user / "report" / "index.html").stat().st_size > 10_000
    assert ga.load_result(user / "report").table["seed"].nunique() == 5


def test_the_docs_own_functions_work(user):
    attribution, network, objective, data = blocks("docs/extend.md", "python")
    (user / "mine.py").write_text("\n".join((attribution, network, objective, data)))
    train, test = ga.load_images("mine:my_data")
    recipe = ga.Recipe(network="mine:my_network(width=8)", objective="mine:my_objective(smoothing=0.2)", epochs=30, batch_size=32)
    classifier = ga.train(recipe, train)
    assert ga.measure_accuracy(classifier, test) > 0.9
    scores = ga.attribute_all(classifier, test, "mine:my_attribution(power=2.0)")
    assert scores.shape == (len(test), *test.shape)
    assert (scores >= 0).all()


@pytest.mark.parametrize("page", ["blocks", "leakage", "theory"])
def test_the_code_of_a_page_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names: dict[str, object] = {}
    for block in blocks(f"docs/{page}.md", "python"):
        exec(compile(block, f"docs/{page}.md", "exec"), names)
    if page != "blocks":
        result = names["result"]
        assert isinstance(result, ga.LeakageResult)
        assert result.accuracy > 0.9
