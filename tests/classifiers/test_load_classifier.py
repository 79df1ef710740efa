from pathlib import Path

import pytest
import torch
from torch import nn

from gradaudit.classifiers import build_network, load_classifier
from gradaudit.errors import InputError

SHAPE = (1, 8, 8)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(build_network("lenet5", SHAPE, 3, seed=1).state_dict(), tmp_path / "net.pt")
    return tmp_path / "net.pt"


@pytest.mark.parametrize("spec", ["lenet5", {"name": "lenet5"}, "lenet5(activation=relu)"])
def test_a_name_and_weights_give_the_network_in_evaluation_mode(spec: object, weights: Path) -> None:
    classifier = load_classifier(spec, weights, input_shape=SHAPE, classes=3)
    images = torch.rand(2, *SHAPE)
    assert not classifier.training
    assert torch.equal(classifier(images), build_network("lenet5", SHAPE, 3, seed=1)(images))


def test_normalisation_goes_before_the_network(weights: Path) -> None:
    classifier = load_classifier("lenet5", weights, input_shape=SHAPE, classes=3, normalisation="0.5/0.25")
    images = torch.rand(2, *SHAPE)
    assert torch.equal(classifier(images), build_network("lenet5", SHAPE, 3, seed=1)((images - 0.5) / 0.25))


def test_a_module_is_returned_itself_in_evaluation_mode() -> None:
    network = nn.Sequential(nn.Flatten(), nn.Dropout())
    assert load_classifier(network) is network
    assert not network.training


def test_a_module_stays_where_it_is_unless_a_device_is_named() -> None:
    network = nn.Linear(2, 2, device="meta")
    assert load_classifier(network).weight.device.type == "meta"
    assert load_classifier(nn.Linear(2, 2), device="cpu").weight.device.type == "cpu"


def test_a_module_takes_weights_and_normalisation(weights: Path) -> None:
    network = build_network("lenet5", SHAPE, 3, seed=2)
    classifier = load_classifier(network, weights, normalisation="mnist")
    images = torch.rand(2, *SHAPE)
    assert torch.equal(classifier(images), build_network("lenet5", SHAPE, 3, seed=1)((images - 0.1307) / 0.3081))


def test_own_factory_needs_no_weights_but_takes_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_loaded.py").write_text(
        "from torch import nn\n\ndef net(input_shape, classes):\n    return nn.Linear(input_shape[2], classes)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    assert load_classifier("own_loaded:net", input_shape=(1, 1, 4), classes=3).weight.shape == (3, 4)
    expected = nn.Linear(4, 3)
    torch.save(expected.state_dict(), tmp_path / "own.pt")
    found = load_classifier("own_loaded:net", tmp_path / "own.pt", input_shape=(1, 1, 4), classes=3)
    assert torch.equal(found.weight, expected.weight)


def test_a_pickled_module_loads_alone_only_when_allowed(tmp_path: Path) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(4, 2)).half()
    torch.save(network, tmp_path / "net.pt")
    with pytest.raises(InputError, match=r"`classifier` .*allow_pickle=True"):
        load_classifier(tmp_path / "net.pt")
    found = load_classifier(tmp_path / "net.pt", allow_pickle=True)
    assert found[1].weight.dtype == torch.float32
    assert torch.equal(found[1].weight, network[1].weight.float())


@pytest.mark.parametrize("write", [str, Path])
def test_weights_alone_ask_for_their_network_and_guess_it(weights: Path, write: type) -> None:
    with pytest.raises(InputError, match=r'`classifier` .* weights only: load_classifier\("lenet5", weights=...\)'):
        load_classifier(write(weights), input_shape=SHAPE, classes=3)


@pytest.mark.parametrize(
    ("classifier", "options", "message"),
    [
        ("lenet6", {}, r"`classifier` \(='lenet6'\) must be the name of a network: .*did you mean 'lenet5'"),
        ("zoo:mnist", {}, r"`classifier` \(='zoo:mnist'\)"),
        ("lenet5", {}, r"`weights` \(=None\) must be a checkpoint with the weights of lenet5"),
        ("absent.safetensors", {}, r"`classifier` .* must be a file that exists"),
        ("runs/absent", {}, r"`classifier` .* must be a file that exists"),
        ("", {}, "`classifier`"),
        (3, {}, "`classifier`"),
        ("lenet5", {"input_shape": 28}, "`input_shape`"),
        ("lenet5", {"device": "tpu"}, "`device`"),
        ("lenet5", {"weights": "x.pt", "normalisation": "cifar10"}, "`normalisation` .* 1 channels"),
        ("c.safetensors", {"weights": "x.pt"}, "`weights` .* left out where the classifier is a file"),
    ],
)
def test_bad_input_is_named(classifier: object, options: dict[str, object], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_classifier(classifier, **options)
