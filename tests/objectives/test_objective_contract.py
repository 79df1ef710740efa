"""What every registered objective owes its users; a new one is in here by its name alone."""

import itertools

import pytest
import torch
from torch import nn

from gradaudit.diffusion import Denoiser
from gradaudit.noise import generators, normal
from gradaudit.registry import options_of
from gradaudit.training.objectives.standard import standard
from gradaudit.training.perturbations import pgd
from gradaudit.training.recipe import OBJECTIVES

CLASSES = 3
FAST = {"steps": 2, "eps": 0.2, "std": 0.3, "strength": 0.7, "denoiser": Denoiser(lambda *given: towards(*given), classes=CLASSES)}


def towards(noisy, sigma, labels):
    """Denoised images whose scores are a pattern of their class, or for no class nothing."""
    if labels is None:
        return noisy
    places = torch.linspace(0, 6, noisy[0].numel(), dtype=noisy.dtype).reshape(noisy.shape[1:])
    return noisy + sigma.square()[:, None, None, None] * torch.sin(places * (1 + labels[:, None, None, None]))


def options(name, **changes):
    has = options_of(OBJECTIVES.function("objective", name))
    return {key: value for key, value in (FAST | changes).items() if key in has}


def bound(name, **changes):
    return OBJECTIVES.bind("objective", {"name": name, **options(name, **changes)})


def network(channels=1, dtype=torch.float32):
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 4, 3, padding=1), nn.SiLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(64, CLASSES)]
    return nn.Sequential(*layers).to(dtype)


