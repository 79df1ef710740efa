import pickle
from pathlib import Path

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor, nn

from gradaudit.classifiers import build_network, load_classifier
from gradaudit.classifiers.checkpoints import WRAPPERS, closest, fitting_networks, mismatch, read_checkpoint
from gradaudit.errors import InputError

SHAPE = (1, 8, 8)


class Booby:
    """A pickle that writes a file when it is loaded."""

    def __init__(self, mark: Path) -> None:
        self.mark = mark

    def __reduce__(self) -> tuple[object, tuple[str, str]]:
        return open, (str(self.mark), "w")


@pytest.fixture
def network() -> nn.Module:
    return build_network("convnet(width=2, batch_norm=true)", SHAPE, 3, seed=0)


def loaded(path: Path, **options: object) -> nn.Module:
    return load_classifier("convnet(width=2, batch_norm=true)", path, input_shape=SHAPE, classes=3, **options)


def assert_same(found: nn.Module, expected: nn.Module) -> None:
    for name, value in expected.state_dict().items():
        assert torch.equal(found.state_dict()[name], value), name


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".th", ".model", ".bin", ".ckpt"])
def test_torch_files_of_any_suffix_are_read(network: nn.Module, tmp_path: Path, suffix: str) -> None:
    torch.save(network.state_dict(), tmp_path / f"net{suffix}")
    assert_same(loaded(tmp_path / f"net{suffix}"), network)


def test_plain_safetensors_are_read(network: nn.Module, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "net.safetensors")
    assert_same(loaded(tmp_path / "net.safetensors"), network)


@pytest.mark.parametrize("wrapper", WRAPPERS)
def test_wrappers_are_understood(network: nn.Module, tmp_path: Path, wrapper: str) -> None:
    torch.save({"epoch": 3, wrapper: network.state_dict(), "optimizer": {"lr": 0.1}}, tmp_path / "net.pt")
    assert_same(loaded(tmp_path / "net.pt"), network)


def test_wrappers_within_wrappers_are_understood(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": {"state_dict": network.state_dict()}}, tmp_path / "net.pt")
    assert_same(loaded(tmp_path / "net.pt"), network)


@given(st.lists(st.sampled_from(["module.", "_orig_mod.", "model.", "net.", "backbone.", "a.b."]), max_size=3))
def test_prefixes_come_off(prefixes: list[str]) -> None:
    expected = build_network("lenet5", SHAPE, 3, seed=0).state_dict()
    prefixed = {"".join(prefixes) + name: value for name, value in expected.items()}
    assert closest(prefixed, expected) == expected


def test_a_prefix_that_the_network_has_stays_on(tmp_path: Path) -> None:
    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.model = nn.Linear(2, 2)

    source, target = Wrapped(), Wrapped()
    torch.save(nn.DataParallel(source).state_dict(), tmp_path / "net.pt")
    load_classifier(target, tmp_path / "net.pt")
    assert_same(target, source)


def test_averaged_models_are_understood(network: nn.Module, tmp_path: Path) -> None:
    averaged = torch.optim.swa_utils.AveragedModel(network)
    torch.save(averaged.state_dict(), tmp_path / "net.pt")
    assert_same(loaded(tmp_path / "net.pt"), network)


def test_checkpoints_without_batch_counters_are_read(network: nn.Module, tmp_path: Path) -> None:
    state = {name: value for name, value in network.state_dict().items() if "num_batches" not in name}
    torch.save(state, tmp_path / "net.pt")
    assert_same(loaded(tmp_path / "net.pt"), network)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_become_float32(network: nn.Module, tmp_path: Path, dtype: torch.dtype) -> None:
    torch.save(network.to(dtype).state_dict(), tmp_path / "net.pt")
    found = loaded(tmp_path / "net.pt")
    assert {parameter.dtype for parameter in found.parameters()} == {torch.float32}
    assert_same(found, network.float())


@pytest.mark.parametrize("protocol", [2, 4])
@pytest.mark.parametrize("writer", ["torch", "pickle"])
def test_a_pickle_with_code_is_refused_and_runs_nothing(tmp_path: Path, writer: str, protocol: int) -> None:
    path, mark = tmp_path / "bad.pt", tmp_path / "mark"
    content = {"state_dict": {"weight": torch.ones(2)}, "trap": Booby(mark)}
    if writer == "torch":
        torch.save(content, path, pickle_protocol=protocol)
    else:
        path.write_bytes(pickle.dumps(Booby(mark), protocol=protocol))
    with pytest.raises(InputError, match=r"`weights` .* a pickle with .* in it.*opt in with allow_pickle=True"):
        loaded(path)
    assert not mark.exists()


def test_opting_in_reads_what_was_refused(network: nn.Module, tmp_path: Path) -> None:
    torch.save({"model": network, "path": tmp_path}, tmp_path / "net.pt")
    with pytest.raises(InputError, match="allow_pickle"):
        loaded(tmp_path / "net.pt")
    assert_same(loaded(tmp_path / "net.pt", allow_pickle=True), network)


def write(path: Path, content: object) -> None:
    path.write_bytes(content) if isinstance(content, bytes) else torch.save(content, path)


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"", "a readable checkpoint"),
        (b"hello, this is no checkpoint", "not written by torch.save"),
        ({"epoch": 3}, "a checkpoint with tensors"),
        ([torch.ones(2)], "a checkpoint with tensors"),
        (torch.ones(2), "a checkpoint with tensors"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, content: object, expected: str) -> None:
    write(tmp_path / "net.pt", content)
    with pytest.raises(InputError, match=f"`weights` .*{expected}"):
        read_checkpoint(tmp_path / "net.pt")


