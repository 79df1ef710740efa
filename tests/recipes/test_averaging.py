"""The moving average of the weights against the loop that defines it."""

import pytest
import torch
from torch import nn

from gradaudit.errors import InputError
from gradaudit.training import Recipe, measure_accuracy, train
from gradaudit.training.averaging import Average

CPU = torch.device("cpu")


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4), nn.Linear(4, 2))


def walk(model, average, steps):
    """Change the weights at random; the list of what they were."""
    history = []
    for _ in range(steps):
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.add_(torch.randn_like(parameter))
        model(torch.randn(6, 3))
        average.update()
        history.append({name: value.clone() for name, value in model.state_dict().items()})
    return history


@pytest.mark.parametrize("decay", [0.3, 0.9, 0.999])
def test_it_is_the_recursion_buffers_too(decay):
    model = network()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    average = Average(model, decay)
    history = walk(model, average, 30)
    with average.shown():
        for name, found in model.state_dict().items():
            if not found.is_floating_point():
                assert torch.equal(found, history[-1][name])
                continue
            expected = start[name].double()
            for step, now in enumerate(history):
                keep = min(decay, (1 + step) / (10 + step))
                expected = keep * expected + (1 - keep) * now[name].double()
            assert torch.allclose(found.double(), expected, atol=1e-5)
    assert all(torch.equal(value, history[-1][name]) for name, value in model.state_dict().items())


def test_the_weights_come_back_when_something_fails_inside():
    model = network()
    average = Average(model, 0.9)
    last = walk(model, average, 3)[-1]
    with pytest.raises(KeyError), average.shown():
        raise KeyError
    assert all(torch.equal(value, last[name]) for name, value in model.state_dict().items())
    average.settle()
    assert not torch.equal(model.state_dict()["0.weight"], last["0.weight"])


def test_it_goes_on_from_its_state():
    model, other = network(), network()
    average, copy = Average(model, 0.9), Average(other, 0.9)
    walk(model, average, 5)
    other.load_state_dict(model.state_dict())
    copy.load(**average.state())
    torch.manual_seed(1)
    walk(model, average, 2)
    torch.manual_seed(1)
    walk(other, copy, 2)
    assert all(torch.equal(*pair) for pair in zip(average.mean, copy.mean, strict=True))


def test_a_recipes_classifier_is_the_average_and_is_measured_as_such(small):
    recipe = Recipe(network="mlp(width=8)", epochs=3, batch_size=16)
    epochs = []
    averaged = train(recipe.with_(ema=0.95), small, device="cpu", test=small, on_epoch=epochs.append)
    plain = train(recipe, small, device="cpu")
    assert not any(torch.equal(*pair) for pair in zip(averaged.parameters(), plain.parameters(), strict=True))
    assert epochs[-1].accuracy == measure_accuracy(averaged, small, device="cpu")


def test_measuring_does_not_change_the_training(small):
    recipe = Recipe(network="convnet(width=4, batch_norm=true)", epochs=3, batch_size=16, ema=0.9)
    classifiers = [train(recipe, small, device="cpu", test=test) for test in (None, small)]
    states = [classifier.state_dict().values() for classifier in classifiers]
    assert all(torch.equal(*pair) for pair in zip(*states, strict=True))


@pytest.mark.parametrize("decay", [-0.1, 1.0, "much"])
def test_a_decay_out_of_range_is_named(decay):
    with pytest.raises(InputError, match="`ema`"):
        Recipe(ema=decay)