def batch(count=6, channels=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(count)
    return torch.rand(count, channels, 8, 8, generator=generator, dtype=dtype), torch.arange(count) % CLASSES


def gradients(loss, model):
    return torch.autograd.grad(loss, tuple(model.parameters()))


@pytest.fixture(name="own_noise")
def own_noise_fixture(monkeypatch):
    """Gaussian noise that is an image's own, so that a split into batches does not change it."""
    monkeypatch.setattr(torch, "randn_like", lambda images: normal(generators(images, 0), images).to(images.dtype))


@pytest.mark.parametrize("name", OBJECTIVES.names())
class TestEveryObjective:
    @pytest.mark.parametrize(
        ("channels", "dtype", "count"), list(itertools.product((1, 3), (torch.float32, torch.float64), (1, 5)))
    )
    def test_grey_and_colour_single_and_double_one_and_many(self, name, channels, dtype, count):
        model = network(channels, dtype)
        loss = bound(name)(model, *batch(count, channels, dtype))
        assert loss.shape == ()
        assert loss.dtype == dtype
        assert bool(loss.isfinite())
        for gradient, parameter in zip(gradients(loss, model), model.parameters(), strict=True):
            assert gradient.dtype == dtype
            assert bool(gradient.isfinite().all())
            assert bool(gradient.any()), parameter.shape

    def test_a_batchs_loss_is_the_mean_over_its_images_whatever_the_split(self, name, own_noise):
        objective = bound(name, random_start=False)
        model, (images, labels) = network(dtype=torch.float64), batch(7, dtype=torch.float64)
        together = objective(model, images, labels)
        for sizes in ([1] * 7, [3, 4], [6, 1]):
            parts = [objective(model, *part) for part in zip(images.split(sizes), labels.split(sizes), strict=True)]
            mean = sum(size * part for size, part in zip(sizes, parts, strict=True)) / 7
            assert mean.item() == pytest.approx(together.item(), rel=1e-9)
            for one, other in zip(gradients(mean, model), gradients(together, model), strict=True):
                assert torch.allclose(one, other, rtol=1e-6, atol=1e-10)
            together = objective(model, images, labels)  # its graph is used up

    @pytest.mark.parametrize("zero", ["eps", "strength", "std", "beta"])
    def test_nothing_asked_for_is_the_standard_objective(self, name, zero):
        if zero not in options_of(OBJECTIVES.function("objective", name)):
            pytest.skip(f"{name} has no {zero}")
        model, (images, labels) = network(), batch()
        loss = OBJECTIVES.bind("objective", {"name": name, **options(name), zero: 0})(model, images, labels)
        expected = standard(model, images, labels)
        assert torch.equal(loss, expected)
        assert all(torch.equal(*pair) for pair in zip(gradients(loss, model), gradients(expected, model), strict=True))

    def test_modes_flags_gradients_and_images_are_left_as_they_were(self, name):
        model, (images, labels) = network().train(), batch()
        model[1].eval()
        model[0].bias.requires_grad_(False)
        model[4].bias.grad = torch.ones(CLASSES)
        before = images.clone()
        bound(name)(model, images, labels)
        assert [module.training for module in model] == [True, False, True, True, True]
        assert [parameter.requires_grad for parameter in model.parameters()] == [True, False, True, True]
        assert [parameter.grad is None for parameter in model.parameters()] == [True, True, True, False]
        assert torch.equal(model[4].bias.grad, torch.ones(CLASSES))
        assert torch.equal(images, before)
        assert not images.requires_grad
        assert images.grad is None

    def test_batch_norm_and_dropout_are_in_training_mode_for_the_loss(self, name):
        torch.manual_seed(0)
        model = nn.Sequential(nn.Flatten(), nn.Linear(64, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, CLASSES)).train()
        bound(name)(model, *batch()).backward()
        assert int(model[2].num_batches_tracked) >= 1
        assert bool(model[2].running_mean.any())
        assert all(bool(parameter.grad.isfinite().all()) for parameter in model.parameters())

    def test_half_precision_agrees_and_every_weight_has_its_gradient(self, name):
        """Among others, autocast's cache must not keep a weight that an inner loop has cast without its gradient."""
        model, (images, labels) = network(), batch(16)
        losses, found = [], []
        for half in (False, True):
            torch.manual_seed(1)
            with torch.autocast("cpu", torch.bfloat16, enabled=half):
                loss = bound(name)(model, images, labels)
            losses.append(loss)
            found.append(torch.cat([gradient.flatten() for gradient in gradients(loss, model)]))
        assert losses[1].dtype == torch.float32
        assert losses[1].item() == pytest.approx(losses[0].item(), rel=0.03)
        assert float(torch.cosine_similarity(*found, dim=0)) > 0.99

    def test_channels_last_changes_nothing(self, name, own_noise):
        model, (images, labels) = network(3, torch.float64), batch(4, 3, torch.float64)
        expected = bound(name, random_start=False)(model, images, labels)
        last = model.to(memory_format=torch.channels_last), images.to(memory_format=torch.channels_last)
        assert bound(name, random_start=False)(*last, labels).item() == pytest.approx(expected.item(), rel=1e-9)


@pytest.mark.parametrize("classes", [1, 2])
def test_one_class_of_data_is_no_special_case(classes):
    model, (images, labels) = network(), batch()
    for name in OBJECTIVES.names():
        assert bool(bound(name)(model, images, labels % classes).isfinite())


def test_a_constant_classifier_is_no_special_case():
    class Constant(nn.Module):
        def __init__(self):
            super().__init__()
            self.logits = nn.Parameter(torch.zeros(CLASSES))

        def forward(self, images):
            return self.logits + 0 * images.mean(dim=(1, 2, 3))[:, None]

    model, (images, labels) = Constant(), batch()
    for name in OBJECTIVES.names():
        loss = bound(name)(model, images, labels)
        assert loss.item() == pytest.approx(torch.tensor(CLASSES).log().item())


def test_a_huge_radius_is_the_whole_box():
    model, (images, labels) = network(), batch()
    moved = pgd(model, images, labels, norm="l2", eps=1e6, steps=3)
    assert bool(((moved >= 0) & (moved <= 1)).all())
    assert bool(bound("adversarial", norm="l2", eps=1e6)(model, images, labels).isfinite())
    assert bool(bound("trades", norm="l2", eps=1e6)(model, images, labels).isfinite())
