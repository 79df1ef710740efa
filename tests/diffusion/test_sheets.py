import numpy as np
import pytest
import torch
from PIL import Image

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.sampling import sample
from gradaudit.diffusion.sheets import sample_sheet, write_sheet
from gradaudit.errors import InputError


@pytest.mark.parametrize("channels", [1, 3])
def test_images_stand_row_by_row_in_grey_frames(tmp_path, channels):
    images = torch.randint(256, (6, channels, 4, 5), generator=torch.Generator().manual_seed(0)) / 255
    pixels = np.asarray(Image.open(write_sheet(tmp_path / "a.png", images, 3))).reshape(2 * 6, 3 * 7, channels)
    for index in range(6):
        row, column = divmod(index, 3)
        tile = pixels[6 * row : 6 * row + 6, 7 * column : 7 * column + 7]
        expected = (255 * images[index]).round().permute(1, 2, 0).numpy().astype(np.uint8)
        assert np.array_equal(tile[1:-1, 1:-1], expected)
        assert (tile[0] == 128).all()


def test_a_sheet_of_samples_has_a_row_for_each_class(tmp_path):
    def known(noisy, sigma, labels):
        return torch.ones_like(noisy) * (0.0 if labels is None else labels[:, None, None, None] / 4)

    denoiser = Denoiser(known, shape=(1, 4, 4), classes=3)
    pixels = np.asarray(Image.open(sample_sheet(tmp_path / "a.png", denoiser, columns=2)))
    expected = write_sheet(tmp_path / "b.png", sample(denoiser, 6, labels=[0, 0, 1, 1, 2, 2]), 2)
    assert np.array_equal(pixels, np.asarray(Image.open(expected)))
    assert [pixels[6 * row + 2, 2] for row in range(3)] == [0, 64, 128]


@pytest.mark.parametrize(
    ("argument", "path", "images", "columns"),
    [
        ("path", "a.jpg", torch.zeros(4, 1, 2, 2), 2),
        ("images", "a.png", torch.zeros(4, 2, 2), 2),
        ("columns", "a.png", torch.zeros(4, 1, 2, 2), 3),
        ("columns", "a.png", torch.zeros(4, 1, 2, 2), 0),
    ],
)
def test_a_bad_argument_is_named(tmp_path, argument, path, images, columns):
    with pytest.raises(InputError, match=f"^`{argument}`"):
        write_sheet(tmp_path / path, images, columns)
    assert list(tmp_path.iterdir()) == []
