"""Checkpoints as trainings leave them: prefixes, a loss's weights, metadata; and pickles that would run code."""

import argparse
import builtins
import contextlib
import datetime
import functools
import io
import os
import pathlib
import pickle
import subprocess
import uuid
import zipfile
from collections import Counter, OrderedDict, defaultdict, deque, namedtuple
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit.classifiers import build_network, load_classifier
from gradaudit.errors import InputError

SHAPE = (1, 8, 8)
SPEC = "convnet(width=2, batch_norm=true)"
State = dict[str, torch.Tensor]


@pytest.fixture(name="state")
def state_fixture() -> State:
    return dict(build_network(SPEC, SHAPE, 3, seed=0).state_dict())


def loaded(path: Path, **options: Any) -> nn.Module:
    return load_classifier(SPEC, path, input_shape=SHAPE, classes=3, **options)


def check(path: Path, state: State) -> None:
    found = loaded(path).state_dict()
    assert all(torch.equal(found[name], value) for name, value in state.items())


def prefixed(prefix: str, state: State) -> State:
    return {prefix + name: value for name, value in state.items()}


@pytest.mark.parametrize("prefix", ["net.", "backbone.", "model.net.", "module.model.", "_orig_mod.", "student.encoder.body."])
def test_any_prefix_comes_off(state: State, tmp_path: Path, prefix: str) -> None:
    torch.save({"state_dict": prefixed(prefix, state)}, tmp_path / "net.ckpt")
    check(tmp_path / "net.ckpt", state)


@pytest.mark.parametrize("prefix", ["", "net."])
def test_tensors_of_something_else_are_named_and_left(state: State, tmp_path: Path, prefix: str) -> None:
    others = {"criterion.weight": torch.ones(3), "val_acc.total": torch.ones(()), f"{prefix}loss.weight": torch.ones(3)}
    torch.save(prefixed(prefix, state) | others, tmp_path / "net.pt")
    message = f"3 of the tensors in .*net.pt are of no part of the network .*: criterion.weight, {prefix}loss.weight, val_acc.total"
    with pytest.warns(UserWarning, match=message):
        check(tmp_path / "net.pt", state)


@pytest.mark.parametrize("name", ["0.scale", "net.0.scale", "99.weight"])
def test_tensors_that_may_be_the_networks_own_are_refused(state: State, tmp_path: Path, name: str) -> None:
    prefix = "net." if name.startswith("net.") else ""
    torch.save(prefixed(prefix, state) | {name: torch.ones(3)}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=f"a checkpoint of this network: unexpected {name.removeprefix('net.')}"):
        loaded(tmp_path / "net.pt")


def test_two_networks_in_one_file_are_refused_unless_they_are_the_same(state: State, tmp_path: Path) -> None:
    other = {name: value + 1 for name, value in state.items()}
    torch.save(prefixed("student.", state) | prefixed("teacher.", other), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"different weights fit under 'student\.' and 'teacher\.'; keep those that are meant"):
        loaded(tmp_path / "net.pt")
    # As MadryLab's package writes them.
    torch.save({"model": prefixed("module.model.", state) | prefixed("module.attacker.model.", state)}, tmp_path / "net.pt")
    with pytest.warns(UserWarning, match="module.attacker.model"):
        check(tmp_path / "net.pt", state)


def test_the_networks_own_names_go_before_a_prefix(state: State, tmp_path: Path) -> None:
    torch.save(state | prefixed("ema.", {name: value + 1 for name, value in state.items()}), tmp_path / "net.pt")
    with pytest.warns(UserWarning, match="ema."):
        check(tmp_path / "net.pt", state)


def test_a_missing_tensor_under_a_prefix_is_the_only_one_named(state: State, tmp_path: Path) -> None:
    absent = next(iter(state))
    torch.save(prefixed("net.", {name: value for name, value in state.items() if name != absent}), tmp_path / "net.pt")
    with pytest.raises(InputError, match=f"a checkpoint of this network: missing {absent}$"):
        loaded(tmp_path / "net.pt")


