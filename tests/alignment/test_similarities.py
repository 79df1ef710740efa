"""Every similarity against a slower, plainly right one, and what must hold of all."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import spearmanr
from torch import nn

import gradaudit as ga
from gradaudit.classifiers.perceptual import lpips_network
from gradaudit.instruments.alignment import SIMILARITIES
from gradaudit.instruments.alignment.methods import resolve_methods
from gradaudit.instruments.alignment.similarities.absolute_cosine import absolute_cosine
from gradaudit.instruments.alignment.similarities.cosine import cosine
from gradaudit.instruments.alignment.similarities.features import features
from gradaudit.instruments.alignment.similarities.lpips import lpips
from gradaudit.instruments.alignment.similarities.rank_correlation import rank_correlation
from gradaudit.instruments.alignment.similarities.ssim import ssim


def maps(count=5, shape=(1, 14, 12), seed=0):
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(count, *shape, generator=generator, dtype=torch.float64)


class Distance(nn.Module):
    """In LPIPS's place: the mean absolute difference, as (N, 1, 1, 1); remembers what it was shown."""

    def forward(self, first: torch.Tensor, second: torch.Tensor) -> torch.Tensor:
        self.shown = (first, second)
        return (first - second).abs().mean(dim=(1, 2, 3), keepdim=True)


def convolutions(channels=1):
    torch.manual_seed(0)
    layers = [nn.Conv2d(channels, 6, 3), nn.ReLU(), nn.Conv2d(6, 4, 3), nn.Flatten(), nn.LazyLinear(8), nn.ReLU(), nn.Linear(8, 3)]
    network = nn.Sequential(*layers).double()
    network(torch.zeros(1, channels, 14, 12, dtype=torch.float64))
    return network


ALL = {
    "cosine": {},
    "absolute_cosine": {},
    "magnitude_cosine": {},
    "rank_correlation": {},
    "ssim": {},
    "lpips": {"network": Distance()},
    "features": {"network": convolutions()},
}


def named(name):
    (function,) = resolve_methods("similarity", SIMILARITIES, {"name": name, **ALL[name]}).values()
    return function


def test_every_similarity_is_held_to_the_contract():
    assert set(ALL) == set(SIMILARITIES.names())


@pytest.mark.parametrize("name", ALL)
def test_equal_maps_are_at_1_and_others_below(name):
    first, second = maps(), maps(seed=1)
    torch.testing.assert_close(named(name)(first, first), torch.ones(5), check_dtype=False, atol=1e-6, rtol=0)
    assert (named(name)(first, second) < 0.999).all()


