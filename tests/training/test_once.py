import pytest
import torch

import gradaudit as ga
from gradaudit.devices import resolve_precision
from gradaudit.errors import InputError
from gradaudit.training import once

RECIPE = ga.Recipe(network="linear", epochs=1)


@pytest.fixture
def images():
    random = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 256, (40, 1, 8, 8), generator=random, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.arange(40) % 2, ("a", "b"))


def weights(classifier):
    return torch.cat([value.flatten() for value in classifier.state_dict().values()])


def entries(folder):
    return sorted(folder.rglob("*.safetensors"))


def test_it_is_what_train_gives(images, tmp_path):
    with once.one_thread():
        expected = ga.train(RECIPE, images, device="cpu")
    found = ga.train_once(RECIPE, images, store=tmp_path, device="cpu")
    assert torch.equal(weights(found), weights(expected))


def test_the_second_time_nothing_is_trained(images, tmp_path, monkeypatch):
    first = ga.train_once(RECIPE, images, store=tmp_path, device="cpu")
    monkeypatch.setattr(once, "train", None)  # calling it would raise
    assert torch.equal(weights(ga.train_once(RECIPE, images, store=tmp_path, device="cpu")), weights(first))
    assert not list(tmp_path.rglob("*.checkpoint"))


def test_another_recipe_or_other_images_are_another_entry(images, tmp_path):
    ga.train_once(RECIPE, images, store=tmp_path, device="cpu")
    ga.train_once(RECIPE.with_(seed=1), images, store=tmp_path, device="cpu")
    ga.train_once(RECIPE, images[:20], store=tmp_path, device="cpu")
    assert len(entries(tmp_path)) == 3


def test_a_damaged_entry_is_made_again(images, tmp_path):
    first = ga.train_once(RECIPE, images, store=tmp_path, device="cpu")
    (file,) = entries(tmp_path)
    file.write_bytes(file.read_bytes()[:50])
    with pytest.warns(UserWarning, match="damaged"):
        again = ga.train_once(RECIPE, images, store=tmp_path, device="cpu")
    assert torch.equal(weights(again), weights(first))
    assert torch.equal(weights(ga.train_once(RECIPE, images, store=tmp_path, device="cpu")), weights(first))


def test_a_stopped_training_goes_on_from_its_checkpoint(images, tmp_path, monkeypatch):
    recipe = RECIPE.with_(epochs=4)
    expected = ga.train_once(recipe, images, store=tmp_path / "whole", device="cpu")
    original = once.train

    def stopped(*arguments, **options):
        def stop(epoch):
            if epoch.number == 2:
                raise KeyboardInterrupt

        return original(*arguments, on_epoch=stop, **options)

    monkeypatch.setattr(once, "train", stopped)
    with pytest.raises(KeyboardInterrupt):
        ga.train_once(recipe, images, store=tmp_path / "cut", device="cpu")
    assert list((tmp_path / "cut").rglob("*.checkpoint"))
    monkeypatch.setattr(once, "train", original)
    assert torch.equal(weights(ga.train_once(recipe, images, store=tmp_path / "cut", device="cpu")), weights(expected))


def test_auto_precision_and_what_it_means_are_one_entry(images, tmp_path):
    meant = resolve_precision("auto", once.resolve_device("cpu"))
    for precision in ("auto", meant):
        ga.train_once(RECIPE.with_(precision=precision), images, store=tmp_path, device="cpu")
    assert len(entries(tmp_path)) == 1


def test_bad_store(images):
    with pytest.raises(InputError, match="store"):
        ga.train_once(RECIPE, images, store=3, device="cpu")