@pytest.mark.parametrize("wrapper", ["weights", "params", "network_state", "classifier"])
def test_the_only_tensors_of_a_checkpoint_are_found_under_any_name(state: State, tmp_path: Path, wrapper: str) -> None:
    optimizer = torch.optim.Adam(build_network(SPEC, SHAPE, 3).parameters()).state_dict()
    torch.save({"epoch": 3, "optimizer": optimizer, wrapper: state}, tmp_path / "net.pth.tar")
    check(tmp_path / "net.pth.tar", state)


class Colour(Enum):
    RED = 1


@dataclass
class Settings:
    width: int = 3


class Config(dict[str, Any]):
    """As libraries of settings have them."""


class Slotted:
    __slots__ = ("value",)

    def __init__(self) -> None:
        self.value = 3


class Cursed:
    """Has all the methods that a pickle could call."""

    def __getstate__(self) -> dict[str, int]:
        return {"a": 1}

    def __setstate__(self, state: Any) -> None:
        raise AssertionError("ran")


Pair = namedtuple("Pair", "one two")
METADATA: dict[str, Any] = {
    "numpy scalar": np.float64(0.9),
    "numpy array": np.arange(3),
    "array of text": np.array(["a", "b"]),
    "namespace": argparse.Namespace(lr=0.1, nested=argparse.Namespace(path=Path("x"))),
    "simple namespace": SimpleNamespace(a=1),
    "path": pathlib.PurePosixPath("a/b"),
    "datetime": datetime.datetime(2026, 1, 1, tzinfo=datetime.UTC),
    "date": datetime.date(2026, 1, 1),
    "timedelta": datetime.timedelta(seconds=3),
    "defaultdict": defaultdict(list, {"a": [1]}),
    "ordered": OrderedDict(a=Counter("aab")),
    "deque": deque([1, 2], maxlen=5),
    "set": {1, 2},
    "frozen set": frozenset({"a"}),
    "fraction": Fraction(1, 3),
    "complex": 1 + 2j,
    "uuid": uuid.UUID(int=3),
    "enum": Colour.RED,
    "named tuple": Pair(1, 2),
    "dataclass": Settings(),
    "a dictionary's kin": Config(a=1, b=Config(c=2)),
    "slots": Slotted(),
    "own state": Cursed(),
    "a class": Settings,
    "a function": torch.nn.functional.relu,
    "partial": functools.partial(Settings, width=3),
    "dtype": np.dtype("float32"),
    "generator": np.random.default_rng(0),
    "bytes": b"abc",
    "long": 2**80,
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("name", METADATA)
def test_metadata_are_no_reason_to_unpickle(state: State, tmp_path: Path, name: str, legacy: bool) -> None:
    content = {"args": METADATA[name], "state_dict": state, "callbacks": {"inner": [METADATA[name], {"deeper": METADATA[name]}]}}
    torch.save(content, tmp_path / "net.pt", _use_new_zipfile_serialization=not legacy)
    check(tmp_path / "net.pt", state)


def test_all_metadata_at_once_and_weights_in_a_defaultdict(state: State, tmp_path: Path) -> None:
    torch.save({"about": METADATA, "state_dict": defaultdict(list, state)}, tmp_path / "net.pt")
    check(tmp_path / "net.pt", state)


def test_a_whole_module_still_asks_for_trust(tmp_path: Path) -> None:
    network = build_network(SPEC, SHAPE, 3, seed=0)
    for content in (network, {"model": network, "ema": network.state_dict()}):
        torch.save(content, tmp_path / "net.pt")
        with pytest.raises(InputError, match=r"a pickle with `torch.*Sequential` in it.*allow_pickle=True"):
            loaded(tmp_path / "net.pt")


class Call:
    """A pickle that calls."""

    def __init__(self, function: Callable[..., Any], *arguments: Any) -> None:
        self.call = function, arguments

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return self.call


class Writes:
    """Writes a file whenever it is made or gets a state."""

    def __init__(self, mark: str = "") -> None:
        self.mark = mark
        if getattr(builtins, "armed", False):
            Path(mark).touch()

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.mark,), {"mark": self.mark}

    def __setstate__(self, state: dict[str, str]) -> None:
        Path(state["mark"]).touch()


