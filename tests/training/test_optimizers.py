"""Optimizers by name: sgd and adamw are torch's, muon's step is the orthogonal factor, and it trains."""

import copy
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.devices import seeded
from gradaudit.errors import InputError
from gradaudit.training.fitting import fit, optimizer_of, set_rate
from gradaudit.training.optimizers.muon import muon, orthogonal
from gradaudit.training.recipe import Recipe

CPU = torch.device("cpu")


def drawn(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def layers(*shapes):
    """Weights of these shapes, with a gradient each."""
    weights = [nn.Parameter(drawn(*shape, seed=place)) for place, shape in enumerate(shapes)]
    for place, weight in enumerate(weights):
        weight.grad = drawn(*weight.shape, seed=100 + place)
    return weights


# By name


def own(weights, learning_rate, weight_decay, *, momentum=0.0):
    return torch.optim.SGD(weights, lr=learning_rate, weight_decay=weight_decay, momentum=momentum)


def test_a_users_own_optimizer_is_taken_with_its_options():
    recipe = Recipe(network="linear", optimizer=f"{__name__}:own(momentum=0.5)", learning_rate=0.3, weight_decay=0.02)
    found = optimizer_of(recipe.build((1, 2, 2), 2).parameters(), recipe).param_groups[0]
    assert (found["momentum"], found["lr"], found["weight_decay"]) == (0.5, 0.3, 0.02)


def test_recipes_of_before_are_written_as_before():
    assert Recipe().model_dump()["optimizer"] == "sgd"
    assert Recipe(optimizer="adamw").model_dump()["optimizer"] == "adamw"
    assert Recipe(optimizer={"name": "muon", "others": 2.0}).optimizer == "muon(others=2.0)"


# Muon


def factor(matrix):
    """U V^T of the singular value decomposition, times sqrt(max(1, rows / columns))."""
    u, _, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    return u @ v * math.sqrt(max(1, len(matrix) / matrix.shape[1]))


@given(st.integers(1, 12), st.integers(1, 12), st.floats(1e-3, 1e3), st.integers(0, 99))
def test_orthogonal_has_the_singular_vectors_and_singular_values_near_one(rows, columns, size, seed):
    matrix = drawn(rows, columns, seed=seed) * size
    found, scale = orthogonal(matrix).double(), math.sqrt(max(1, rows / columns))
    u, values, v = torch.linalg.svd(matrix.double(), full_matrices=False)
    inside = u.T @ found @ v.T / scale  # diagonal if and only if the singular vectors are the matrix's own
    large = values > 0.02 * values.norm()
    assert torch.allclose(inside, inside.diagonal().diag(), atol=1e-3)
    assert bool(((inside.diagonal() > 0.6) & (inside.diagonal() < 1.25))[large].all())


def test_a_well_conditioned_matrix_nearly_becomes_its_orthogonal_factor():
    for shape in ((6, 6), (40, 8), (8, 40)):
        matrix = factor(drawn(*shape)).float() + 0.1 * drawn(*shape, seed=1)
        found, expected = orthogonal(matrix).double(), factor(matrix)
        assert float((found - expected).norm() / expected.norm()) < 0.3
        assert float((found * expected).sum() / found.norm() / expected.norm()) > 0.98


def test_a_kernel_counts_as_the_matrix_of_its_rows_whatever_its_layout():
    kernel = drawn(8, 4, 3, 3)
    expected = orthogonal(kernel.flatten(1)).view_as(kernel)
    assert torch.allclose(orthogonal(kernel), expected, atol=1e-5)
    assert torch.allclose(orthogonal(kernel.to(memory_format=torch.channels_last)), expected, atol=1e-5)


def test_a_gradient_of_zero_moves_nothing():
    assert torch.equal(orthogonal(torch.zeros(3, 5)), torch.zeros(3, 5))


@pytest.mark.skipif(not hasattr(torch.optim, "Muon"), reason="this torch has no Muon to compare with")
def test_hidden_matrices_move_as_torchs_muon_moves_them():
    first, hidden, last = layers((6, 5), (20, 12), (3, 20))
    theirs = nn.Parameter(hidden.detach().clone())
    ours = muon([first, hidden, last], 0.05, 0.1, momentum=0.9)
    expected = torch.optim.Muon([theirs], lr=0.05, weight_decay=0.1, momentum=0.9)
    for step in range(5):
        hidden.grad = drawn(20, 12, seed=step)
        theirs.grad = hidden.grad.clone()
        ours.step()
        expected.step()
    assert torch.allclose(hidden, theirs, atol=5e-3)  # torch's multiplies in bf16; five steps go some 0.25 far
    assert not torch.allclose(hidden, drawn(20, 12, seed=1), atol=5e-2)


def test_the_first_and_the_last_matrix_and_all_vectors_move_as_sgd_moves_them():
    shapes = ((6, 2, 3, 3), (6,), (8, 6, 3, 3), (8,), (3, 8), (3,))
    weights = layers(*shapes)
    twins = [nn.Parameter(weight.detach().clone()) for weight in weights]
    ours = muon(weights, 0.1, 0.01, momentum=0.9, others=2.0)
    expected = torch.optim.SGD(twins, lr=0.2, momentum=0.9, nesterov=True, weight_decay=0.01)
    for step in range(3):
        for place, (weight, twin) in enumerate(zip(weights, twins, strict=True)):
            weight.grad = drawn(*weight.shape, seed=10 * step + place)
            twin.grad = weight.grad.clone()
        for group in ours.param_groups:
            group["lr"] = 0.1 * group["relative"]
        ours.step()
        expected.step()
    same = [torch.allclose(weight, twin, atol=1e-6) for weight, twin in zip(weights, twins, strict=True)]
    assert same == [True, True, False, True, True, True]


def test_the_others_rate_follows_the_schedule_at_its_own_height():
    recipe = Recipe(network="mlp(width=4)", optimizer="muon(others=3.0)", learning_rate=0.1, warmup=0.0)
    optimizer = optimizer_of(recipe.build((1, 2, 2), 2).parameters(), recipe)
    set_rate(optimizer, recipe, 4, 10)
    assert [group["lr"] for group in optimizer.param_groups] == pytest.approx([0.055, 0.165])


def test_constant_weights_are_no_layers():
    frozen = nn.Parameter(drawn(4, 4), requires_grad=False)
    groups = muon([frozen, *layers((4, 4), (5, 4), (2, 5))], 0.1, 0.0).param_groups
    assert [[tuple(weight.shape) for weight in group["params"]] for group in groups] == [[(5, 4)], [(4, 4), (2, 5)]]


@pytest.mark.parametrize(("option", "value"), [("momentum", 1.0), ("momentum", -0.1), ("others", 0)])
def test_a_bad_option_is_named(option, value):
    with pytest.raises(InputError, match=rf"^`{option}` \(={value}\)"):
        muon(layers((2, 2)), 0.1, 0.0, **{option: value})
    with pytest.raises(InputError, match=r"given options that muon has: momentum=0.95, others=1.0"):
        Recipe(optimizer="muon(nesterov=true)")


@pytest.mark.parametrize("optimizer", ["sgd", "adamw", "muon(others=2.0)"])
def test_a_convnet_learns_where_a_dot_is(optimizer):
    with seeded(0):
        labels = torch.randint(4, (192,))
        images = 0.3 * torch.rand(192, 1, 12, 12)
        images[torch.arange(192), 0, 3 * labels, 5] = 1.0
        rate = 0.01 if optimizer == "adamw" else 0.05
        recipe = Recipe(
            network="convnet(width=8, batch_norm=true)", optimizer=optimizer, learning_rate=rate, epochs=12, batch_size=32
        )
        classifier = recipe.build((1, 12, 12), 4)
        losses = []
        fit(
            classifier,
            lambda indices: (images[indices], labels[indices]),
            192,
            recipe,
            device=CPU,
            after_epoch=lambda epoch, loss: losses.append(loss),
        )
    assert losses[-1] < 0.1 < 0.8 < losses[0]


def test_a_training_with_muon_goes_on_from_where_it_was():
    recipe = Recipe(network="mlp(width=8)", optimizer="muon", learning_rate=0.05, epochs=4, batch_size=8, precision="fp32")
    images, labels = drawn(24, 1, 3, 3), torch.arange(24) % 3
    states = []

    def trained(**keywords):
        with seeded(0):
            classifier = recipe.build((1, 3, 3), 3)
            fit(classifier, lambda indices: (images[indices], labels[indices]), 24, recipe, device=CPU, **keywords)
        return classifier.state_dict()

    whole = trained(after_step=lambda run: states.append(copy.deepcopy(run.state())) if run.step == 5 else None)
    resumed = trained(start=states[0])
    assert all(torch.equal(resumed[name], whole[name]) for name in whole)
