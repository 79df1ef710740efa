"""`--on-error`: image files that can't be taken, on the command line and in an audit's file."""

import json

import numpy as np
import pytest
from PIL import Image

from gradaudit.auditing.files import read_request


@pytest.fixture(name="folder")
def folder_fixture(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        (tmp_path / "set" / name).mkdir(parents=True)
        for index in range(10):
            Image.fromarray(rng.integers(0, 256, (8, 8), np.uint8)).save(tmp_path / f"set/{name}/{index}.png")
    (tmp_path / "set/b/3.png").write_bytes(b"no picture")
    return f"{tmp_path / 'set'}(size=8, channels=1, cache={str(tmp_path / 'cache')!r})"


def test_an_image_that_cannot_be_taken_ends_in_one_line_that_names_the_way_out(cli, folder):
    found = cli("data", folder, "--json")
    assert found.status == 2
    assert found.err.count("\n") == 1
    assert "1 damaged, or of no known format: b/3.png" in found.err
    assert "--on-error skip" in found.err


def test_it_is_left_out_on_request(cli, folder):
    with pytest.warns(UserWarning, match="1 of 30 image files"):
        found = cli("data", folder, "--json", "--on-error", "skip")
    described = json.loads(found.out)
    assert described["train"]["images"] + described["test"]["images"] == 29


def test_an_audit_takes_it_too(cli, folder, trained, tmp_path):
    (tmp_path / "audit.toml").write_text(f'data = "{folder}"\non_error = "skip"\n[classifiers]\nmine = "{trained}"\n')
    assert read_request(tmp_path / "audit.toml", set()).on_error == "skip"
    skipped = [word for name in ("diffroar", "counterfactual_differences", "counterfactual") for word in ("--skip", name)]
    for words in (("audit.toml",), (f"mine={trained}", "--data", folder, "--on-error", "skip")):
        with pytest.warns(UserWarning, match="1 of 30 image files"):
            found = cli("audit", *words, "--dry-run", "--device", "cpu", *skipped)
        assert found.status == 0, found.err
    assert cli("audit", f"mine={trained}", "--data", folder, "--dry-run").status == 2
