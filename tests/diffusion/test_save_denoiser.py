import json

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.diffusion.trained import read_denoiser, save_denoiser
from gradaudit.diffusion.training import train_denoiser
from gradaudit.errors import InputError
from gradaudit.images import ImageSet


@pytest.fixture(name="trained", scope="module")
def trained_fixture():
    rng = np.random.default_rng(0)
    images = ImageSet(rng.integers(0, 256, (32, 1, 4, 4), dtype=np.uint8), np.arange(32) % 3, ("a", "b", "c"))
    recipe = DenoiserRecipe(network="unet(widths=[8], patch=1)", epochs=1, batch_size=16)
    return train_denoiser(recipe, images, device="cpu"), images, recipe


def given(denoiser):
    noisy = torch.rand(3, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        return denoiser(noisy, 0.3, torch.tensor([0, 1, 2]))


@pytest.mark.parametrize("half", [True, False])
def test_a_denoiser_comes_back(tmp_path, trained, half):
    denoiser, images, recipe = trained
    path = save_denoiser(tmp_path / "a.safetensors", denoiser, half=half, measured={"recognised": 0.97})
    found = read_denoiser(path)
    assert torch.allclose(given(found), given(denoiser), atol=2e-3 if half else 0)
    assert not found.training
    assert {weight.dtype for weight in found.parameters()} == {torch.float32}
    assert (found.shape, found.classes) == ((1, 4, 4), 3)
    assert DenoiserRecipe(**found.description["recipe"]) == recipe
    assert found.description["data_fingerprint"] == images.fingerprint
    assert found.description["class_names"] == ["a", "b", "c"]
    assert found.description["measured"] == {"recognised": 0.97}
    assert found.description["versions"]["torch"] == torch.__version__
    again = read_denoiser(save_denoiser(tmp_path / "b.safetensors", found, half=half))
    assert again.description == found.description
    assert torch.equal(given(again), given(found))


def test_half_takes_half_the_room(tmp_path, trained):
    halved, full = (save_denoiser(tmp_path / f"{half}.safetensors", trained[0], half=half) for half in (True, False))
    sizes = [sum(value.nbytes for value in load_file(path).values()) for path in (halved, full)]
    assert 2 * sizes[0] == sizes[1]
    with safe_open(halved, framework="pt") as file:
        assert file.metadata()["format"] == "gradaudit-denoiser"


def test_reading_leaves_the_random_state_alone(tmp_path, trained):
    path = save_denoiser(tmp_path / "a.safetensors", trained[0])
    before = torch.get_rng_state()
    read_denoiser(path)
    assert torch.equal(torch.get_rng_state(), before)


def test_weights_beyond_fp16_are_refused(tmp_path, trained):
    description = dict(trained[0].description)
    model = trained[2].build((1, 4, 4), 3)
    denoiser = Denoiser(model, shape=(1, 4, 4), classes=3, description=description)
    with torch.no_grad():
        next(model.parameters()).fill_(1e6)
    with pytest.raises(InputError, match=r"^`denoiser` .*finite"):
        save_denoiser(tmp_path / "a.safetensors", denoiser)
    assert list(tmp_path.iterdir()) == []
    assert torch.equal(given(read_denoiser(save_denoiser(tmp_path / "a.safetensors", denoiser, half=False))), given(denoiser))


def test_what_cannot_be_saved_is_named(tmp_path, trained):
    for argument, fields in (
        ("path", {"path": tmp_path / "a.pt"}),
        ("denoiser", {"denoiser": Denoiser(lambda noisy, sigma, labels: noisy)}),
        ("measured", {"measured": {"error": float("nan")}}),
        ("measured", {"measured": {"error": {1, 2}}}),
    ):
        arguments = {"path": tmp_path / "a.safetensors", "denoiser": trained[0]} | fields
        with pytest.raises(InputError, match=f"^`{argument}`"):
            save_denoiser(arguments.pop("path"), arguments.pop("denoiser"), **arguments)
    assert list(tmp_path.iterdir()) == []


def changed(path, **header):
    with safe_open(path, framework="pt") as file:
        metadata = file.metadata()
    return metadata | {"denoiser": json.dumps(json.loads(metadata["denoiser"]) | header)}


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        ("missing", "a file that exists"),
        ("cut", "a readable .safetensors file"),
        ("others", "that this version's `save_denoiser` wrote"),
        ("newer", "that this version's `save_denoiser` wrote"),
        ("fewer", "tensors fit its recipe: missing"),
        ("classes", "tensors fit its recipe: .*class_embedding.weight"),
        ("nan", "finite"),
    ],
)
def test_a_file_that_is_no_denoiser_is_named(tmp_path, trained, damage, words):
    path = save_denoiser(tmp_path / "a.safetensors", trained[0])
    tensors, metadata = load_file(path), changed(path)
    name = sorted(tensors)[0]
    match damage:
        case "missing":
            path.unlink()
        case "cut":
            path.write_bytes(path.read_bytes()[:-100])
        case "others":
            save_file(tensors, path)
        case "newer":
            save_file(tensors, path, changed(path, version=2))
        case "fewer":
            del tensors[name]
            save_file(tensors, path, metadata)
        case "classes":
            save_file(tensors, path, changed(path, classes=4))
        case "nan":
            tensors[name].view(-1)[0] = float("nan")
            save_file(tensors, path, metadata)
    with pytest.raises(InputError, match=f"^`path` .*{words}"):
        read_denoiser(path)
