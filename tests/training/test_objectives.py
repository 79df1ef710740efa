"""What every objective owes the fitting loop, and what each of them is."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradaudit.diffusion import Denoiser
from gradaudit.errors import InputError
from gradaudit.training.objectives.adversarial import adversarial
from gradaudit.training.objectives.standard import standard
from gradaudit.training.perturbations import pgd
from gradaudit.training.recipe import OBJECTIVES


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(144, 3))


def batch(count=6):
    generator = torch.Generator().manual_seed(1)
    return torch.rand(count, 1, 8, 8, generator=generator), torch.randint(3, (count,), generator=generator)


def towards(noisy, sigma, labels):
    """Denoised images whose scores are the images, brighter for later classes."""
    return noisy if labels is None else noisy * (1 + sigma.square() * (1 + labels))[:, None, None, None]


def bound(name):
    needed = {"denoiser": Denoiser(towards, classes=3)} if name == "score_alignment" else {}
    return OBJECTIVES.bind("objective", {"name": name, **needed})


@pytest.mark.parametrize("name", OBJECTIVES.names())
class TestEveryObjective:
    def test_the_loss_is_one_finite_number_whose_gradient_reaches_every_weight(self, name):
        model = network().train()
        loss = bound(name)(model, *batch())
        assert loss.shape == ()
        assert bool(loss.isfinite())
        loss.backward()
        assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())
        assert all(bool(parameter.grad.any()) for parameter in (model[0].weight, model[4].weight, model[4].bias))

    def test_the_mode_and_the_images_are_left_as_they_were(self, name):
        model = network().train()
        images, labels = batch()
        before = images.clone()
        bound(name)(model, images, labels)
        assert all(module.training for module in model.modules())
        assert torch.equal(images, before)
        assert not images.requires_grad

    def test_the_loss_is_decided_by_the_random_state(self, name):
        objective = bound(name)
        losses = []
        for _ in range(2):
            torch.manual_seed(5)
            losses.append(objective(network().train(), *batch()))
        assert torch.equal(*losses)

    def test_it_is_documented(self, name):
        assert OBJECTIVES.summary(name)


def test_standard_is_the_mean_negative_log_probability_of_the_label():
    images, labels = batch()
    model = network().eval()
    logits = model(images)
    by_hand = sum(logits[i].exp().sum().log() - logits[i, label] for i, label in enumerate(labels)) / len(labels)
    assert standard(model, images, labels).item() == pytest.approx(by_hand.item(), rel=1e-6)


@pytest.mark.parametrize(("norm", "eps"), [("l2", 0.5), ("linf", 0.05)])
def test_adversarial_is_the_loss_in_training_mode_at_pgds_images(norm, eps):
    images, labels = batch()
    model, twin = network().train(), network()
    torch.manual_seed(3)
    loss = adversarial(model, images, labels, norm=norm, eps=eps, steps=3)
    torch.manual_seed(3)
    moved = pgd(twin, images, labels, norm=norm, eps=eps, steps=3)
    assert loss.item() == pytest.approx(F.cross_entropy(twin.train()(moved), labels).item(), rel=1e-6)
    assert loss > standard(network().train(), images, labels)


def test_adversarial_with_no_radius_is_standard():
    assert torch.equal(adversarial(network(), *batch(), eps=0), standard(network(), *batch()))


@pytest.mark.parametrize(("option", "value"), [("norm", "l3"), ("eps", -1), ("steps", 0), ("step_size", -1)])
def test_an_option_out_of_range_is_named(option, value):
    with pytest.raises(InputError, match=rf"`{option}`"):
        adversarial(network(), *batch(), **{option: value})
