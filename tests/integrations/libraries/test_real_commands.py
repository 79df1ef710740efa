"""The commands and lines of docs/libraries.md, with files in the libraries' own formats in a user's folder."""

import re
import shlex
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from typer.testing import CliRunner

import gradaudit as ga
from gradaudit.cli import app

from .conftest import lively

models = pytest.importorskip("torchvision.models", reason="torchvision is not installed: pip install 'gradaudit[torchvision]'")
timm = pytest.importorskip("timm", reason="timm is not installed: pip install 'gradaudit[timm]'")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'gradaudit[transformers]'")
PAGE = (Path(__file__).parents[3] / "docs" / "libraries.md").read_text(encoding="utf-8")
(BASH,) = re.findall(r"^```bash\n(.*?)^```$", PAGE, flags=re.DOTALL | re.MULTILINE)
COMMANDS = [line for line in BASH.splitlines() if line.startswith("gradaudit ")]
LINES = re.findall(r"^classifier = .*$", PAGE, flags=re.MULTILINE)
SIDE = 64


@pytest.fixture(name="folder")
def folder_fixture(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for label, name in enumerate(("cat", "dog")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place in range(8):
            pixels = rng.integers(0, 128, (SIDE, SIDE, 3), dtype=np.uint8) + np.uint8(100 * label)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{place}.png")
    return tmp_path


def resnet50(folder):
    network = lively(models.resnet50(weights=None))
    (folder / "torch" / "hub" / "checkpoints").mkdir(parents=True)
    for version, path in (("V1", folder), ("V2", folder / "torch" / "hub" / "checkpoints")):
        torch.save(network.state_dict(), path / getattr(models.ResNet50_Weights, f"IMAGENET1K_{version}").url.rpartition("/")[2])


def my_folder(folder, names):
    config = transformers.ResNetConfig(
        depths=[1, 1], hidden_sizes=[8, 16], embedding_size=8, id2label=dict(enumerate(names)), label2id={}
    )
    lively(transformers.ResNetForImageClassification(config)).save_pretrained(folder / "my_folder")
    transformers.ViTImageProcessor(size={"height": 224, "width": 224}).save_pretrained(folder / "my_folder")


def run(line, *more):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return CliRunner().invoke(app, [*shlex.split(line)[1:], *more], catch_exceptions=False)


@pytest.mark.parametrize("line", COMMANDS, ids=range(len(COMMANDS)))
def test_a_command_of_the_page_loads_what_it_names(line, folder):
    if "resnet50" in line:
        resnet50(folder)
    else:
        my_folder(folder, ("cat", "dog"))
        torch.save(lively(timm.create_model("convnext_atto", num_classes=2)).state_dict(), folder / "atto.pth")
    found = run(line, "--dry-run")
    assert found.exit_code == 0, found.output


def test_lines_of_the_page_give_classifiers(folder):
    resnet50(folder)
    my_folder(folder, ("cat", "dog"))
    names = {"ga": ga, "torchvision": pytest.importorskip("torchvision")}
    names["AutoModelForImageClassification"] = transformers.AutoModelForImageClassification
    assert len(LINES) == 4
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for line in LINES:
            exec(line, names)
            logits = names["classifier"](torch.rand(2, 3, 224, 224))
            assert getattr(logits, "logits", logits).shape in ((2, 1000), (2, 2)), line


@pytest.mark.filterwarnings("ignore")
def test_a_command_puts_the_images_in_the_order_of_the_folders_classes(folder):
    my_folder(folder, ("tree", "dog", "cat"))
    line = 'gradaudit robustness transformers:my_folder "photos(size=32)" --steps 1 --eps 0,0.01 --out found'
    found = run(line, "--device", "cpu")
    assert found.exit_code == 0, found.output
    assert "put into the order" in found.output
    assert list(ga.load_result("found").settings["classes"]) == ["tree", "dog", "cat"]
    audited = run('gradaudit audit mine=transformers:my_folder --data "photos(size=32)" --preset quick', "--dry-run")
    assert audited.exit_code == 0, audited.output
    assert "put into the order" in audited.output
