import errno
import json
import os
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from gradaudit.classifiers import build_network, classifier_metadata, load_classifier, normalised, save_classifier
from gradaudit.errors import InputError, StoreError

SHAPE = (3, 8, 8)
PLAIN = {"network": "convnet(width=2)", "input_shape": SHAPE, "classes": 4}


@pytest.fixture
def network() -> nn.Module:
    return build_network("convnet(width=2)", SHAPE, 4, seed=0).eval()


@pytest.mark.parametrize("normalisation", ["none", "cifar10", ((0.1, 0.2, 0.3), (0.7, 0.8, 0.9))])
def test_a_saved_classifier_loads_alone_and_gives_the_same_logits(
    network: nn.Module, tmp_path: Path, normalisation: object
) -> None:
    classifier = normalised(network, normalisation)
    path = save_classifier(tmp_path / "c.safetensors", classifier, normalisation=normalisation, **PLAIN)
    images = torch.rand(2, *SHAPE)
    found = load_classifier(path)
    assert not found.training
    assert torch.equal(found(images), classifier(images))
    assert torch.equal(load_classifier(str(path))(images), classifier(images))


@pytest.mark.parametrize(
    "spec",
    ["mlp(width=4, activation='softplus(beta=10)')", {"name": "mlp", "width": 4, "activation": {"name": "softplus", "beta": 3}}],
)
def test_options_survive(tmp_path: Path, spec: object) -> None:
    classifier = build_network(spec, SHAPE, 4)
    path = save_classifier(tmp_path / "c.safetensors", classifier, network=spec, input_shape=SHAPE, classes=4)
    images = torch.rand(2, *SHAPE)
    assert torch.equal(load_classifier(path)(images), classifier(images))


def test_metadata_come_back(network: nn.Module, tmp_path: Path) -> None:
    metadata = {"recipe": {"epochs": 5}, "accuracy": 0.25, "versions": {"torch": "2"}, "names": ["é", None]}
    path = save_classifier(
        tmp_path / "c.safetensors", normalised(network, "cifar10"), normalisation="cifar10", metadata=metadata, **PLAIN
    )
    assert classifier_metadata(path) == {
        "format": 1,
        "network": "convnet(width=2)",
        "input_shape": [3, 8, 8],
        "classes": 4,
        "normalisation": {"mean": [0.4914, 0.4822, 0.4465], "std": [0.2470, 0.2435, 0.2616]},
        "metadata": metadata,
    }
    with safe_open(path, framework="pt") as file:
        assert set(file.keys()) == set(network.state_dict())


def test_the_same_classifier_gives_the_same_bytes(network: nn.Module, tmp_path: Path) -> None:
    first = save_classifier(tmp_path / "a.safetensors", network, metadata={"a": 1, "b": 2}, **PLAIN)
    second = save_classifier(tmp_path / "b.safetensors", network, metadata={"b": 2, "a": 1}, **PLAIN)
    assert first.read_bytes() == second.read_bytes()


def test_a_compiled_or_wrapped_network_is_saved_under_its_own_names(network: nn.Module, tmp_path: Path) -> None:
    path = save_classifier(tmp_path / "c.safetensors", nn.DataParallel(network), **PLAIN)
    assert torch.equal(load_classifier(path)[0].weight, network[0].weight)


def test_own_network_is_loaded_only_by_its_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_saved.py").write_text("from torch import nn\ndef net():\n    return nn.Linear(2, 2)\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    classifier = normalised(nn.Linear(2, 2), "mnist")
    path = save_classifier(
        tmp_path / "c.safetensors", classifier, network="own_saved:net", input_shape=(1, 1, 2), classes=2, normalisation="mnist"
    )
    with pytest.raises(InputError, match=r'`classifier` .* load_classifier\("own_saved:net", weights=...\)'):
        load_classifier(path)
    images = torch.rand(2, 1, 1, 2)
    assert torch.equal(load_classifier("own_saved:net", path)(images), classifier(images))  # the file's normalisation too


def test_tied_weights_are_saved(tmp_path: Path) -> None:
    network = build_network("mlp(width=4, depth=2)", (1, 2, 2), 4)
    network[3].weight = network[1].weight
    path = save_classifier(tmp_path / "c.safetensors", network, network="mlp(width=4, depth=2)", input_shape=(1, 2, 2), classes=4)
    images = torch.rand(2, 1, 2, 2)
    assert torch.equal(load_classifier(path)(images), network(images))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"network": "lenet5"}, r"`network` \(='lenet5'\) must be the spec of the classifier that is saved: missing"),
        ({"network": "convnet"}, "`network` .* of another shape"),
        ({"classes": 5}, "`network` .* of another shape"),
        ({"input_shape": (8, 8)}, "`input_shape`"),
        ({"normalisation": "cifar10"}, "`normalisation` .* must be none, as in the classifier"),
        ({"normalisation": "mnist"}, "`normalisation` .* 3 channels"),
        ({"metadata": {"accuracy": float("nan")}}, "`metadata` .* must be JSON values"),
        ({"metadata": {"tensor": torch.ones(1)}}, "`metadata` .* must be JSON values"),
    ],
)
def test_what_could_not_be_loaded_again_is_not_saved(
    network: nn.Module, tmp_path: Path, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        save_classifier(tmp_path / "c.safetensors", network, **{**PLAIN, **changes})
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("given", ["none", "imagenet"])
def test_another_normalisation_than_the_classifiers_is_refused(network: nn.Module, tmp_path: Path, given: str) -> None:
    with pytest.raises(InputError, match=r"`normalisation` .* must be the one inside the classifier"):
        save_classifier(tmp_path / "c.safetensors", normalised(network, "cifar10"), normalisation=given, **PLAIN)


def test_weights_that_are_not_finite_are_refused(network: nn.Module, tmp_path: Path) -> None:
    with torch.no_grad():
        network[0].bias[0] = float("nan")
    with pytest.raises(InputError, match=r"`classifier` .* `0.bias` holds 1 NaN"):
        save_classifier(tmp_path / "c.safetensors", network, **PLAIN)


def test_the_name_must_say_what_it_is(network: nn.Module, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"`path` .* ends in .safetensors"):
        save_classifier(tmp_path / "c.pt", network, **PLAIN)


def test_a_full_disk_leaves_the_old_file(network: nn.Module, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = save_classifier(tmp_path / "c.safetensors", network, **PLAIN)
    before = path.read_bytes()

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="No space left"):
        save_classifier(path, build_network("convnet(width=2)", SHAPE, 4, seed=9), **PLAIN)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_a_file_of_somebody_else_has_no_metadata(network: nn.Module, tmp_path: Path) -> None:
    save_file(network.state_dict(), tmp_path / "c.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"`path` .* that `save_classifier` wrote"):
        classifier_metadata(tmp_path / "c.safetensors")


@pytest.mark.parametrize("header", [{"format": 2}, {"format": 1}, [], "{"])
def test_a_header_of_another_format_is_refused(network: nn.Module, tmp_path: Path, header: object) -> None:
    text = header if isinstance(header, str) else json.dumps(header)
    save_file(network.state_dict(), tmp_path / "c.safetensors", {"gradaudit": text})
    with pytest.raises(InputError, match=r"`classifier` .*(format 1|readable)"):
        load_classifier(tmp_path / "c.safetensors")
