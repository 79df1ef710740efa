"""The script for a GPU: one limit for all parts, what it packs, and what it says where something is missing."""

import csv
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
import torch

import gradaudit as ga


@pytest.fixture
def gpu(script):
    return script("gpu")


@pytest.fixture
def packing(script, monkeypatch):
    module = script("_gpu_pack")
    monkeypatch.setattr(module, "FILE_LIMIT", 10_000)
    monkeypatch.setattr(module, "LIMIT", 32_000)
    monkeypatch.setattr(module, "ROOM", 500)
    return module


def within_limits(out, files=8, each=16 * 10**6, total=64 * 10**6):
    sizes = [path.stat().st_size for path in out.iterdir()]
    names = "".join(path.name for path in out.iterdir())
    return len(sizes) <= files and max(sizes) <= each and sum(sizes) <= total and all(c.isalnum() or c in "._-" for c in names)


def noise(path, size):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(np.random.default_rng(size).bytes(size))


def test_a_part_gets_its_share_of_the_time_that_is_left(script):
    plan = script("_gpu_time")
    assert plan.allotted(100, [1, 3]) == 25
    assert plan.allotted(90, [3]) == 90  # what the first left over goes to the last
    assert plan.allotted(-5, [1, 1]) == 0


@pytest.mark.parametrize(
    ("seconds", "each", "found"), [(100, 10, 8), (1000, 10, 15), (1, 10, 1), (-3, 10, 1), (100, 0, 15)], ids=str
)
def test_work_is_planned_by_the_time_that_is_left(script, seconds, each, found):
    assert script("_gpu_time").affordable(seconds, each, 15) == found


@pytest.mark.parametrize(("fits", "levels", "seeds"), [(1, 1, 1), (12, 1, 3), (36, 3, 3), (84, 7, 3), (10_000, 7, 3)])
def test_a_grid_is_as_large_as_time_allows(script, fits, levels, seeds):
    found, count = script("_gpu_parts").plan_of_grid(fits, 2)
    assert (len(found), count) == (levels, seeds)
    assert list(found) == sorted(found)


def test_what_was_made_is_packed_within_limits_and_read_back(packing, tmp_path):
    made, out = tmp_path / "made", tmp_path / "out"
    for name, size in (("gpu_a.json", 300), ("b/c/d.csv", 4000), ("w/1.safetensors", 6000), ("w/2.safetensors", 6000)):
        noise(made / name, size)
    assert packing.pack(made, out, {"summary.txt": "all"}) == []
    assert sorted(path.name for path in out.iterdir()) == ["results.zip", "summary.txt", "weights-1.zip", "weights-2.zip"]
    assert within_limits(out, each=10_000, total=32_000)
    assert packing.unpack(out, tmp_path / "again") == 4
    assert (tmp_path / "again/b/c/d.csv").read_bytes() == (made / "b/c/d.csv").read_bytes()
    assert packing.unpack(out, tmp_path / "again") == 0  # what is there stays
    (made / "w/2.safetensors").unlink()
    packing.pack(made, out, {"summary.txt": "less"})
    assert not (out / "weights-2.zip").exists()


def test_what_has_no_room_is_left_out_by_name(packing, tmp_path):
    made, out = tmp_path / "made", tmp_path / "out"
    noise(made / "large.npy", 11_000)
    for number in range(5):
        noise(made / f"{number}.safetensors", 8000)
    left_out = packing.pack(made, out, {"summary.txt": "", "figures.csv": ""})
    assert "large.npy" in left_out
    assert len(left_out) == 3  # 32,000 bytes hold three of 8,000
    assert within_limits(out, each=10_000, total=32_000)