TRAPS: dict[str, Callable[[Path], Any]] = {
    "os.system": lambda mark: Call(os.system, f"touch {mark}"),
    "eval": lambda mark: Call(eval, f"open({str(mark)!r}, 'w')"),
    "exec": lambda mark: Call(exec, f"open({str(mark)!r}, 'w')"),
    "open": lambda mark: Call(open, str(mark), "w"),
    "mkdir": lambda mark: Call(os.mkdir, str(mark)),
    "getattr": lambda mark: Call(getattr, Path, "touch"),
    "Popen": lambda mark: Call(subprocess.Popen, ["touch", str(mark)]),
    "import": lambda mark: Call(__import__, "antigravity"),
    "a method": lambda mark: Call(Path.touch, mark),
    "partial": lambda mark: Call(functools.partial, os.system, f"touch {mark}"),
    "map": lambda mark: Call(list, Call(map, os.system, [f"touch {mark}"])),
    "torch.load": lambda mark: Call(torch.load, str(mark.with_name("other.pt"))),
    "its own class": lambda mark: Writes(str(mark)),
    "numpy.load": lambda mark: Call(np.save, str(mark), np.zeros(1)),
}


@pytest.mark.parametrize("legacy", [False, True])
@pytest.mark.parametrize("depth", [0, 3])
@pytest.mark.parametrize("name", TRAPS)
def test_whatever_a_pickle_would_call_is_not_called(
    state: State, tmp_path: Path, name: str, depth: int, legacy: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = tmp_path / "mark"
    trap = TRAPS[name](mark)
    for _ in range(depth):
        trap = {"args": argparse.Namespace(inner=[trap])}
    torch.save({"state_dict": state, "args": trap}, tmp_path / "net.pt", _use_new_zipfile_serialization=not legacy)
    monkeypatch.setattr(builtins, "armed", True, raising=False)
    with contextlib.suppress(InputError):  # some are refused, as below
        check(tmp_path / "net.pt", state)
    assert not [*tmp_path.glob("mark*")]


@pytest.mark.parametrize("name", ["os.system", "eval", "exec", "open", "getattr", "Popen", "import", "partial"])
def test_what_only_code_needs_is_refused_by_name(state: State, tmp_path: Path, name: str) -> None:
    torch.save({"state_dict": state, "args": TRAPS[name](tmp_path / "mark")}, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"a pickle with `?\w.* in it, and loading it could run any code"):
        loaded(tmp_path / "net.pt")


@pytest.mark.parametrize("name", ["_io open", "io open", "_posixsubprocess fork_exec", "_pickle loads"])
def test_the_private_name_of_what_only_code_needs_is_refused_too(state: State, tmp_path: Path, name: str) -> None:
    """Which of its names `open` is written by depends on the Python that wrote the file."""

    content = io.BytesIO()
    torch.save({"state_dict": state, "args": Call(len, "w")}, content)
    module, function = name.split()
    packed, unpacked = zipfile.ZipFile(content), tmp_path / "net.pt"
    with zipfile.ZipFile(unpacked, "w", zipfile.ZIP_STORED) as archive:
        for member in packed.namelist():
            found = packed.read(member)
            archive.writestr(member, found.replace(b"c__builtin__\nlen\n", f"c{module}\n{function}\n".encode()))
    with pytest.raises(InputError, match=f"a pickle with `{module}.{function}` in it, and loading it could run any code"):
        loaded(unpacked)


def test_a_trap_does_run_where_pickles_are_trusted(tmp_path: Path) -> None:
    torch.save({"args": TRAPS["mkdir"](tmp_path / "mark")}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="a checkpoint with tensors"):
        loaded(tmp_path / "net.pt", allow_pickle=True)
    assert (tmp_path / "mark").exists()


def test_reading_leaves_pytorchs_own_reader_as_it_was(state: State, tmp_path: Path) -> None:
    torch.save({"state_dict": state, "args": argparse.Namespace(a=1)}, tmp_path / "net.pt")
    before = set(torch.serialization.get_safe_globals())
    check(tmp_path / "net.pt", state)
    assert set(torch.serialization.get_safe_globals()) == before
    with pytest.raises(pickle.UnpicklingError, match="Namespace"):
        torch.load(tmp_path / "net.pt", weights_only=True)
