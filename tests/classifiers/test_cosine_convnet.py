"""The constant first layer of cosines: scipy's transform of each patch, and untouched by training."""

import numpy as np
import pytest
import torch
from scipy import fft

from gradaudit import ImageSet, Recipe, load_classifier, save_trained, train
from gradaudit.classifiers import build_network
from gradaudit.classifiers.networks._cosines import CosineConv, lowest_cosines
from gradaudit.errors import InputError


@pytest.mark.parametrize(("channels", "width"), [(1, 18), (2, 36), (3, 54), (4, 10)])
def test_its_features_are_the_cosine_transform_of_each_patch(channels, width):
    images = torch.rand(2, channels, 5, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    features = CosineConv(channels, width).double()(images).numpy()
    coefficients = fft.dctn(images[1, :, 2:5, 1:4].numpy(), norm="ortho")  # the patch around (3, 2)
    places = sorted(np.ndindex(coefficients.shape), key=lambda place: 2 * place[0] + place[1] + place[2])[: width // 2]
    expected = np.array([coefficients[place] for place in places])
    assert np.allclose(features[1, :, 3, 2], [*expected, *-expected], atol=1e-6)


@pytest.mark.parametrize("channels", [1, 3])
def test_all_cosines_together_lose_nothing(channels):
    filters = lowest_cosines(channels, 9 * channels).flatten(1)
    assert torch.allclose(filters @ filters.T, torch.eye(9 * channels), atol=1e-6)


def test_the_first_is_the_mean_of_the_patch():
    assert torch.allclose(lowest_cosines(3, 1), torch.full((1, 3, 3, 3), 27**-0.5))


def test_training_leaves_it_as_it_is_and_it_comes_back_from_its_file(tmp_path):
    pixels = torch.randint(256, (60, 3, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    images = ImageSet(pixels, torch.arange(60) % 3, ("a", "b", "c"))
    recipe = Recipe(network="cosine_convnet(width=8)", epochs=2, batch_size=20, precision="fp32")
    classifier = train(recipe, images, device="cpu")
    assert torch.equal(classifier[0].weight, CosineConv(3, 8).weight)
    save_trained(tmp_path / "a.safetensors", classifier, recipe, images)
    back = load_classifier(tmp_path / "a.safetensors")
    assert torch.allclose(back(images.floats()), classifier(images.floats()), atol=1e-5)


@pytest.mark.parametrize(("width", "channels"), [(3, 3), (20, 1), (56, 3)])
def test_a_width_for_which_there_are_no_cosines_is_refused(width, channels):
    with pytest.raises(InputError, match=rf"^`width` \(={width}\) must be even, at most {18 * channels} for"):
        build_network(f"cosine_convnet(width={width})", (channels, 8, 8), 3)
