"""The fitting loop against a naive one, its schedule, its determinism, and what happens when it diverges."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.devices import seeded
from gradaudit.errors import InputError, TrainingError
from gradaudit.training.fitting import accuracy, fit, memory_format, set_rate
from gradaudit.training.recipe import Recipe

CPU = torch.device("cpu")
COUNT, CLASSES = 53, 4
GENERATOR = torch.Generator().manual_seed(0)
IMAGES = torch.rand(COUNT, 1, 5, 5, generator=GENERATOR)
LABELS = torch.randint(CLASSES, (COUNT,), generator=GENERATOR)
RECIPE = Recipe(network="linear", precision="fp32", epochs=3, batch_size=16, learning_rate=0.5, weight_decay=0.01)


def draw(indices):
    return IMAGES[indices], LABELS[indices]


def fitted(recipe=RECIPE, count=COUNT, **keywords):
    with seeded(recipe.seed):
        classifier = recipe.build((1, 5, 5), CLASSES)
        fit(classifier, draw, count, recipe, device=CPU, **keywords)
    return classifier


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


# Against a naive loop


def one_cycle(position, total, peak, warmup):
    """The rate at a step's middle: up from zero over the warmup, then down to zero."""
    return peak * np.interp(position + 0.5, [0, warmup * total, total], [0, 1, 0])


