"""Autoencoders: they learn, continue after an interruption, and come back from their files."""

import json

import pytest
import torch
from safetensors.torch import load_file, save_file

from gradaudit.diffusion.autoencoder import Autoencoder, load_autoencoder, save_autoencoder, train_autoencoder
from gradaudit.errors import InputError
from gradaudit.images import ImageSet

SMALL = {"latent": 6, "width": 8, "device": "cpu"}


def bumps(count, seed):
    """A bright spot somewhere: a manifold of two dimensions."""
    centres = 1.5 + 5 * torch.rand(count, 2, 1, 1, generator=torch.Generator().manual_seed(seed))
    rows, columns = torch.arange(8.0)[:, None], torch.arange(8.0)
    distances = (rows - centres[:, :1]).square() + (columns - centres[:, 1:]).square()
    pixels = (255 * torch.exp(-distances / 6)).to(torch.uint8)
    return ImageSet(pixels, torch.arange(count) % 2, ("a", "b"))


@pytest.fixture(name="images", scope="module")
def images_fixture():
    return bumps(256, seed=0)


@pytest.fixture(name="trained", scope="module")
def trained_fixture(images):
    return train_autoencoder(images, **SMALL, epochs=12, batch_size=32, learning_rate=1e-2)


def same(first, second):
    return all(torch.equal(*pair) for pair in zip(first.state_dict().values(), second.state_dict().values(), strict=True))


def test_it_learns_to_reconstruct_images_that_it_has_not_seen(trained):
    fresh = bumps(100, seed=1).floats()
    error = (trained(fresh) - fresh).square().mean()
    spread = (fresh - fresh.mean(dim=0)).square().mean()
    assert error < 0.4 * spread
    assert not trained.training
    losses = trained.description["loss"]
    assert losses[-1] < 0.2 * losses[0]


@pytest.mark.parametrize("shape", [(1, 28, 28), (1, 32, 32), (3, 32, 32), (3, 8, 12)])
def test_reconstructions_have_the_images_shape(shape):
    model = Autoencoder(shape, latent=10, width=4)
    images = torch.rand(2, *shape)
    assert model.encode(images).shape == (2, 10)
    assert model(images).shape == images.shape


def test_the_seed_alone_decides_and_labels_play_no_part(images):
    options = SMALL | {"epochs": 1}
    first = train_autoencoder(images, **options)
    relabelled = ImageSet(images.images, torch.zeros(len(images), dtype=torch.int64), ("all",))
    assert same(first, train_autoencoder(relabelled, **options))
    assert not same(first, train_autoencoder(images, **options, seed=1))


def test_an_interrupted_training_ends_bit_for_bit_as_one_that_was_not(images, tmp_path):
    options = SMALL | {"epochs": 3, "checkpoint": tmp_path / "run.checkpoint"}
    seen = []

    def stop(epoch):
        if epoch.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_autoencoder(images, **options, on_epoch=stop)
    resumed = train_autoencoder(images, **options, on_epoch=seen.append)
    straight = train_autoencoder(images, **SMALL, epochs=3)
    assert same(resumed, straight)
    assert resumed.description == straight.description
    assert [epoch.number for epoch in seen] == [1, 2, 3]
    with pytest.raises(InputError, match=r"`checkpoint`.*latent"):
        train_autoencoder(images, **options | {"latent": 7})


def test_a_file_gives_back_the_same_autoencoder(trained, images, tmp_path):
    path = save_autoencoder(tmp_path / "a.safetensors", trained)
    loaded = load_autoencoder(path)
    assert torch.equal(loaded(images.floats()), trained(images.floats()))
    assert loaded.description == json.loads(json.dumps(trained.description))
    assert loaded.description["data_fingerprint"] == images.fingerprint
    assert (loaded.latent, loaded.width, loaded.shape) == (6, 8, (1, 8, 8))


def test_a_wrong_or_damaged_file_is_refused(trained, tmp_path):
    path = save_autoencoder(tmp_path / "a.safetensors", trained)
    with pytest.raises(InputError, match="exists"):
        load_autoencoder(tmp_path / "none.safetensors")
    tensors = load_file(path)
    save_file(tensors, tmp_path / "other.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match="save_autoencoder"):
        load_autoencoder(tmp_path / "other.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(path.read_bytes()[:-100])
    with pytest.raises(InputError, match="readable"):
        load_autoencoder(tmp_path / "cut.safetensors")
    about = {"shape": [1, 8, 8], "latent": 6, "width": 8, "description": {}}
    for change, damaged in (
        ({"latent": 5}, tensors),
        ({"shape": [1, 9, 9]}, tensors),
        ({}, {name: value * float("nan") for name, value in tensors.items()}),
        ({}, dict(list(tensors.items())[:-1])),
    ):
        metadata = {"format": "gradaudit-autoencoder", "autoencoder": json.dumps(about | change)}
        save_file(damaged, tmp_path / "bad.safetensors", metadata)
        with pytest.raises(InputError, match=r"`path`|`shape`"):
            load_autoencoder(tmp_path / "bad.safetensors")


def test_what_can_not_be_saved_is_refused(trained, tmp_path):
    for path, model, argument in (
        (tmp_path / "a.pt", trained, "path"),
        (tmp_path / "a.safetensors", torch.nn.Linear(2, 2), "autoencoder"),
    ):
        with pytest.raises(InputError, match=f"`{argument}`"):
            save_autoencoder(path, model)
    broken = Autoencoder((1, 8, 8), latent=6, width=8)
    broken.encoder[0].bias.data[0] = float("inf")
    with pytest.raises(InputError, match="`autoencoder`"):
        save_autoencoder(tmp_path / "a.safetensors", broken)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("argument", "value"), [("latent", 64), ("latent", 0), ("width", 0), ("epochs", 0), ("batch_size", 0), ("learning_rate", -1.0)]
)
def test_bad_arguments_are_named(images, tmp_path, argument, value):
    with pytest.raises(InputError, match=f"`{argument}`"):
        train_autoencoder(images, **SMALL | {argument: value}, checkpoint=tmp_path / "run.checkpoint")
    assert not list(tmp_path.iterdir())


def test_other_images_are_refused(trained):
    odd = ImageSet(torch.zeros(4, 1, 9, 9, dtype=torch.uint8), torch.arange(4) % 2, ("a", "b"))
    with pytest.raises(InputError, match="`shape`"):
        train_autoencoder(odd)
    with pytest.raises(InputError, match="`images`"):
        train_autoencoder(odd.floats())
    with pytest.raises(InputError, match="`images`"):
        trained(torch.rand(2, 3, 8, 8))
