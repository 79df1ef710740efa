"""timm and torchvision networks, on small stand-ins with the two libraries' signatures."""

import os
import sys
from enum import Enum
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import nn

from gradaudit.classifiers import build_network, class_names, load_classifier
from gradaudit.errors import InputError, MissingExtraError


class Tiny(nn.Sequential):
    def __init__(self, channels: int, classes: int) -> None:
        super().__init__(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, classes))


def create_model(name: str, pretrained: bool = False, *, num_classes: int = 7, in_chans: int = 3, scale: float = 0) -> nn.Module:
    if name != "tiny":
        raise RuntimeError(f"Unknown model ({name})")
    network = Tiny(in_chans, num_classes)
    network.pretrained_cfg = {"mean": (0.4, 0.5, 0.6), "std": (0.1, 0.2, 0.3)}
    if pretrained or scale:
        nn.init.constant_(network[2].weight, scale or 2.0)
    return network


class Preset:
    mean, std, crop_size = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225), [8]


class Published(Enum):
    V1 = "there/tiny-12345678.pth"
    DEFAULT = V1

    @property
    def url(self) -> str:
        return self.value

    @property
    def meta(self) -> dict[str, list[str]]:
        return {"categories": ["cat", "dog", *map(str, range(8))]}

    def transforms(self) -> Preset:
        return Preset()


def get_model(name: str, weights: Published | None = None, num_classes: int = 1000) -> nn.Module:
    if name == "offline" and weights:
        raise OSError("no connection")
    if name not in ("tiny", "offline"):
        raise ValueError(f"Unknown model {name}")
    return Tiny(3, num_classes)


@pytest.fixture(autouse=True)
def _stand_ins(monkeypatch: pytest.MonkeyPatch) -> None:
    timm, torchvision, models = ModuleType("timm"), ModuleType("torchvision"), ModuleType("torchvision.models")
    timm.create_model, models.get_model, torchvision.models = create_model, get_model, models
    models.get_model_weights = lambda name: Published  # type: ignore[attr-defined]
    for module in (timm, torchvision, models):
        monkeypatch.setitem(sys.modules, module.__name__, module)


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    torch.save(Tiny(3, 10).state_dict(), tmp_path / "tiny.pt")
    return tmp_path / "tiny.pt"


@pytest.mark.parametrize(
    ("library", "mean", "std"),
    [("timm", (0.4, 0.5, 0.6), (0.1, 0.2, 0.3)), ("torchvision", (0.485, 0.456, 0.406), (0.229, 0.224, 0.225))],
)
def test_weights_get_the_librarys_normalisation(library: str, mean: object, std: object, weights: Path) -> None:
    classifier = load_classifier(f"{library}:tiny", weights, input_shape=(3, 8, 8))
    images = torch.rand(2, 3, 8, 8)
    network = Tiny(3, 10)
    network.load_state_dict(torch.load(weights, weights_only=True))
    expected = network((images - torch.tensor(mean).view(3, 1, 1)) / torch.tensor(std).view(3, 1, 1))
    torch.testing.assert_close(classifier(images), expected)


def test_a_given_normalisation_wins(weights: Path) -> None:
    assert isinstance(load_classifier("timm:tiny", weights, input_shape=(3, 8, 8), normalisation="none"), Tiny)


def test_pretrained_network_keeps_its_own_classes() -> None:
    classifier = load_classifier("timm:tiny(pretrained=true)", input_shape=(3, 8, 8), classes=10)
    assert classifier(torch.rand(1, 3, 8, 8)).shape == (1, 7)
    assert bool((classifier.network[2].weight == 2).all())


def test_untrained_network_takes_shape_classes_and_options() -> None:
    network = build_network("timm:tiny(scale=3)", (1, 8, 8), 4)
    assert network[2].weight.shape == (4, 1)
    assert bool((network[2].weight == 3).all())


@pytest.mark.parametrize(
    ("spec", "shape", "message"),
    [
        ("timm:absent(pretrained=true)", (3, 8, 8), r"`classifier` .* timm can build \(Unknown model \(absent\)"),
        ("torchvision:absent(pretrained=true)", (3, 8, 8), "torchvision can build .Unknown model absent"),
        ("torchvision:offline(pretrained=true)", (3, 8, 8), "no connection"),
        ("torchvision:tiny(pretrained=true)", (1, 8, 8), r"`input_shape` .* of 3 channels"),
        ("timm:tiny(pretrained=true, width=3)", (3, 8, 8), "unexpected keyword"),
        ("timm:tiny(pretrained=true, checkpoint_path='x.pt')", (3, 8, 8), "numbers, true or false"),
        ("timm:tiny(pretrained=true)", (1, 8, 8), r"`input_shape` .* of 3 channels, which timm:tiny takes"),
        ("timm:tiny", (3, 8, 8), r"`weights` \(=None\) must be a checkpoint with the weights of timm:tiny"),
        ("timm:tiny(pretrained=false)", (3, 8, 8), r"`weights` \(=None\)"),
    ],
)
def test_bad_input_is_named(spec: str, shape: tuple[int, int, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        load_classifier(spec, input_shape=shape)


@pytest.mark.parametrize("library", ["timm", "torchvision", "transformers"])
def test_missing_library_says_how_to_install_it(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (library, f"{library}.models"):
        monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"pip install 'gradaudit\[{library}\]'"):
        load_classifier(f"{library}:tiny(pretrained=true)", input_shape=(3, 8, 8))


def test_a_file_that_torchvision_published_is_known_by_its_name(tmp_path: Path) -> None:
    torch.save(Tiny(3, 10).state_dict(), tmp_path / "tiny-12345678.pth")
    with pytest.warns(UserWarning, match="was trained on images of 8 x 8 pixels; these are 16 x 16"):
        known = load_classifier("torchvision:tiny", tmp_path / "tiny-12345678.pth", input_shape=(3, 16, 16), classes=10)
    assert class_names(known) == ("cat", "dog", *map(str, range(8)))


def test_the_weights_own_number_of_classes_counts(weights: Path) -> None:
    for classes in (None, 3, 10):
        assert load_classifier("timm:tiny", weights, classes=classes)(torch.rand(1, 3, 8, 8)).shape == (1, 10)


def test_weights_of_another_width_are_still_refused(tmp_path: Path) -> None:
    torch.save(Tiny(4, 10).state_dict(), tmp_path / "wide.pt")
    with pytest.raises(InputError, match=r"of another shape 2\.weight \(10, 4\) instead of"):
        load_classifier("torchvision:tiny", tmp_path / "wide.pt", input_shape=(3, 8, 8), classes=10)


def test_a_name_is_needed() -> None:
    with pytest.raises(InputError, match="given with a name, as timm:NAME"):
        load_classifier("timm:(pretrained=true)", input_shape=(3, 8, 8))


def test_what_is_unpickled_while_a_library_loads_is_tensors_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setenv("TORCH_FORCE_WEIGHTS_ONLY_LOAD", "0")

    def look(name: str, pretrained: bool, **options: object) -> nn.Module:
        seen.append(os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"])
        return create_model("tiny", pretrained)

    monkeypatch.setattr(sys.modules["timm"], "create_model", look)
    load_classifier("timm:tiny(pretrained=true)")
    load_classifier("timm:tiny(pretrained=true)", allow_pickle=True)
    assert seen == ["1", "0"]
    assert os.environ["TORCH_FORCE_WEIGHTS_ONLY_LOAD"] == "0"