def test_packed_images_come_back_exactly(script, tmp_path):
    data = script("gpu_data")
    source = np.random.default_rng(0)
    for channels, side in ((3, 32), (1, 28)):
        pixels = torch.from_numpy(source.integers(0, 256, (1030, channels, side, side), dtype=np.uint8))
        images = ga.ImageSet(pixels, torch.arange(1030) % 3, ("one", "two words", "three"))
        data.pack(tmp_path / str(channels), images, images[:7])
        train, test = data.unpack(tmp_path / str(channels))
        assert (train.fingerprint, train.classes) == (images.fingerprint, images.classes)
        assert test.fingerprint == images[:7].fingerprint


def test_a_missing_package_is_named_in_one_line(script, tmp_path, monkeypatch):
    setup = script("_gpu_setup")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    found = setup.ready(None, tmp_path / "site", ("json", "no_such_package"))
    assert found.startswith("missing here: no_such_package (ModuleNotFoundError: ")
    assert found.endswith("carry wheels and give --wheels")
    assert "\n" not in found
    assert setup.ready(None, tmp_path / "site", ("json",)) == ""


def test_what_is_missing_is_installed_from_wheels(script, tmp_path, monkeypatch):
    setup = script("_gpu_setup")
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.setenv("PYTHONPATH", "")
    wheels = tmp_path / "wheels"
    wheels.mkdir()
    with zipfile.ZipFile(wheels / "gpu_carried-1.0-py3-none-any.whl", "w") as file:
        file.writestr("gpu_carried.py", "answer = 42\n")
        about = "gpu_carried-1.0.dist-info"
        file.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: gpu-carried\nVersion: 1.0\n")
        file.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{about}/RECORD", "")
    assert setup.ready(wheels, tmp_path / "site", ("gpu_carried",)) == ""
    assert (tmp_path / "site" / "gpu_carried.py").exists()
    assert "no_such_package" in setup.ready(wheels, tmp_path / "site", ("gpu_carried", "no_such_package"))


def test_a_failure_is_noted_and_hinders_nothing_else(script, tmp_path, capsys):
    parts = script("_gpu_parts")
    notes = parts.Notes("works", "Does it run.", tmp_path, True)
    with notes.attempt("first"):
        raise ValueError("no\nkernel")
    notes.add(parts.Row("second", 1.0))
    kept = script("_record").Record.load_from(tmp_path / "gpu_works.json")
    assert [(row.what, row.why) for row in kept.rows] == [("first", "failed: ValueError: no kernel"), ("second", "")]
    assert notes.failed


def test_a_part_that_takes_too_long_is_cut_off_with_its_workers(gpu, tmp_path, monkeypatch):
    child = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)']); time.sleep(60)"
    program = tmp_path / "part.py"
    program.write_text(child)
    monkeypatch.setattr(gpu, "__file__", str(program))
    start = time.monotonic()
    assert gpu.in_time("works", tmp_path, 1.0).startswith("cut off at its limit")
    assert time.monotonic() - start < 10


def test_without_a_gpu_it_says_so(gpu):
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    with pytest.raises(SystemExit, match="no GPU here"):
        gpu.check_device("cuda")


@pytest.mark.slow
def test_a_dry_run_does_all_parts(gpu, tmp_path):
    options = ["--device", "cpu", "--tiny", "--minutes", "20", "--work", str(tmp_path / "work"), "--out", str(tmp_path / "out")]
    ran = subprocess.run([sys.executable, gpu.__file__, *options], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    summary = (tmp_path / "out/summary.txt").read_text(encoding="utf-8")
    assert all(f"{part}: ended well" in summary for part in gpu.WEIGHTS)
    assert within_limits(tmp_path / "out")
    with open(tmp_path / "out/figures.csv", encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert {row["part"] for row in rows} == set(gpu.WEIGHTS)
    assert all(row["torch"] == torch.__version__ and row["gpu"] for row in rows)
    assert not any(row["why"].startswith("failed") for row in rows)
    with zipfile.ZipFile(tmp_path / "out/results.zip") as file:
        names = file.namelist()
    assert {"gpu_rates.json", "logs/works.txt", "counterfactuals/gallery.png"} <= set(names)
