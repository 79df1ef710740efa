import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from gradaudit.classifiers import Normalisation, Normalise, normalised, read_normalisation
from gradaudit.errors import InputError

IMAGENET = Normalisation((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))


def test_normalise_is_its_formula_channel_by_channel() -> None:
    images = torch.rand(2, 3, 4, 5)
    out = Normalise((0.1, 0.2, 0.3), (1.0, 2.0, 4.0))(images)
    for channel, (mean, std) in enumerate(((0.1, 1.0), (0.2, 2.0), (0.3, 4.0))):
        torch.testing.assert_close(out[:, channel], (images[:, channel] - mean) / std)


@pytest.mark.parametrize(
    "given",
    [
        "imagenet",
        "0.485,0.456,0.406/0.229,0.224,0.225",
        ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)),
        [[0.485, 0.456, 0.406], [0.229, 0.224, 0.225]],
        {"mean": [0.485, 0.456, 0.406], "std": [0.229, 0.224, 0.225]},
        IMAGENET,
    ],
)
def test_every_way_of_writing_it_gives_the_same_numbers(given: object) -> None:
    assert read_normalisation(given, 3) == IMAGENET


@pytest.mark.parametrize("given", ["none", None])
def test_none_leaves_the_network_alone(given: str | None) -> None:
    network = nn.Flatten()
    assert normalised(network, given) is network


@given(st.lists(st.tuples(st.floats(-1, 1), st.floats(1e-6, 5)), min_size=1, max_size=4))
def test_text_gives_back_the_same_numbers(pairs: list[tuple[float, float]]) -> None:
    mean, std = zip(*pairs, strict=True)
    normalisation = Normalisation(mean, std)
    assert read_normalisation(str(normalisation)) == normalisation


def test_normalised_network_sees_normalised_images() -> None:
    images = torch.rand(2, 1, 3, 3)
    torch.testing.assert_close(normalised(nn.Flatten(), "mnist", 1)(images), ((images - 0.1307) / 0.3081).flatten(1))


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("minst", "must be one of none, mnist"),
        ("0.5,0.5/0.5", "as many means as standard deviations"),
        ("0.5/0", "standard deviations above 0"),
        ("0.5/nan", "finite numbers"),
        ("a/b", r"a pair \(mean, std\)"),
        ("1/2/3", r"a pair \(mean, std\)"),
        ((0.5, 0.5), r"a pair \(mean, std\)"),
        (((0.5,),), r"a pair \(mean, std\)"),
        ({"mean": [0.5]}, r"a pair \(mean, std\)"),
        ("cifar10", "given for 1 channels, as the images have by `input_shape`; it has 3"),
        (((), ()), "one for each channel"),
    ],
)
def test_bad_normalisation_is_named(given: object, expected: str) -> None:
    with pytest.raises(InputError, match=f"`normalisation` .*{expected}"):
        read_normalisation(given, 1)


def test_other_channels_are_not_broadcast() -> None:
    with pytest.raises(InputError, match=r"`images` .* must be of 3 channels"):
        Normalise((0.5,) * 3, (0.5,) * 3)(torch.rand(2, 1, 4, 4))


def test_means_of_values_up_to_255_are_asked_about() -> None:
    with pytest.raises(InputError, match=r"Is it of values from 0 to 255\? Then it is 0\.5,0\.4471/0\.25,0\.2235 here"):
        read_normalisation("127.5,114/63.75,57")
    assert read_normalisation("0/0.00392") == Normalisation((0.0,), (0.00392,))
