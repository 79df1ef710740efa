"""Modules and files of every usual kind: audited as they are, or refused in words that help."""

import gzip
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import nn
from torch.nn.utils import parametrizations, prune, spectral_norm

import gradaudit as ga
from gradaudit.classifiers import check_classifier

PIXELS = torch.randint(0, 256, (6, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
IMAGES = ga.ImageSet(PIXELS, torch.arange(6) % 2, ("a", "b"))


def network(**options: Any) -> nn.Sequential:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2, **options))


def pruned() -> nn.Module:
    classifier = network()
    prune.l1_unstructured(classifier[1], "weight", 0.5)
    return classifier


def constant() -> nn.Module:
    return network().requires_grad_(False)


GOOD: dict[str, Callable[[], nn.Module]] = {
    "half precision": lambda: network().half(),
    "bfloat16": lambda: network().bfloat16(),
    "double precision": lambda: network().double(),
    "DataParallel": lambda: nn.DataParallel(network()),
    "traced": lambda: torch.fx.symbolic_trace(network()),
    "compiled": lambda: torch.compile(network(), backend="eager"),
    "pruned": pruned,
    "constant weights": constant,
    "weight norm": lambda: nn.Sequential(nn.Flatten(), parametrizations.weight_norm(nn.Linear(64, 2))),
    "spectral norm": lambda: nn.Sequential(nn.Flatten(), parametrizations.spectral_norm(nn.Linear(64, 2))),
    "old spectral norm": lambda: nn.Sequential(nn.Flatten(), spectral_norm(nn.Linear(64, 2))),
    "more outputs than classes": lambda: nn.Sequential(nn.Flatten(), nn.Linear(64, 1000)),
}


@pytest.mark.filterwarnings("ignore:Guards may run slower:RuntimeWarning")  # of torch.compile, on Python 3.13.0
@pytest.mark.parametrize("name", GOOD)
def test_a_module_is_audited_as_it_is(tmp_path: Path, name: str) -> None:
    result = ga.robustness(GOOD[name](), IMAGES, eps=(0.05,), steps=2, device="cpu", store=tmp_path)
    assert 0 <= result.table["accuracy"][0] <= 1


def exported() -> nn.Module:
    batch = torch.export.Dim("batch", min=1, max=64)
    return torch.export.export(network(), (torch.rand(2, 1, 8, 8),), dynamic_shapes=({0: batch},)).module()


BAD: dict[str, tuple[Callable[[], nn.Module], str]] = {
    "lazy layers": (lambda: nn.Sequential(nn.Flatten(), nn.LazyLinear(2)), "initialised: it has lazy layers"),
    "no weights": (lambda: network(device="meta"), "one with weights: some are on the meta device"),
    "an exported program": (exported, "a module that can be put into evaluation mode"),
}


@pytest.mark.parametrize("name", BAD)
def test_a_module_that_cannot_be_audited_says_why(name: str) -> None:
    make, message = BAD[name]
    with pytest.raises(ga.InputError, match=f"`classifier` .*{message}"):
        check_classifier(make(), IMAGES)


def packed(file: Path) -> None:
    torch.save(network().state_dict(), file)
    file.write_bytes(gzip.compress(file.read_bytes()))


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:a\nsize 3\n"
FILES: dict[str, tuple[Callable[[Path], Any], str]] = {
    "pointer.pth": (lambda file: file.write_bytes(POINTER), "this one is Git LFS's pointer to it"),
    "pointer.safetensors": (lambda file: file.write_bytes(POINTER), "this one is Git LFS's pointer to it"),
    "page.pth": (lambda file: file.write_bytes(b"<!DOCTYPE html><html>"), "a checkpoint: this one is a web page"),
    "packed.pt.gz": (packed, "unpacked: this one is packed by gzip"),
    "script.pt": (lambda file: torch.jit.script(network()).save(str(file)), "weights, or a module of Python: .*TorchScript"),
    "program.pt2": (lambda file: file.write_bytes(b"PK"), "weights, or a module of Python"),
    "other.onnx": (lambda file: file.write_bytes(b"\x08\x07"), "of another framework's arrays, a function of yours"),
    "list.pt": (lambda file: torch.save([network().state_dict()], file), "a checkpoint with tensors"),
}


@pytest.mark.filterwarnings("ignore:`torch.jit.script` is")
@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_no_checkpoint_says_what_it_is(tmp_path: Path, name: str) -> None:
    make, message = FILES[name]
    make(tmp_path / name)
    with pytest.raises(ga.InputError, match=f"`weights` .*{message}"):
        ga.load_classifier(network(), tmp_path / name)


@pytest.mark.parametrize("start", [b"<!", b"\x1f\x8b"])
def test_a_number_at_a_files_start_is_not_taken_for_text(tmp_path: Path, start: bytes) -> None:
    save_file(network().state_dict(), tmp_path / "net.safetensors")
    written = (tmp_path / "net.safetensors").read_bytes()
    end = 8 + int.from_bytes(written[:8], "little")
    length = int.from_bytes(start, "little")
    (tmp_path / "net.safetensors").write_bytes(length.to_bytes(8, "little") + written[8:end].ljust(length) + written[end:])
    ga.load_classifier(network(), tmp_path / "net.safetensors")


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("https://example.org/net.pth", "a file on this machine, or a name: fetch it first"),
        ("model.py:Net", r"written without \.py"),
        ("net.ckpt", "a file that exists"),
        ("net.pth.tar", "a file that exists"),
        ("LeNet-5", "did you mean 'lenet5'"),
    ],
)
def test_names_that_cannot_be_loaded_say_why(name: str, message: str) -> None:
    with pytest.raises(ga.InputError, match=f"`classifier` .*{message}"):
        ga.load_classifier(name)
