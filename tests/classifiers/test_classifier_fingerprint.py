import copy

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.classifiers import build_network, classifier_fingerprint, normalised
from gradaudit.errors import InputError


class Stateless(nn.Module):
    def __init__(self, function: object) -> None:
        super().__init__()
        self.function = function

    def extra_repr(self) -> str:
        return f"{self.function}"  # with its address in memory


def mlp(activation: str = "relu", seed: int = 0) -> nn.Module:
    return build_network({"name": "mlp", "width": 3, "activation": activation}, (1, 2, 2), 2, seed=seed)


def test_equal_classifiers_have_equal_fingerprints_whatever_their_mode() -> None:
    classifier = mlp()
    expected = classifier_fingerprint(classifier)
    assert len(expected) == 64
    assert classifier_fingerprint(copy.deepcopy(classifier)) == expected
    assert classifier_fingerprint(mlp().eval().to(memory_format=torch.preserve_format)) == expected
    assert classifier_fingerprint(mlp().requires_grad_(False)) == expected


@pytest.mark.parametrize(
    "other",
    [
        mlp(seed=1),
        mlp("silu"),
        mlp("softplus"),
        mlp("softplus(beta=2)"),
        mlp("softplus(learnable=true)"),
        mlp().half(),
        normalised(mlp(), "mnist"),
        normalised(mlp(), "0.1307/0.3082"),
        nn.Sequential(mlp()),
        nn.Sequential(*list(mlp())[:-1]),
    ],
)
def test_what_decides_the_output_decides_the_fingerprint(other: nn.Module) -> None:
    assert classifier_fingerprint(other) != classifier_fingerprint(mlp())


@given(st.integers(0, 11), st.sampled_from([1e-6, -1.0]))
def test_every_weight_counts(index: int, change: float) -> None:
    classifier = mlp()
    before = classifier_fingerprint(classifier)
    with torch.no_grad():
        classifier[1].weight.view(-1)[index] += change
    assert classifier_fingerprint(classifier) != before


def test_buffers_outside_the_state_count() -> None:
    first, second = nn.Flatten(), nn.Flatten()
    first.register_buffer("scale", torch.ones(1), persistent=False)
    second.register_buffer("scale", torch.zeros(1), persistent=False)
    assert classifier_fingerprint(first) != classifier_fingerprint(second)


def test_addresses_in_memory_do_not_count() -> None:
    assert classifier_fingerprint(Stateless(object())) == classifier_fingerprint(Stateless(object()))


def test_a_function_is_refused() -> None:
    with pytest.raises(InputError, match=r"`classifier` .* must be an nn\.Module"):
        classifier_fingerprint(torch.sin)
