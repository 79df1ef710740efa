"""Scores as pictures: colours against their definition, and what must not be drawn."""

from __future__ import annotations

import base64
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from PIL import Image

from gradaudit.errors import InputError
from gradaudit.markup.pictures import BUDGET, data_uri, image_pixels, picture_rows, score_pixels
from gradaudit.report import Pictures


def test_zero_is_nearly_white_and_the_sign_decides_the_hue() -> None:
    scores = torch.tensor([[[0.0, 1.0], [-1.0, 0.0]]])
    colours = score_pixels(scores).astype(int)
    assert colours[0, 0].min() > 240
    assert (colours[0, 0] == colours[1, 1]).all()
    (red, _, blue), (other_red, _, other_blue) = colours[0, 1], colours[1, 0]
    assert red > blue + 50
    assert other_blue > other_red + 50


def test_full_colour_is_reached_at_the_percentile_and_does_not_change_beyond() -> None:
    values = torch.linspace(-1, 1, 2001, dtype=torch.float64).reshape(1, 1, -1)
    limit = np.percentile(np.abs(values.numpy()), 99.5)
    colours = score_pixels(values)[0]
    beyond = colours[values[0, 0].numpy() >= limit]
    assert (beyond == beyond[0]).all()
    assert (colours[1500] != beyond[0]).any()


def test_a_scale_of_its_own_and_channels_summed() -> None:
    scores = torch.randn(3, 6, 6, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (score_pixels(scores * 1e-6) == score_pixels(scores)).all()
    assert (score_pixels(scores.sum(0, keepdim=True)) == score_pixels(scores)).all()


def test_no_scores_and_a_single_score_are_drawn() -> None:
    blank = score_pixels(torch.zeros(1, 40, 40))
    assert (blank == blank[0, 0]).all()
    single = torch.zeros(1, 40, 40)
    single[0, 3, 5] = 2.0
    assert np.argwhere((score_pixels(single) != blank).any(-1)).tolist() == [[3, 5]]


@pytest.mark.parametrize("channels", [1, 3])
def test_the_picture_of_an_image_is_the_image(channels: int) -> None:
    pixels = torch.randint(0, 256, (channels, 5, 4), generator=torch.Generator().manual_seed(0), dtype=torch.uint8)
    source = data_uri(image_pixels(pixels.float() / 255))
    decoded = np.asarray(Image.open(io.BytesIO(base64.b64decode(source.removeprefix("data:image/png;base64,")))))
    assert (decoded.reshape(5, 4, channels) == pixels.permute(1, 2, 0).numpy()).all()


def test_a_row_holds_image_classifiers_and_controls_in_order(make_pictures: Callable[..., Pictures]) -> None:
    rows = picture_rows(make_pictures(("standard", "robust")), BUDGET)
    assert [label for label, _ in rows] == ["7", "2", "1"]
    assert [picture.description for picture in rows[1][1]] == [
        "Image 2, labelled 2",
        "Scores of the classifier standard for image 2, labelled 2",
        "Scores of the classifier robust for image 2, labelled 2",
        "Scores of the control random for image 2, labelled 2",
    ]


def test_what_exceeds_the_budget_is_left_out_but_never_the_first(make_pictures: Callable[..., Pictures]) -> None:
    pictures = make_pictures()
    sizes = [sum(len(picture.source) for picture in row) for _, row in picture_rows(pictures, BUDGET)]
    assert len(picture_rows(pictures, sizes[0] + sizes[1])) == 2
    assert len(picture_rows(pictures, 1)) == 1


IMAGES = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(0))
NAN = torch.full_like(IMAGES, float("nan"))


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("`images`", {"images": (IMAGES * 255).byte()}),
        ("`images`", {"images": IMAGES * 255}),
        ("`images`", {"images": IMAGES[0]}),
        ("`images`", {"images": IMAGES.repeat(1, 2, 1, 1)}),
        ("`images`", {"images": NAN}),
        ("`labels`", {"labels": ["7"]}),
        ("`scores`", {"scores": {}}),
        ("`scores['a']`", {"scores": {"a": IMAGES[:1]}}),
        ("`scores['a']`", {"scores": {"a": NAN}}),
        ("`scores['a']`", {"scores": {"a": IMAGES.numpy()}}),
        ("`controls['edges']`", {"controls": {"edges": IMAGES[:, :, :2]}}),
    ],
)
def test_bad_pictures_are_refused(argument: str, changes: dict[str, object]) -> None:
    good: dict[str, object] = {"images": IMAGES, "labels": ["7", "2"], "scores": {"a": IMAGES}}
    with pytest.raises(InputError) as caught:
        Pictures(**(good | changes))  # type: ignore[arg-type]
    assert str(caught.value).startswith(argument)
