"""What LPIPS is shown, and where its networks come from."""

import sys
from types import ModuleType

import pytest
import torch
from torch import nn

from gradaudit.classifiers.perceptual import lpips_network
from gradaudit.errors import InputError, MissingExtraError
from gradaudit.instruments.counterfactual.guidance.perceptual import perceptual_network
from gradaudit.instruments.counterfactual.measures import LackingError
from gradaudit.instruments.counterfactual.perceptual import package_network, pictures

CPU = torch.device("cpu")


@pytest.fixture(name="package")
def package_fixture(monkeypatch, tmp_path):
    """A stand-in for the package, which would download weights, and a folder of weights."""

    class LPIPS(nn.Linear):
        def __init__(self, net, verbose):
            super().__init__(1, 1)
            self.net = net

    package = ModuleType("lpips")
    package.LPIPS = LPIPS
    monkeypatch.setitem(sys.modules, "lpips", package)
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    lpips_network.cache_clear()
    yield tmp_path / "checkpoints"
    lpips_network.cache_clear()


def test_pictures_have_three_channels_enough_pixels_and_their_own_range():
    images = torch.tensor([[0.0, 1.0], [1.0, 0.5]]).view(1, 1, 2, 2)
    found = pictures(images)
    assert found.shape == (1, 3, 32, 32)
    assert (found.amin(), found.amax()) == (-1, 1)
    corners = found[:, :, [0, 0, -1, -1], [0, -1, 0, -1]]
    torch.testing.assert_close(corners, torch.tensor([-1.0, 1.0, 1.0, 0.0]).expand(1, 3, 4))
    large = torch.rand(2, 3, 40, 33)
    assert torch.equal(pictures(large), large * 2 - 1)
    assert pictures(torch.rand(1, 3, 40, 8)).shape == (1, 3, 40, 32)


def test_a_network_whose_weights_are_there_is_loaded_once_and_constant_as_a_loss(package):
    (package / "vgg16-397923af.pth").touch()
    network = package_network("vgg", CPU)
    assert network.net == "vgg"
    assert perceptual_network("vgg", CPU) is network
    assert not any(weight.requires_grad for weight in network.parameters())


def test_weights_that_are_not_there_are_not_downloaded(package):
    (package / "alexnet-of-another-version.pth").touch()
    with pytest.raises(LackingError, match="alex are not in"):
        package_network("alex", CPU)
    with pytest.raises(InputError, match=r"^`network`.*at hand \(the weights of alex"):
        perceptual_network("alex", CPU)


def test_another_network_and_a_missing_package_are_named(package, monkeypatch):
    with pytest.raises(InputError, match=r"^`network` \(='large'\).*alex, vgg, squeeze"):
        package_network("large", CPU)
    monkeypatch.setitem(sys.modules, "lpips", None)
    with pytest.raises(MissingExtraError, match=r"gradaudit\[lpips\]"):
        package_network("squeeze", CPU)
