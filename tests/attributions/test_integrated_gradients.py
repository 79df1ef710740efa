"""Integrated gradients: completeness, a closed form, and Captum's."""

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from gradaudit.attributions.captum import captum
from gradaudit.attributions.integrated_gradients import integrated_gradients
from gradaudit.errors import InputError


def network():
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 3, 3), nn.Softplus(), nn.Flatten(), nn.Linear(27, 4)).double()


def batch():
    return torch.rand(5, 1, 5, 5, generator=torch.Generator().manual_seed(3), dtype=torch.float64), torch.arange(5) % 4


@pytest.mark.parametrize("baseline", [0.0, 0.4])
@pytest.mark.parametrize("of", ["logit", "loss", "softmax"])
def test_the_scores_add_up_to_the_difference_from_the_baseline(of, baseline):
    quantity = {
        "logit": lambda z, y: z.gather(1, y[:, None])[:, 0],
        "loss": lambda z, y: F.cross_entropy(z, y, reduction="none"),
        "softmax": lambda z, y: z.softmax(1).gather(1, y[:, None])[:, 0],
    }[of]
    model, (images, targets) = network(), batch()
    scores = integrated_gradients(model, images, targets, of=of, baseline=baseline)
    with torch.no_grad():
        expected = quantity(model(images), targets) - quantity(model(torch.full_like(images, baseline)), targets)
    torch.testing.assert_close(scores.flatten(1).sum(1), expected.float(), atol=1e-5, rtol=1e-4)


def test_on_a_quadratic_one_point_is_exact():
    class Squares(nn.Module):
        def forward(self, images):
            total = images.square().flatten(1).sum(1)
            return torch.stack([total, -total], 1)

    images = batch()[0]
    scores = integrated_gradients(Squares(), images, torch.zeros(5, dtype=torch.int64), steps=1)
    torch.testing.assert_close(scores, images.square().float())


def test_it_is_captums():
    model, (images, targets) = network(), batch()
    ours = integrated_gradients(model, images, targets, steps=20, baseline=0.25)
    theirs = captum(model, images, targets, method="IntegratedGradients", n_steps=20, baselines=0.25)
    torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("option", [{"steps": 0}, {"steps": 1.5}, {"baseline": float("nan")}, {"of": "margin"}])
def test_a_bad_option_is_named(option):
    with pytest.raises(InputError, match=f"`{next(iter(option))}`"):
        integrated_gradients(network(), *batch(), **option)
