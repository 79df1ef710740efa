import textwrap
from pathlib import Path

import pytest
import torch
from torch import nn

from gradaudit.classifiers import NETWORKS, build_network, describe_networks
from gradaudit.errors import InputError
from gradaudit.registry import Spec, parse_spec

FACTORIES = """
    from torch import nn

    def fixed():
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    def shaped(input_shape, classes, width=5):
        channels, height, side = input_shape
        return nn.Sequential(nn.Flatten(), nn.Linear(channels * height * side, width), nn.Linear(width, classes))

    def unnamed(shape, count):
        return shaped(shape, count)

    class Net(nn.Linear):
        def __init__(self, features=784, width=10):
            super().__init__(features, width)

    instance = fixed()
    number = 3

    def needs_one(width):
        return None

    def makes_number():
        return 3
"""


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "own_factories.py").write_text(textwrap.dedent(FACTORIES))
    monkeypatch.syspath_prepend(str(tmp_path))
    return "own_factories"


def test_seed_decides_the_weights_and_leaves_the_callers_random_state() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    first, again, other = (build_network("mlp", (1, 4, 4), 3, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), again.parameters(), strict=True))
    assert not torch.equal(first[1].weight, other[1].weight)


def test_without_a_seed_the_callers_random_state_decides() -> None:
    with torch.random.fork_rng():
        torch.manual_seed(1)
        drawn = build_network("mlp", (1, 4, 4), 3)
    assert torch.equal(drawn[1].weight, build_network("mlp", (1, 4, 4), 3, seed=1)[1].weight)


def test_description_counts_the_parameters_of_what_is_built() -> None:
    described = {row.name: row for row in describe_networks((3, 32, 32), 7)}
    assert tuple(described) == NETWORKS.names()
    for name in ("linear", "convnet", "cnn_a"):
        network = build_network(name, (3, 32, 32), 7)
        assert described[name].parameters == sum(p.numel() for p in network.parameters())
    assert described["mlp"].options == {"activation": "relu", "width": 512, "depth": 2}


def test_description_says_where_images_are_too_small() -> None:
    described = {row.name: row.parameters for row in describe_networks((1, 4, 4), 2)}
    assert described["convnet"] is None
    assert described["linear"] == 34


@pytest.mark.parametrize("factory", ["fixed", "shaped", "unnamed", "instance"])
def test_own_factory_is_called_as_it_wants_to_be(own: str, factory: str) -> None:
    assert build_network(f"{own}:{factory}", (1, 28, 28), 10)(torch.rand(2, 1, 28, 28)).shape == (2, 10)


def test_own_factory_takes_options(own: str) -> None:
    network = build_network(f"{own}:shaped(width=3)", (1, 28, 28), 10)
    assert network[1].out_features == 3
    assert isinstance(build_network(f"{own}:Net(features=5)", (1, 28, 28), 10), nn.Linear)


@pytest.mark.parametrize(
    ("factory", "expected"),
    [
        ("absent", "must be importable"),
        ("number", "an nn.Module, or a function or class that makes one"),
        ("needs_one", r"\(input_shape, classes\); it needs width"),
        ("makes_number", "makes an nn.Module; it made a int"),
    ],
)
def test_bad_own_factory_is_named(own: str, factory: str, expected: str) -> None:
    with pytest.raises(InputError, match=f"`network` .*{expected}"):
        build_network(f"{own}:{factory}", (1, 28, 28), 10)


@pytest.mark.parametrize(
    ("network", "input_shape", "classes", "message"),
    [
        ("lenet6", (1, 28, 28), 10, "`network` .*did you mean 'lenet5'"),
        ("mlp", (28, 28), 10, "`input_shape` .* must be .channels, height, width"),
        ("mlp", (1, 0, 28), 10, "`input_shape`"),
        ("mlp", (1, 28.0, 28), 10, "`input_shape`"),
        ("mlp", 28, 10, "`input_shape`"),
        ("mlp", (1, 28, 28), 1, r"`classes` \(=1\) must be a whole number, 2 or more"),
        ("mlp", (1, 28, 28), "ten", "`classes`"),
        (3, (1, 28, 28), 10, "`network`"),
    ],
)
def test_bad_input_is_named(network: object, input_shape: object, classes: object, message: str) -> None:
    with pytest.raises(InputError, match=message):
        build_network(network, input_shape, classes)


@pytest.mark.parametrize(
    "value", [True, False, "true", "False", "none", None, "relu", "softplus(beta=2)", 0.5, {"name": "softplus"}]
)
def test_options_read_back_from_the_text_of_their_spec(value: object) -> None:
    spec = Spec("mlp", {"option": value})
    assert parse_spec("network", str(spec)) == spec


def test_true_and_false_are_read_as_a_command_line_writes_them() -> None:
    assert parse_spec("network", "convnet(batch_norm=false, other=true)").options == {"batch_norm": False, "other": True}
