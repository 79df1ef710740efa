"""EDM's preconditioning against table 1 of the paper, written out image by image in its own scaling."""

import math

import pytest
import torch
from torch import nn

from gradaudit.diffusion.preconditioning import Preconditioned


class Recording(nn.Module):
    """A network that keeps what it was given."""

    def __init__(self):
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(0.3))

    def forward(self, noisy, noise, labels):
        self.given = noisy, noise, labels
        return self.weight * noisy.flip(-1) + noise[:, None, None, None] + labels[:, None, None, None]


def table_1(network, y, sigma, label, d):
    """D(y; sigma) for one image y in [-1, 1] plus noise of deviation sigma."""
    skip = d**2 / (sigma**2 + d**2)
    out = sigma * d / math.sqrt(sigma**2 + d**2)
    scale = 1 / math.sqrt(sigma**2 + d**2)
    inner = network(scale * y[None], torch.tensor([math.log(sigma) / 4]), torch.tensor([label]))
    return skip * y + out * inner[0]


@pytest.mark.parametrize("d", [0.5, 0.9])
def test_it_is_table_1(d):
    torch.manual_seed(0)
    model = Preconditioned(Recording(), classes=4, sigma_data=d)
    images, sigma, labels = torch.randn(5, 2, 3, 3), torch.tensor([0.01, 0.1, 0.5, 2.0, 40.0]), torch.tensor([0, 1, 2, 3, 4])
    found = model(images, sigma, labels)
    for index in range(5):
        expected = table_1(model.network, 2 * images[index] - 1, 2 * float(sigma[index]), int(labels[index]), d)
        assert torch.allclose(2 * found[index] - 1, expected, atol=1e-5)


@pytest.mark.parametrize("sigma", [0.01, 0.25, 5.0])
def test_the_network_sees_unit_variance_and_its_target_has_it(sigma):
    torch.manual_seed(1)
    network, d = Recording(), 0.5
    clean = d * torch.randn(400, 1, 8, 8)  # in [-1, 1]'s scaling
    noisy = clean + 2 * sigma * torch.randn_like(clean)
    Preconditioned(network, 0, d)((noisy + 1) / 2, torch.full((400,), sigma), None)
    assert float(network.given[0].std()) == pytest.approx(1, abs=0.02)
    s = 2 * sigma
    target = (clean - d**2 / (s**2 + d**2) * noisy) * math.sqrt(s**2 + d**2) / (s * d)
    assert float(target.std()) == pytest.approx(1, abs=0.02)


def test_no_labels_are_the_null_class():
    model = Preconditioned(Recording(), classes=4)
    noisy, sigma = torch.rand(3, 1, 4, 4), torch.ones(3)
    assert torch.equal(model(noisy, sigma), model(noisy, sigma, torch.tensor([4, 4, 4])))
    assert not torch.equal(model(noisy, sigma), model(noisy, sigma, torch.tensor([4, 3, 4])))


def test_images_of_double_precision_go_through_a_float_network_and_come_back_double():
    noisy = torch.rand(2, 1, 4, 4, dtype=torch.float64)
    model = Preconditioned(Recording(), classes=4)
    found = model(noisy, torch.ones(2, dtype=torch.float64))
    assert found.dtype == torch.float64
    assert torch.allclose(found.float(), model(noisy.float(), torch.ones(2)), atol=1e-6)