@pytest.mark.parametrize("suffix", [".pt", ".safetensors"])
def test_truncated_files_are_refused(network: nn.Module, tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"net{suffix}"
    torch.save(network.state_dict(), path) if suffix == ".pt" else save_file(network.state_dict(), path)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"`weights` .* must be a readable"):
        read_checkpoint(path)


@pytest.mark.parametrize("name", ["absent.pt", "absent.safetensors", ""])
def test_absent_files_and_folders_are_refused(tmp_path: Path, name: str) -> None:
    with pytest.raises(InputError, match=r"`weights` .* must be a file that exists"):
        loaded(tmp_path / name)


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_weights_that_are_not_finite_are_named(network: nn.Module, tmp_path: Path, value: float) -> None:
    state = network.state_dict()
    state["4.weight"][0, 0, 0, 0] = value
    torch.save(state, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"must be finite: `4\.weight` holds 1 NaN or infinite"):
        loaded(tmp_path / "net.pt")


def test_another_networks_checkpoint_says_what_differs_and_whose_it_is(tmp_path: Path) -> None:
    torch.save(build_network("lenet5", SHAPE, 3).state_dict(), tmp_path / "net.pt")
    with pytest.raises(InputError) as caught:
        load_classifier("convnet", tmp_path / "net.pt", input_shape=SHAPE, classes=3)
    for part in ("`weights`", "missing 0.weight", "unexpected conv1.weight", "and 4 more", "its tensors fit 'lenet5'"):
        assert part in str(caught.value)


def test_another_shape_asks_for_the_shape(tmp_path: Path) -> None:
    torch.save(build_network("lenet5", SHAPE, 3).state_dict(), tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"linear1.weight \(200, 256\) instead of \(200, 3136\).*Are `input_shape`"):
        load_classifier("lenet5", tmp_path / "net.pt", classes=3)


@pytest.mark.parametrize("name", ["lenet5", "convnet", "mlp", "linear", "cnn_a", "resnet20", "resnet4b"])
def test_every_network_recognises_its_own_tensors_alone(name: str) -> None:
    state = build_network(name, SHAPE, 3).state_dict()
    assert fitting_networks({f"module.{key}": value for key, value in state.items()}, SHAPE, 3) == [name]


def test_mismatch_is_empty_for_equal_shapes() -> None:
    state: dict[str, Tensor] = {"a": torch.ones(2), "b": torch.ones(3)}
    assert mismatch(state, state) == ""
    assert mismatch({"a": torch.ones(3)}, state) == "missing b; of another shape a (3,) instead of (2,)"
