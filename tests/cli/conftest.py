"""Small images in an `.npz`, and the command line run in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest

from gradaudit.cli import main

TRAIN, TEST, SIDE, CLASSES = 60, 30, 8, 3


class Outcome(NamedTuple):
    """What a command left: its exit status, and what it wrote."""

    status: int
    out: str
    err: str


@pytest.fixture(name="images")
def images_fixture(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    labels = np.arange(TRAIN + TEST) % CLASSES
    pixels = rng.integers(0, 60, (TRAIN + TEST, SIDE, SIDE), dtype=np.uint8)
    pixels[np.arange(TRAIN + TEST), 2, 2 * labels] = 255
    halves = {"train_images": pixels[:TRAIN], "train_labels": labels[:TRAIN]}
    np.savez(tmp_path / "images.npz", **halves, test_images=pixels[TRAIN:], test_labels=labels[TRAIN:])
    return tmp_path / "images.npz"


@pytest.fixture(name="cli")
def cli_fixture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., Outcome]:
    """Run a command in `tmp_path` with a store of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GRADAUDIT_STORE", str(tmp_path / "store"))

    def run(*arguments: object) -> Outcome:
        status = 0
        try:
            main([str(argument) for argument in arguments])
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0
        return Outcome(status, *capsys.readouterr())

    return run


@pytest.fixture(name="_made", scope="session")
def made_fixture() -> list[bytes]:
    return []


@pytest.fixture(name="trained")
def trained_fixture(cli: Callable[..., Outcome], images: Path, tmp_path: Path, _made: list[bytes]) -> Path:
    """A classifier's file, from `gradaudit train`: the first test's, since all of them would be the same."""
    file = tmp_path / "classifier.safetensors"
    if not _made:
        found = cli("train", images, "--out", file, "--network", "linear", "--epochs", 1, "--device", "cpu")
        assert found.status == 0, found.err
        _made.append(file.read_bytes())
    file.write_bytes(_made[0])
    return file
