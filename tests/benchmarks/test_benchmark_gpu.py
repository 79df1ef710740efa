"""The script for a GPU: its limits, and what it says where there is none."""

import subprocess
import sys
import time

import pytest


@pytest.fixture
def gpu(script):
    return script("gpu")


def test_output_has_limits(gpu, tmp_path, monkeypatch):
    monkeypatch.setattr(gpu, "FILE_LIMIT", 100)
    monkeypatch.setattr(gpu, "LIMIT", 150)
    (tmp_path / "a").write_bytes(bytes(90))
    assert gpu.too_large(tmp_path) == ""
    (tmp_path / "b").write_bytes(bytes(90))
    assert gpu.too_large(tmp_path) == "too large in all"
    (tmp_path / "b").write_bytes(bytes(101))
    assert gpu.too_large(tmp_path) == "too large: b"


def test_a_part_that_takes_too_long_ends_with_its_workers(gpu):
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    start = time.monotonic()
    process = subprocess.Popen([sys.executable, "-c", child], start_new_session=True)
    gpu.end(process)
    assert process.returncode == -15
    assert time.monotonic() - start < 10


def test_a_part_names_what_it_needs(script, tmp_path):
    parts = script("_gpu_parts")
    settings = parts.Settings("cpu", None, tmp_path, tmp_path / "store", True)
    with pytest.raises(SystemExit, match="run the part classifiers first"):
        parts.PARTS["diffroar"](settings, [])
    train, test = settings.images("cifar10")
    assert (train.shape, len(test)) == ((3, 32, 32), 40)


def test_without_a_gpu_it_says_so(gpu):
    import torch

    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.check_device("cuda")