def naive_softmax_regression(recipe):
    """SGD with Nesterov momentum and weight decay on a softmax regression, in numpy and float64, one batch after another."""
    with seeded(recipe.seed):
        weight, bias = (p.detach().double().numpy().copy() for p in recipe.build((1, 5, 5), CLASSES).parameters())
        orders = [torch.randperm(COUNT).numpy() for _ in range(recipe.epochs)]
    steps = -(-COUNT // recipe.batch_size)
    batches = [part for order in orders for part in np.array_split(order, steps)]
    speed = [np.zeros_like(weight), np.zeros_like(bias)]
    losses = []
    for number, chosen in enumerate(batches):
        x, y = IMAGES[chosen].double().flatten(1).numpy(), LABELS[chosen].numpy()
        logits = x @ weight.T + bias
        p = np.exp(logits - logits.max(1, keepdims=True))
        p /= p.sum(1, keepdims=True)
        losses.append(-np.log(p[np.arange(len(y)), y]).mean())
        p[np.arange(len(y)), y] -= 1
        rate = one_cycle(number, len(batches), recipe.learning_rate, recipe.warmup)
        for place, (value, gradient) in enumerate([(weight, p.T @ x / len(y)), (bias, p.mean(0))]):
            gradient = gradient + recipe.weight_decay * value
            speed[place] = 0.9 * speed[place] + gradient
            value -= rate * (gradient + 0.9 * speed[place])
    return weight, bias, np.array(losses).reshape(recipe.epochs, steps).mean(1)


@pytest.mark.parametrize("changes", [{}, {"warmup": 0.0}, {"weight_decay": 0.0, "batch_size": 7}, {"seed": 5, "batch_size": 100}])
def test_a_linear_fit_is_the_naive_loop(changes):
    recipe, losses = RECIPE.with_(**changes), []
    classifier = fitted(recipe, after_epoch=lambda epoch, loss: losses.append(loss))
    weight, bias, expected = naive_softmax_regression(recipe)
    found = [parameter.detach().numpy() for parameter in classifier.parameters()]
    assert np.allclose(found[0], weight, rtol=0, atol=1e-5)
    assert np.allclose(found[1], bias, rtol=0, atol=1e-5)
    assert np.allclose(losses, expected, rtol=1e-5)


def test_adamw_is_torchs_over_the_same_batches_and_rates():
    recipe = RECIPE.with_(optimizer="adamw", learning_rate=0.01)
    with seeded(recipe.seed):
        classifier = recipe.build((1, 5, 5), CLASSES)
        optimizer = torch.optim.AdamW(classifier.parameters(), lr=1.0, weight_decay=recipe.weight_decay)
        for number in range(12):
            order = torch.randperm(COUNT).tensor_split(4) if number % 4 == 0 else order  # noqa: F821
            for group in optimizer.param_groups:
                group["lr"] = one_cycle(number, 12, recipe.learning_rate, recipe.warmup)
            optimizer.zero_grad()
            nn.functional.cross_entropy(classifier(IMAGES[order[number % 4]]), LABELS[order[number % 4]]).backward()
            optimizer.step()
    for found, expected in zip(fitted(recipe).parameters(), classifier.parameters(), strict=True):
        assert torch.allclose(found, expected, atol=1e-5)


@given(st.integers(1, 200), st.floats(0, 1, exclude_max=True))
def test_the_rate_is_one_cycle(total, warmup):
    recipe = Recipe(learning_rate=0.3, warmup=warmup)
    optimizer = torch.optim.SGD([torch.zeros(1)], lr=9.0)
    rates = []
    for step in range(total):
        set_rate(optimizer, recipe, step, total)
        rates.append(optimizer.param_groups[0]["lr"])
    assert np.allclose(rates, [one_cycle(step, total, 0.3, warmup) for step in range(total)], rtol=1e-9)
    assert all(0 < rate <= 0.3 for rate in rates)


# Batches


@pytest.mark.parametrize(("count", "batch_size"), [(53, 16), (5, 16), (33, 16), (17, 16), (16, 16), (4, 3), (7, 3), (1, 5)])
def test_every_image_comes_once_an_epoch_in_batches_of_equal_size(count, batch_size):
    seen = []

    def watching(indices):
        seen.append(indices.tolist())
        return draw(indices)

    with seeded(0):
        fit(RECIPE.build((1, 5, 5), CLASSES), watching, count, RECIPE.with_(batch_size=batch_size, epochs=2), device=CPU)
    half = len(seen) // 2
    epochs = [[index for part in seen[:half] for index in part], [index for part in seen[half:] for index in part]]
    assert [sorted(epoch) for epoch in epochs] == [list(range(count))] * 2
    sizes = {len(part) for part in seen}
    assert max(sizes) <= batch_size
    assert max(sizes) - min(sizes) <= 1
    if count > 1:
        assert min(sizes) > 1
    if count > 10:
        assert epochs[0] != epochs[1]


class Normed(nn.Sequential):
    """Batch norm over single numbers, which refuses a batch of one."""

    def __init__(self):
        super().__init__(nn.Flatten(), nn.Linear(25, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, CLASSES))


@pytest.mark.parametrize("count", range(2, 36))
def test_batch_norm_never_meets_a_batch_of_one(count):
    with seeded(0):
        fit(Normed(), draw, count, RECIPE.with_(epochs=1), device=CPU)


# Decided by the recipe


@pytest.mark.parametrize("network", ["linear", "mlp(width=8)", "convnet"])
def test_the_same_recipe_gives_the_same_weights_and_another_seed_others(network):
    with seeded(0):
        images, labels = torch.rand(20, 1, 16, 16), torch.randint(CLASSES, (20,))

    def trained(seed):
        recipe = RECIPE.with_(network=network, epochs=1, seed=seed, batch_size=8)
        with seeded(seed):
            classifier = recipe.build((1, 16, 16), CLASSES)
            fit(classifier, lambda indices: (images[indices], labels[indices]), 20, recipe, device=CPU)
        return classifier

    first, again, other = trained(0), trained(0), trained(1)
    assert same(first, again)
    assert not same(first, other)


def test_objective_and_precision_are_the_recipes():
    standard, adversarial, half = (
        fitted(RECIPE.with_(**changes)) for changes in ({}, {"objective": "adversarial(eps=0.5, steps=2)"}, {"precision": "bf16"})
    )
    assert not same(standard, adversarial)
    assert not same(standard, half)
    assert all(parameter.dtype == torch.float32 for parameter in half.parameters())
    for exact, rounded in zip(standard.parameters(), half.parameters(), strict=True):
        assert torch.allclose(exact, rounded, atol=0.03)


def test_after_epoch_counts_and_tells_a_loss_that_falls():
    calls = []
    classifier = fitted(RECIPE.with_(epochs=6, weight_decay=0), after_epoch=lambda epoch, loss: calls.append((epoch, loss)))
    assert [epoch for epoch, _ in calls] == [1, 2, 3, 4, 5, 6]
    assert calls[-1][1] < calls[0][1]
    assert all(parameter.device.type == "cpu" for parameter in classifier.parameters())


def test_it_trains_whatever_the_callers_gradient_mode():
    with torch.no_grad():
        classifier = fitted()
    assert same(classifier, fitted())


def test_convolutions_are_laid_out_channels_last_and_others_not():
    assert memory_format(nn.Sequential(nn.Conv2d(1, 1, 1))) == torch.channels_last
    assert memory_format(nn.Linear(1, 1)) == torch.contiguous_format
    recipe = RECIPE.with_(network="convnet", epochs=1)
    with seeded(0):
        classifier = recipe.build((1, 16, 16), CLASSES)
        images = torch.rand(8, 1, 16, 16)
        fit(classifier, lambda indices: (images[indices], LABELS[indices]), 8, recipe, device=CPU)
    kernels = [parameter for parameter in classifier.parameters() if parameter.ndim == 4 and parameter.shape[1] > 1]
    assert kernels
    assert all(kernel.is_contiguous(memory_format=torch.channels_last) for kernel in kernels)


# What goes wrong


def test_a_loss_that_diverges_names_the_learning_rate():
    epochs = []
    with pytest.raises(TrainingError, match=r"loss of epoch \d+ is (nan|inf): lower `learning_rate` \(=1e\+30\)"):
        fitted(RECIPE.with_(learning_rate=1e30, epochs=20), after_epoch=lambda epoch, loss: epochs.append(epoch))
    assert len(epochs) < 19


def test_an_objectives_bad_option_is_met_at_the_first_step():
    with pytest.raises(InputError, match=r"`eps` \(=-1\)"):
        fitted(RECIPE.with_(objective="adversarial(eps=-1)"))


# Accuracy


def test_accuracy_is_numpys_whatever_the_batch():
    classifier = fitted().train()
    classifier.append(nn.Dropout(0.9))  # which would spoil it in training mode
    with torch.no_grad():
        expected = float(np.mean(fitted().eval()(IMAGES).numpy().argmax(1) == LABELS.numpy()))
    for batch in (1, 7, 53, 512):
        assert accuracy(classifier, draw, COUNT, RECIPE, device=CPU, batch=batch) == expected
    assert accuracy(classifier, draw, 10, RECIPE, device=CPU) == float(
        np.mean(fitted().eval()(IMAGES[:10]).detach().numpy().argmax(1) == LABELS[:10].numpy())
    )
    assert not classifier.training