@pytest.mark.parametrize("name", ALL)
def test_only_the_direction_counts(name):
    first, second = maps(), maps(seed=1)
    torch.testing.assert_close(named(name)(1e-3 * first, 1e4 * second), named(name)(first, second), atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_images_do_not_mix(name):
    first, second = maps(), maps(seed=1)
    together = named(name)(first, second)
    alone = torch.cat([named(name)(first[i : i + 1], second[i : i + 1]) for i in range(5)])
    assert together.shape == (5,)
    torch.testing.assert_close(together, alone, atol=1e-6, rtol=0)


@pytest.mark.parametrize("name", ALL)
def test_maps_of_zeros_have_a_finite_value(name):
    assert named(name)(torch.zeros(2, 1, 14, 12), maps(2)).isfinite().all()


def test_the_cosine_is_that_of_numpy():
    first, second = maps(shape=(3, 4, 4)), maps(shape=(3, 4, 4), seed=1)
    pairs = [(a.flatten().numpy(), b.flatten().numpy()) for a, b in zip(first, second, strict=True)]
    expected = [a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in pairs]
    np.testing.assert_allclose(cosine(first, second), expected, atol=1e-12)
    np.testing.assert_allclose(cosine(first.float() * 1e-30, second.float()), expected, atol=1e-6)
    np.testing.assert_allclose(absolute_cosine(first, -second), np.abs(expected), atol=1e-12)


@given(arrays(np.int64, (2, 12), elements=st.integers(-3, 3)))
def test_rank_correlation_is_that_of_scipy_with_many_ties(rows):
    first, second = (torch.from_numpy(row).double().reshape(1, 1, 3, 4) for row in rows)
    found = float(rank_correlation(first, second))
    if len(set(rows[0])) == 1 or len(set(rows[1])) == 1:
        assert found == 0
    else:
        assert found == pytest.approx(spearmanr(rows[0], rows[1]).statistic, abs=1e-12)


def test_rank_correlation_of_whole_batches():
    first, second = maps(7, (3, 5, 5)), maps(7, (3, 5, 5), seed=1)
    expected = [spearmanr(a.flatten(), b.flatten()).statistic for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(rank_correlation(first, second), expected, atol=1e-12)


def naive_ssim(first, second):
    """Wang et al. (2004), equation 13, over all windows of 11 x 11 pixels of the image with reflected borders."""
    offsets = np.arange(-5, 6)
    weights = np.exp(-(offsets[:, None] ** 2 + offsets[None] ** 2) / (2 * 1.5**2))
    weights /= weights.sum()
    first, second = (np.pad(one / np.abs(one).max(), 5, mode="reflect") for one in (first, second))
    values = []
    for row in range(first.shape[0] - 10):
        for column in range(first.shape[1] - 10):
            a, b = (one[row : row + 11, column : column + 11] for one in (first, second))
            mean_a, mean_b = (weights * a).sum(), (weights * b).sum()
            var_a, var_b = (weights * a * a).sum() - mean_a**2, (weights * b * b).sum() - mean_b**2
            both = (weights * a * b).sum() - mean_a * mean_b
            c1, c2 = (0.01 * 2) ** 2, (0.03 * 2) ** 2
            top = (2 * mean_a * mean_b + c1) * (2 * both + c2)
            values.append(top / ((mean_a**2 + mean_b**2 + c1) * (var_a + var_b + c2)))
    return np.mean(values)


def test_ssim_is_that_of_the_formula():
    first, second = maps(3), maps(3, seed=1) + maps(3)
    expected = [naive_ssim(a[0].numpy(), b[0].numpy()) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(ssim(first, second), expected, atol=1e-6)


def test_packages_that_are_missing_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchmetrics.functional.image", None)
    with pytest.raises(ga.MissingExtraError, match=r"gradaudit\[metrics\]"):
        ssim(maps(), maps())
    monkeypatch.setitem(sys.modules, "lpips", None)
    lpips_network.cache_clear()
    with pytest.raises(ga.MissingExtraError, match=r"gradaudit\[lpips\]"):
        lpips(maps(), maps())


def test_lpips_is_shown_scaled_maps_of_three_channels_and_enough_pixels():
    network, first, second = Distance(), maps(), maps(seed=1)
    found = lpips(first, second, network=network)
    shown = network.shown[0]
    assert shown.shape == (5, 3, 32, 32)
    assert torch.equal(shown[:, 0], shown[:, 2])
    assert float(shown.abs().max()) <= 1
    torch.testing.assert_close(found, 1 - (network.shown[0] - network.shown[1]).abs().mean(dim=(1, 2, 3)))
    large = maps(2, (3, 40, 36))
    lpips(large, large, network=network)
    torch.testing.assert_close(network.shown[0], (large / large.abs().amax(dim=(1, 2, 3), keepdim=True)).float())


def test_lpips_of_the_package_is_loaded_once_and_nothing_is_downloaded(monkeypatch, tmp_path):
    made = []
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    (tmp_path / "checkpoints").mkdir()
    (tmp_path / "checkpoints" / "alexnet-owt-7be5be79.pth").touch()

    class LPIPS(Distance):
        def __init__(self, net, verbose):
            super().__init__()
            made.append((net, verbose))

    package = ModuleType("lpips")
    package.LPIPS = LPIPS
    monkeypatch.setitem(sys.modules, "lpips", package)
    lpips_network.cache_clear()
    first, second = maps(), maps(seed=1)
    torch.testing.assert_close(lpips(first, second), lpips(first, second, network=Distance()))
    lpips(first, second)
    assert made == [("alex", False)]
    with pytest.raises(ga.InputError, match=r"`network` .='vgg'. must be .*the weights of vgg are not in .*nothing is downloaded"):
        lpips(first, second, network="vgg")
    assert made == [("alex", False)]
    lpips_network.cache_clear()


def naive_features(network, first, second, last):
    """Of one pair of maps: the mean over layers of 1 - half the mean squared distance of unit vectors over channels."""
    values = []
    for depth in last:
        pair = []
        for one in (first, second):
            shown = (one / one.abs().max() + 1) / 2
            out = network[: depth + 1](shown[None])[0].detach().numpy()
            pair.append(out / np.maximum(np.linalg.norm(out, axis=0), 1e-300))
        values.append(1 - np.mean(((pair[0] - pair[1]) ** 2).sum(axis=0)) / 2)
    return np.mean(values)


@pytest.mark.parametrize(("layers", "last"), [(None, (0, 2, 4)), (("1", "2"), (1, 2)), (("6",), (6,))])
def test_features_are_those_of_the_formula(layers, last):
    network, first, second = convolutions(), maps(), maps(seed=1)
    expected = [naive_features(network, a, b, last) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(features(first, second, network=network, layers=layers), expected, atol=1e-9)


@pytest.mark.parametrize(
    "first_layer", [nn.Conv2d(1, 2, 3), nn.Sequential(nn.Flatten(), nn.Linear(168, 2))], ids=["conv", "linear"]
)
def test_where_both_maps_leave_all_channels_silent_they_agree_and_where_one_does_by_half(first_layer):
    torch.manual_seed(1)
    weights = first_layer[-1] if isinstance(first_layer, nn.Sequential) else first_layer
    nn.init.normal_(weights.weight)
    weights.bias.data = -0.5 * weights.weight.detach().flatten(1).sum(1)  # about mid-grey as many are silent as not
    network = nn.Sequential(first_layer, nn.ReLU(), nn.Flatten(), nn.LazyLinear(3))
    network(torch.zeros(1, 1, 14, 12))
    network.double()
    first, second = maps(40), maps(40, seed=1)
    expected = [naive_features(network, a, b, (1,)) for a, b in zip(first, second, strict=True)]
    np.testing.assert_allclose(features(first, second, network=network, layers=["1"]), expected, atol=1e-9)
    one, other = ((network[:2]((part / part.abs().amax((1, 2, 3), True) + 1) / 2) == 0).all(dim=1) for part in (first, second))
    assert bool((one & other).any())
    assert bool((one ^ other).any())


def test_features_are_what_layers_returned_whatever_becomes_of_it():
    network, first, second = convolutions(), maps(), maps(seed=1)
    expected = features(first, second, network=network)
    for activation in (network[1], network[5]):
        activation.inplace = True
    torch.testing.assert_close(features(first, second, network=network), expected)


def test_features_leave_the_network_as_it_was():
    network = convolutions().train()
    features(maps(), maps(seed=1), network=network)
    assert network.training
    assert not any(module._forward_hooks for module in network.modules())


def test_features_of_a_saved_classifier_follow_its_file(tmp_path):
    torch.manual_seed(0)
    recipe, path = ga.Recipe(network="mlp(width=16)"), tmp_path / "one.safetensors"
    first, second = maps(), maps(seed=1)
    values = []
    for _ in range(2):
        network = recipe.build((1, 14, 12), 3)
        ga.save_classifier(path, network, network=recipe.network, input_shape=(1, 14, 12), classes=3)
        values.append(features(first, second, network=str(path)))
        torch.testing.assert_close(values[-1], features(first, second, network=network))
    assert not torch.allclose(*values)


@pytest.mark.parametrize(("layers", "words"), [(["nine"], "names among"), ([], "layers to compare"), (["4.weight"], "names among")])
def test_features_of_layers_that_are_not_there(layers, words):
    with pytest.raises(ga.InputError, match=f"`layers`.*{words}"):
        features(maps(), maps(), network=convolutions(), layers=layers)


def test_features_of_layers_that_are_not_run():
    class Idle(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.idle = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.used(images).flatten(1)

    with pytest.raises(ga.InputError, match=r"`layers` .=\['idle'\]. must be layers that the network runs"):
        features(maps(), maps(), network=Idle(), layers=["idle"])
