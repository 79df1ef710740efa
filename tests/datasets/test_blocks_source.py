"""`load_images("blocks(...)")`: the halves, their draws, specs within specs."""

import numpy as np
import pytest
import torch

from gradaudit.datasets import load_images, save_images
from gradaudit.datasets.blocks import blocks
from gradaudit.errors import InputError
from gradaudit.images import ImageSet


@pytest.fixture
def own(tmp_path):
    """A small data set with the same images in both halves, so that only the draws can tell them apart."""
    rng = np.random.default_rng(0)
    images = ImageSet(rng.integers(0, 256, (200, 1, 6, 6), np.uint8), np.arange(200) % 3, ("a", "b", "c"))
    return str(save_images(tmp_path / "own.npz", images, images)), images


def test_the_training_half_is_what_the_function_makes(own):
    path, images = own
    options = {"position": "random", "classes": [0, 2], "null": "noise(std=0.1)", "layout": (1, 3)}
    train, _ = load_images("blocks", of=path, seed=4, **options)
    assert train.fingerprint == blocks(images, seed=4, **options).fingerprint


def test_the_halves_have_different_draws(own):
    train, test = load_images("blocks", of=own[0], null="noise")
    assert float((train.signal_mask == test.signal_mask).double().mean()) == pytest.approx(0.5, abs=0.15)
    white = [half.images[~half.signal_mask[:, None]] for half in (train, test)]
    assert float((white[0] == white[1]).double().mean()) < 0.05


def test_the_default_is_blockmnist_of_the_embedded_images():
    train, test = load_images("blocks", seed=1)
    assert [repr(half) for half in (train, test)] == [
        "ImageSet(4,000 images of 1x56x28, 10 classes, signal mask)",
        "ImageSet(1,000 images of 1x56x28, 10 classes, signal mask)",
    ]
    digits = load_images("mnist5k", seed=1)[1]
    assert torch.equal(test.images[test.signal_mask[:, None]].reshape(-1, 1, 28, 28), digits.images)


@pytest.mark.parametrize("null", ["letter(A)", "other(data=mnist5k)", "other(data=\\'mnist5k\\', half=train)"])
def test_a_spec_may_hold_a_spec(own, null):
    train, _ = load_images(f"blocks(of={own[0]!r}, position=top, classes=[0, 1], null='{null}')")
    assert train.classes == ("a", "b")
    assert train.signal_mask[:, :6].all()
    assert train.images[:, :, 6:].any()


def test_the_test_half_has_null_blocks_from_the_other_sets_test_half():
    halves = load_images("mnist5k")
    for half, found in zip(load_images("blocks", of="mnist5k", classes=[0], null="other", position="top"), halves, strict=True):
        originals = {image.numpy().tobytes() for image in found.images}
        assert all(image.numpy().tobytes() in originals for image in half.images[:, :, 28:])


def test_the_folder_is_passed_on(tmp_path):
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*nowhere"):
        load_images("blocks(of=mnist)", folder=tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte.*nowhere"):
        load_images("blocks(null='other(fashion_mnist)')", folder=tmp_path / "nowhere")


def test_it_can_be_saved(own, tmp_path):
    made = load_images("blocks", of=own[0], position="bottom")
    back = load_images(save_images(tmp_path / "blocks.npz", *made))
    assert [half.fingerprint for half in back] == [half.fingerprint for half in made]
