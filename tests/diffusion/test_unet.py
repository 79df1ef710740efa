import pytest
import torch

from gradaudit.diffusion.recipe import NETWORKS
from gradaudit.errors import InputError


def built(spec, shape=(1, 8, 8), classes=3):
    torch.manual_seed(0)
    return NETWORKS.bind("network", spec)(shape, classes)


@pytest.mark.parametrize(
    ("spec", "shape"),
    [
        ("unet(widths=[8, 16])", (1, 8, 12)),
        ("unet(widths=[8, 16, 24], patch=1, layers=2)", (3, 8, 8)),
        ("unet(widths=[16], patch=4, attention=true)", (1, 8, 8)),
    ],
)
def test_its_output_is_zero_at_first_and_depends_on_all_it_is_given_once_it_is_not(spec, shape):
    network = built(spec, shape)
    noisy, noise, labels = torch.randn(2, *shape), torch.tensor([-1.0, 0.5]), torch.tensor([0, 3])
    assert torch.equal(network(noisy, noise, labels), torch.zeros(2, *shape))
    torch.nn.init.normal_(network.unet.conv_out.weight)
    first = network(noisy, noise, labels)
    for changed in (
        (noisy + 0.1, noise, labels),
        (noisy, noise + 0.01, labels),
        (noisy, noise, torch.tensor([1, 3])),
    ):
        assert (network(*changed) - first).abs().max() > 1e-4
    assert torch.allclose(network(noisy[:1], noise[:1], labels[:1]), first[:1], rtol=1e-4, atol=1e-4)


def test_a_patch_keeps_every_pixel_where_it_is():
    network = built("unet(widths=[8], patch=2)")
    network.unet.forward = lambda inside, noise, class_labels: type("Output", (), {"sample": inside})
    noisy = torch.randn(2, 1, 8, 8)
    assert torch.equal(network(noisy, torch.zeros(2), torch.zeros(2, dtype=torch.int64)), noisy)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("unet(widths=[10])", "`widths`"),
        ("unet(widths=[])", "`widths`"),
        ("unet(layers=0)", "`layers`"),
        ("unet(patch=0)", "`patch`"),
        ("unet(widths=[8, 8, 8])", "`input_shape` .* multiples of 8, for 3 widths"),
        ("unet(depth=3)", "`network` .* given options that unet has"),
        ("u-not", "`network`"),
    ],
)
def test_a_bad_option_is_named(spec, words):
    with pytest.raises(InputError, match=words):
        built(spec, (1, 12, 12))
