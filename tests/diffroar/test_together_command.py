"""`--together` and `--at-once` on the command line."""

import numpy as np
import pytest

import gradaudit as ga
from gradaudit.cli import main

FAST = [
    "--evaluate",
    "retrain",
    "--learner",
    "linear",
    "--epochs",
    "1",
    "--seeds",
    "2",
    "--levels",
    "0.3",
    "--controls",
    "none",
    "--no-mask-only",
    "--workers",
    "1",
    "--device",
    "cpu",
]


@pytest.fixture(name="command")
def command_fixture(planted, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))
    parts = {"train": planted.images(60, 0), "test": planted.images(30, 1)}
    arrays = {f"{part}_{what}": getattr(images, what).numpy() for part, images in parts.items() for what in ("images", "labels")}
    np.savez("images.npz", **arrays)
    (tmp_path / "own.py").write_text("import torch\nbuild = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(64, 10))\n")

    def command(*options):
        with pytest.raises(SystemExit) as ended:
            main(["diffroar", "own:build", "images.npz", *FAST, *options])
        return ended.value.code or 0, capsys.readouterr()

    return command


def test_groups_from_the_command_line(command, tmp_path):
    status, shown = command("--together", "stacked", "--at-once", "3", "--dry-run")
    assert status == 0
    assert "3 fits at once, stacked" in shown.out
    status, _ = command("--together", "stacked", "--at-once", "3")
    assert status == 0
    assert ga.load_result(tmp_path / "out").details["together"] == {"stacked": 6}


@pytest.mark.parametrize(("option", "value"), [("--together", "stakced"), ("--at-once", "none"), ("--at-once", "0")])
def test_bad_groups_on_the_command_line(command, option, value):
    status, shown = command(option, value)
    assert status == 2
    assert f"`{option[2:].replace('-', '_')}`" in shown.err
