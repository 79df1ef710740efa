from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from gradaudit import zoo
from gradaudit.diffusion.adapters import ADAPTERS
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.load import load_denoiser
from gradaudit.diffusion.recipe import DenoiserRecipe
from gradaudit.diffusion.trained import save_denoiser
from gradaudit.errors import InputError

OWN = """
import torch
from torch import nn

from gradaudit.diffusion import Denoiser


def denoise(noisy, sigma, labels):
    return noisy / 2


def factory():
    return Denoiser(denoise, shape=(1, 4, 4), classes=3)


def function_factory():
    return denoise


def nothing():
    return 3


class Module(nn.Module):
    def forward(self, noisy, sigma, labels):
        return noisy / 2


class Needy:
    def __init__(self, something):
        pass


module = Module()
number = 3
"""


@pytest.fixture(autouse=True)
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "own_denoisers.py").write_text(OWN)
    monkeypatch.syspath_prepend(str(tmp_path))


@pytest.fixture
def trained(tmp_path: Path) -> tuple[Path, Denoiser]:
    recipe = DenoiserRecipe(network="unet(widths=[8], patch=1)")
    description: dict[str, object] = {"recipe": recipe.model_dump()}
    model = recipe.build((1, 8, 8), 2)
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.1)
    denoiser = Denoiser(model, shape=(1, 8, 8), classes=2, description=description).eval()
    return save_denoiser(tmp_path / "mine.safetensors", denoiser, half=False), denoiser


def halved(noisy: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
    return noisy / 2


class Halving(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout()

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        return self.drop(noisy) / 2


SOURCES = ["denoise", "factory", "function_factory", "module", "Module"]


@pytest.mark.parametrize(
    "source",
    [halved, Halving(), Halving, *(f"own_denoisers:{name}" for name in SOURCES)],
    ids=["a function", "a module", "a class", *SOURCES],
)
def test_a_users_own_is_wrapped(source: object) -> None:
    images = torch.rand(2, 1, 4, 4)
    denoiser = load_denoiser(source)
    assert isinstance(denoiser, Denoiser)
    assert not denoiser.training
    assert torch.equal(denoiser(images, 0.1), images / 2)


def test_a_function_is_told_its_shape_and_classes() -> None:
    denoiser = load_denoiser("own_denoisers:denoise", shape=(1, 4, 4), classes=3)
    assert (denoiser.shape, denoiser.classes) == ((1, 4, 4), 3)
    assert denoiser.description == {"adapter": "own", "source": "own_denoisers:denoise"}
    with pytest.raises(InputError, match=r"`shape`.*has its own"):
        load_denoiser("own_denoisers:factory", shape=(1, 4, 4))
    with pytest.raises(InputError, match=r"`classes`.*has its own"):
        load_denoiser("own_denoisers:factory", classes=3)


def test_a_denoiser_is_returned_itself() -> None:
    denoiser = Denoiser(Halving())
    assert load_denoiser(denoiser) is denoiser
    assert not denoiser.denoise.training
    with pytest.raises(InputError, match=r"`device`"):
        load_denoiser(denoiser, device="no such")


@pytest.mark.parametrize(
    ("source", "told"),
    [
        ("own_denoisers:missing", "importable"),
        ("own_denoisers:number", "a function .noisy, sigma, labels.*int"),
        ("own_denoisers:Needy", "called with nothing.*something"),
        ("own_denoisers:nothing", "a function .noisy, sigma, labels.*int"),
        ("no_such_module:f", "importable"),
        ("no such folder", "a folder or file that exists.*zoo:"),
        ("missing.onnx", "a folder or file that exists"),
        ("missing.pt", "exists"),
        ("missing.safetensors", "exists"),
        ("diffusers:missing", "a folder that exists"),
        ("", ""),
        (3, ""),
    ],
)
def test_an_unknown_source_is_refused(source: object, told: str) -> None:
    with pytest.raises(InputError, match=rf"`source`.*{told}"):
        load_denoiser(source)


def test_an_unknown_option_is_refused() -> None:
    with pytest.raises(InputError, match=r"`source`.*options that own has: shape=None, classes=0"):
        load_denoiser(halved, num_heads=4)
    with pytest.raises(InputError, match=r"`source`.*twice here: classes"):
        load_denoiser("own_denoisers:denoise(classes=3)", classes=3)
    with pytest.raises(InputError, match=r"`source`.*by name"):
        load_denoiser("own_denoisers:denoise(3)")


def test_options_may_be_written_in_the_text() -> None:
    assert load_denoiser("own_denoisers:denoise(classes=3)").classes == 3


def test_a_trained_one_comes_back(trained: tuple[Path, Denoiser]) -> None:
    path, expected = trained
    noisy, labels = torch.rand(2, 1, 8, 8), torch.tensor([0, 1])
    for source in (path, str(path), f"trained:{path}"):
        found = load_denoiser(source, device="cpu")
        assert (found.shape, found.classes) == ((1, 8, 8), 2)
        with torch.no_grad():
            torch.testing.assert_close(found(noisy, 0.3, labels), expected(noisy, 0.3, labels), atol=1e-6, rtol=0)


def test_a_path_may_hold_brackets_and_colons(trained: tuple[Path, Denoiser]) -> None:
    path, _ = trained
    odd = path.rename(path.parent / "mine: (1).safetensors")
    assert load_denoiser(str(odd)).classes == 2


def test_a_file_that_is_none_of_ours_is_refused(tmp_path: Path, trained: tuple[Path, Denoiser]) -> None:
    save_file({"weight": torch.zeros(2)}, tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"`source`.*ADM layout"):
        load_denoiser(tmp_path / "other.safetensors")
    with pytest.raises(InputError, match=r"`source`.*gradaudit-denoiser"):
        load_denoiser(f"trained:{tmp_path / 'other.safetensors'}")
    path, _ = trained
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"`source`.*readable \.safetensors"):
        load_denoiser(path)


def test_the_zoo_is_looked_up_by_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trained: tuple[Path, Denoiser]) -> None:
    (tmp_path / "own" / "denoisers").mkdir(parents=True)
    trained[0].rename(tmp_path / "own" / "denoisers" / "digits.safetensors")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "own")
    assert load_denoiser("zoo:digits").classes == 2
    with pytest.raises(InputError, match=r"`source` \(='zoo:faces'\).*packaged denoisers: zoo:digits"):
        load_denoiser("zoo:faces")
    with pytest.raises(InputError, match=r"`source`.*packaged denoisers: zoo:digits"):
        load_denoiser("zoo:../denoisers/digits")
    monkeypatch.setattr(zoo, "FOLDER", tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"none in this version"):
        load_denoiser("zoo:digits")


def test_every_adapter_is_found_by_its_name() -> None:
    assert {"adm", "diffusers", "edm_pickle", "hub", "own", "trained", "zoo"} <= set(ADAPTERS.names())
    for name in ADAPTERS.names():
        assert ADAPTERS.summary(name).endswith(".")
