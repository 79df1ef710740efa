"""LPIPS by its own package, with trunks of random weights in torchvision's files, which it would download otherwise."""

import time
import warnings

import pytest
import torch

import gradaudit as ga
from gradaudit.classifiers.perceptual import TRUNKS, lpips_network
from gradaudit.instruments.alignment.similarities.lpips import lpips as similarity
from gradaudit.instruments.counterfactual.guidance.perceptual import perceptual_distances, perceptual_network

from .conftest import photographs

package = pytest.importorskip("lpips", reason="lpips is not installed: pip install 'gradaudit[lpips]'")
models = pytest.importorskip("torchvision.models", reason="lpips needs torchvision, which is not installed")
NAMES = {"alex": "alexnet", "vgg": "vgg16", "squeeze": "squeezenet1_1"}
CPU = torch.device("cpu")


@pytest.fixture(autouse=True)
def _afresh():
    lpips_network.cache_clear()
    yield
    lpips_network.cache_clear()


def trunk(name, folder):
    torch.manual_seed(0)
    network = models.get_model(NAMES[name], weights=None)
    (folder / "torch" / "hub" / "checkpoints").mkdir(parents=True, exist_ok=True)
    torch.save(network.state_dict(), folder / "torch" / "hub" / "checkpoints" / TRUNKS[name])


def theirs(name):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return package.LPIPS(net=name, verbose=False)


@pytest.mark.parametrize("name", NAMES)
def test_files_are_those_that_torchvision_would_download(name):
    assert models.get_model_weights(NAMES[name]).IMAGENET1K_V1.url.endswith(f"/{TRUNKS[name]}")


@pytest.mark.parametrize("name", ["alex", "squeeze"])
def test_distances_are_the_packages_own(name, tmp_path):
    trunk(name, tmp_path)
    first, second = photographs(48, 4).floats().split(2)
    with torch.no_grad():
        expected = theirs(name)(first * 2 - 1, second * 2 - 1).flatten()
        assert expected.min() > 1e-4
        torch.testing.assert_close(perceptual_distances(perceptual_network(name, CPU), first, second), expected)
        maps = [one - 0.5 for one in (first, second)]
        scaled = [one / one.abs().amax(dim=(1, 2, 3), keepdim=True) for one in maps]
        torch.testing.assert_close(similarity(*maps, network=name), 1 - theirs(name)(*scaled).flatten())


def test_as_a_measure_of_counterfactuals_it_is_what_the_package_says(tmp_path):
    trunk("alex", tmp_path)
    torch.manual_seed(0)
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(3 * 32 * 32, 2))
    images = photographs(32, 4)
    result = ga.counterfactual(classifier, images, "second", method="apgd(steps=2)", device="cpu")
    after = torch.as_tensor(result.images)
    with torch.no_grad():
        expected = theirs("alex")(images.floats() * 2 - 1, after.float() / 255 * 2 - 1).flatten()
    assert result.table["lpips"].tolist() == pytest.approx(expected.tolist(), rel=1e-4, abs=1e-5)


def test_weights_that_are_not_there_are_told_at_once(tmp_path):
    start = time.perf_counter()
    images = photographs(32, 2).floats()
    with pytest.raises(ga.InputError, match=r"`network` .='alex'. .*alexnet-owt-7be5be79\.pth; nothing is downloaded"):
        similarity(images, images)
    with pytest.raises(ga.InputError, match="whose weights are at hand"):
        perceptual_network("alex", CPU)
    assert time.perf_counter() - start < 30  # a download that is tried again and again takes longer
    assert not any((tmp_path / "torch").rglob("*.pth"))
