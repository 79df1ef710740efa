"""Blocks: against a naive composition, signal masks, draws that belong to an image, kinds of null block, bad input."""

import sys
from types import ModuleType

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import TextPath

from gradaudit.datasets import load_images
from gradaudit.datasets.blocks import NULLS, blocks
from gradaudit.errors import InputError
from gradaudit.images import ImageSet

NAMES = ("cat", "dog", "owl")


def image_set(count=60, shape=(1, 6, 5), seed=0):
    rng = np.random.default_rng(seed)
    return ImageSet(rng.integers(0, 256, (count, *shape), np.uint8), rng.integers(0, 3, count), NAMES)


def numbered(count, shape, generator):
    """Null blocks whose every pixel is drawn, so that none can be mistaken for another."""
    return generator.integers(0, 256, (count, *shape), np.uint8)


def signal_places(result, layout, side):
    """Index of the signal block of each image, read off its mask."""
    count = len(result)
    per_block = result.signal_mask.reshape(count, layout[0], side[0], layout[1], side[1]).permute(0, 1, 3, 2, 4)
    covered = per_block.flatten(1, 2).flatten(2).double().mean(dim=2)
    assert ((covered == 0) | (covered == 1)).all()
    assert (covered.sum(dim=1) == 1).all()
    return covered.argmax(dim=1)


# The composition


@given(
    count=st.integers(1, 8),
    shape=st.tuples(st.sampled_from([1, 3]), st.integers(1, 5), st.integers(1, 5)),
    layout=st.tuples(st.integers(1, 3), st.integers(1, 3)).filter(lambda layout: layout != (1, 1)),
    position=st.sampled_from(["random", "top", "bottom", 1]),
    seed=st.integers(0, 5),
)
def test_it_is_the_image_by_image_composition(count, shape, layout, position, seed):
    images = image_set(count, shape, seed)
    result = blocks(images, position=position, null=numbered, layout=layout, seed=seed)
    (rows, columns), (_, height, width) = layout, shape
    places = signal_places(result, layout, shape[1:])
    nulls = iter(numbered(count * (rows * columns - 1), shape, np.random.default_rng(seed)))
    for image, place, composed, mask in zip(images.images, places, result.images, result.signal_mask, strict=True):
        expected, signal = torch.empty_like(composed), torch.zeros_like(mask)
        for index in range(rows * columns):
            row, column = divmod(index, columns)
            window = (slice(row * height, (row + 1) * height), slice(column * width, (column + 1) * width))
            expected[:, *window] = image if index == place else torch.from_numpy(next(nulls))
            signal[window] = index == place
        assert torch.equal(composed, expected)
        assert torch.equal(mask, signal)
    fixed = {"top": 0, "bottom": rows * columns - 1, 1: 1}
    if position != "random":
        assert (places == fixed[position]).all()
    assert torch.equal(result.labels, images.labels)
    assert result.classes == NAMES


def test_many_chunks_compose_like_one():
    images = image_set(300, (3, 64, 48))  # 18 kB a result: more than one megabyte in all
    result = blocks(images, null=numbered, seed=2)
    nulls = numbered(300, images.shape, np.random.default_rng(2))
    for place, image, null, composed in zip(
        signal_places(result, (2, 1), (64, 48)), images.images.numpy(), nulls, result.images.numpy(), strict=True
    ):
        assert np.array_equal(composed, np.concatenate([image, null] if place == 0 else [null, image], axis=1))


@pytest.mark.parametrize("classes", [(2, 0), ("owl", "cat"), [2, "cat"], np.array([2, 0])])
def test_chosen_classes_are_relabelled_in_the_order_given(classes):
    images = image_set()
    result = blocks(images, position="top", classes=classes)
    kept = images.labels != 1
    assert result.classes == ("owl", "cat")
    assert torch.equal(result.images[:, :, :6], images.images[kept])
    assert torch.equal(result.labels, torch.tensor([1, -1, 0])[images.labels[kept]])


# Draws


def test_positions_are_uniform_and_decided_by_the_seed():
    images = image_set(4000, (1, 3, 3))
    first, again, other = (signal_places(blocks(images, layout=(2, 2), seed=seed), (2, 2), (3, 3)) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    # Four equal shares: 3 degrees of freedom, of which chi-squared exceeds 21.1 once in 10,000.
    for places in (first, other):
        chi = ((torch.bincount(places, minlength=4) - 1000.0) ** 2 / 1000).sum()
        assert chi < 21.1
    assert float((first == other).double().mean()) == pytest.approx(0.25, abs=0.03)


def test_a_position_does_not_depend_on_order_or_company():
    images = image_set()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    whole, permuted, part = (blocks(some, seed=3) for some in (images, images[order], images[10:20]))
    assert torch.equal(permuted.images, whole.images[order])
    assert torch.equal(permuted.signal_mask, whole.signal_mask[order])
    assert torch.equal(part.signal_mask, whole.signal_mask[10:20])


@pytest.mark.parametrize("null", ["noise", "other"])
def test_random_null_blocks_belong_to_the_seed_and_the_place(null):
    images = image_set()
    whole, again, fewer, other = (
        blocks(some, null=null, seed=seed) for some, seed in ((images, 0), (images, 0), (images[:7], 0), (images, 1))
    )
    assert whole.fingerprint == again.fingerprint
    assert torch.equal(fewer.images, whole.images[:7])
    assert whole.fingerprint != other.fingerprint


@pytest.mark.parametrize("null", NULLS.names())
def test_no_pixel_depends_on_the_labels(null):
    images = image_set()
    relabelled = ImageSet(images.images, images.labels.flip(0), NAMES)
    assert torch.equal(blocks(images, null=null).images, blocks(relabelled, null=null).images)


def test_a_fixed_position_keeps_one_mask_in_memory():
    mask = blocks(image_set(), position="bottom").signal_mask
    assert mask.untyped_storage().nbytes() == 2 * 12 * 5  # one for each position


# Kinds of null block


def null_of(null, shape=(1, 28, 28), count=20, **options):
    """The null blocks of `count` images."""
    result = blocks(image_set(count, shape), position="top", null=null, **options)
    return result.images[:, :, shape[1] :]


def test_the_square_is_a_thin_outline_in_the_middle():
    null = null_of("square")
    expected = np.zeros((28, 28), np.uint8)
    expected[6:22, 6:22] = 255
    expected[7:21, 7:21] = 0
    assert (null == torch.from_numpy(expected)).all()


def test_the_square_has_the_size_asked_for_in_a_block_of_any_shape():
    null = null_of("square(size=5, thickness=1)", (3, 9, 7))
    assert (null[:, :, 2:7, 1:6] == 255).float().mean() == pytest.approx(16 / 25)
    assert int((null == 255).sum()) == 20 * 3 * 16


@pytest.mark.parametrize("side", [1, 2, 3, 5, 8, 64])
@pytest.mark.parametrize("null", ["square", "letter"])
def test_drawn_kinds_leave_ink_in_blocks_of_every_size(null, side):
    assert null_of(null, (1, side, side)).max() > 0


def test_nothing_is_black():
    assert not null_of("nothing", (3, 4, 4)).any()


def test_noise_has_the_moments_asked_for():
    pixels = null_of("noise(mean=0.4, std=0.1)", count=200).double() / 255
    count = pixels.numel()
    assert float(pixels.mean()) == pytest.approx(0.4, abs=5 * 0.1 / count**0.5)
    assert float(pixels.std()) == pytest.approx(0.1, abs=5 * 0.1 / (2 * count) ** 0.5)
    blocks_apart = pixels.flatten(1) - pixels.flatten(1).mean(dim=0)
    correlation = torch.corrcoef(blocks_apart)
    assert correlation[~torch.eye(len(correlation), dtype=torch.bool)].abs().max() < 6 / 784**0.5


def test_noise_is_clamped():
    pixels = null_of("noise(std=10)")
    assert float(((pixels == 0) | (pixels == 255)).double().mean()) > 0.95
    assert float((pixels == 0).double().mean()) == pytest.approx(0.5, abs=0.05)


def test_the_letter_is_the_same_in_every_image_and_its_strokes_are_an_as():
    null = null_of("letter(A)")[:, 0]
    assert (null == null[0]).all()
    ink = null[0] > 127
    rows = ink.any(dim=1).nonzero().flatten()
    assert (int(rows.min()), int(rows.max())) == (4, 23)
    # Down an A: one stroke at the top, two, the bar, two; the same from the left as from the right.
    strokes = [int((row[1:] & ~row[:-1]).sum()) for row in ink[rows]]
    runs = [strokes[place] for place in range(len(strokes)) if place == 0 or strokes[place] != strokes[place - 1]]
    assert runs == [1, 2, 1, 2]
    assert int((ink != ink.flip(1)).sum()) <= 2


@pytest.mark.parametrize("name", "ABO8Ü")
def test_a_letter_has_the_ink_of_its_outline(name):
    path = TextPath((0, 0), name, size=100, prop=FontProperties(family="DejaVu Sans"))
    loops = [np.asarray(loop) for loop in path.to_polygons()]
    # The shoelace formula: a hole runs the other way round, so its area is taken off.
    area = abs(sum((x[:-1] * y[1:] - x[1:] * y[:-1]).sum() / 2 for x, y in (loop.T for loop in loops)))
    expected = area * (20 / max(path.get_extents().size)) ** 2
    assert float(null_of(f"letter({name!r})")[0].sum()) / 255 == pytest.approx(expected, rel=0.02)


def test_letters_differ_and_have_their_size():
    letters = [null_of(f"letter({name!r}, size=10)")[0, 0] for name in "ABO8Ü"]
    assert len({letter.numpy().tobytes() for letter in letters}) == 5
    for letter in letters:
        rows, columns = (letter > 0).nonzero(as_tuple=True)
        assert max(int(rows.max() - rows.min()), int(columns.max() - columns.min())) + 1 == pytest.approx(10, abs=1)


def test_other_images_are_the_other_sets_and_drawn_evenly():
    train, test = load_images("mnist5k")
    for half, found in (("train", train), ("test", test)):
        null = null_of(f"other(half={half})", count=2000)
        label_of = {image.numpy().tobytes(): int(label) for image, label in zip(found.images, found.labels, strict=True)}
        counts = np.bincount([label_of[image.numpy().tobytes()] for image in null], minlength=10)
        assert ((counts - 200.0) ** 2 / 200).sum() < 33.7  # chi-squared, 9 degrees of freedom: once in 10,000


def test_a_small_grey_image_is_framed_and_repeated_in_a_colour_block():
    null = null_of("other", (3, 33, 40))
    inner = null[:, :, 2:30, 6:34]
    assert (null[:, 0] == null[:, 1]).all()
    assert int(null.sum(dtype=torch.int64)) == int(inner.sum(dtype=torch.int64))
    originals = {image.numpy().tobytes() for image in load_images("mnist5k")[0].images}
    assert all(image[0].numpy().tobytes() in originals for image in inner)


@pytest.fixture
def colours(tmp_path):
    """A data set of one image, 3 x 8 x 4: red above, green below."""
    pixels = np.zeros((1, 3, 8, 4), np.uint8)
    pixels[0, 0, :4] = pixels[0, 1, 4:] = 200
    halves = {
        f"{half}_{part}": value for half in ("train", "test") for part, value in (("images", pixels), ("labels", np.zeros(1, int)))
    }
    np.savez(tmp_path / "colours.npz", layout="NCHW", **halves)
    return f"other({str(tmp_path / 'colours.npz')!r})"


def test_a_large_colour_image_is_made_smaller_and_grey(colours):
    null = null_of(colours, (1, 4, 4), count=1)[0, 0]
    assert not null[:, [0, 3]].any()  # 8 x 4 in 4 x 4: two columns remain
    red, green = round(0.299 * 200), round(0.587 * 200)
    assert null[0, 1:3].tolist() == pytest.approx([red, red], abs=1)
    assert null[3, 1:3].tolist() == pytest.approx([green, green], abs=1)
    assert red < int(null[1, 1]) < int(null[2, 1]) < green


def test_a_large_colour_image_keeps_its_colours_in_a_colour_block(colours):
    null = null_of(colours, (3, 4, 4), count=1)[0]
    assert null[:, 0, 1].tolist() == pytest.approx([200, 0, 0], abs=1)
    assert null[:, 3, 1].tolist() == pytest.approx([0, 200, 0], abs=1)


@pytest.mark.parametrize("kind", [np.array, torch.tensor])
@pytest.mark.parametrize("shape", [(2, 3), (1, 2, 3)])
def test_an_array_is_every_null_block(kind, shape):
    block = np.arange(6, dtype=np.uint8).reshape(shape)
    null = null_of(kind(block), (1, 2, 3), layout=(3, 1))
    assert (null.reshape(-1, 2, 3) == torch.from_numpy(block.reshape(2, 3))).all()


def test_an_own_function_can_be_named_with_options(monkeypatch):
    def stripes(count, shape, generator, *, level=1):
        return np.full((count, *shape), level, np.uint8)

    module = ModuleType("my_own_nulls")
    module.stripes = stripes
    monkeypatch.setitem(sys.modules, "my_own_nulls", module)
    assert (null_of("my_own_nulls:stripes(level=7)") == 7).all()
    assert (null_of(stripes) == 1).all()


# Bad input


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"position": "left"}, r"`position` \(='left'\) must be \"random\", \"top\", \"bottom\" or an index from 0 to 1"),
        ({"position": 2}, r"`position` \(=2\)"),
        ({"position": -1}, r"`position` \(=-1\)"),
        ({"position": True}, r"`position` \(=True\)"),
        ({"layout": (1, 1)}, r"`layout` \(=\(1, 1\)\) must be .*two blocks at least"),
        ({"layout": (0, 2)}, r"`layout`"),
        ({"layout": (2.0, 1)}, r"`layout`"),
        ({"layout": 2}, r"`layout`"),
        ({"seed": -1}, r"`seed` \(=-1\) must be a whole number, 0 or more"),
        ({"seed": 0.5}, r"`seed`"),
        ({"classes": ("cat", "cow")}, r"`classes` \(='cow'\) must be an index from 0 to 2 or one of the names cat, dog, owl"),
        ({"classes": (0, 3)}, r"`classes` \(=3\)"),
        ({"classes": (0, "cat")}, r"`classes` \(=\(0, 'cat'\)\) must be .*each once"),
        ({"classes": ()}, r"`classes` \(=\(\)\)"),
        ({"classes": "cat"}, r"`classes` \(='cat'\) must be a sequence"),
        ({"null": "circle"}, r"`null` \(='circle'\) must be the name of a null kind: letter, noise, nothing, other, square"),
        ({"null": "square(radius=3)"}, r"`null`.*options that square has: size=None, thickness=None"),
        ({"null": "square(size=6)"}, r"`size` \(=6\) must be a whole number from 1 to 5"),
        ({"null": "square(thickness=3)"}, r"`thickness` \(=3\) must be a whole number from 1 to half of the size, 3"),
        ({"null": "square(thickness=true)"}, r"`thickness` \(=True\)"),
        ({"null": "noise(mean=2)"}, r"`mean` \(=2\)"),
        ({"null": "noise(std=-1)"}, r"`std` \(=-1\)"),
        ({"null": "noise(std='much')"}, r"`std` \(='much'\)"),
        ({"null": "letter(AB)"}, r"`letter` \(='AB'\) must be one character"),
        ({"null": "letter(7)"}, r"`letter` \(=7\)"),
        ({"null": "letter(' ')"}, r"`letter` \(=' '\)"),
        ({"null": "letter('\U0010ffff')"}, r"`letter`"),
        ({"null": "letter(A, size=9)"}, r"`size` \(=9\)"),
        ({"null": "other(no_such_set)"}, r"\(='no_such_set'\) must be the name of a data set"),
        ({"null": "other(half=both)"}, r"`half` \(='both'\) must be \"train\" or \"test\""),
        ({"null": np.zeros((3, 3), np.uint8)}, r"`null` \(=ndarray of shape \(3, 3\), uint8\) must be .*\(1, 6, 5\) or \(6, 5\)"),
        ({"null": np.zeros((6, 5))}, r"`null` \(=ndarray of shape \(6, 5\), float64\)"),
        ({"null": lambda count, shape, generator: np.zeros((count, *shape))}, r"`null`.*a function \(count, shape, generator\)"),
        ({"null": lambda count, shape, generator: np.zeros((1, *shape), np.uint8)}, r"`null`.*uint8 \(60, 1, 6, 5\) for count 60"),
    ],
)
def test_bad_input_names_the_argument(options, message):
    with pytest.raises(InputError, match=message):
        blocks(image_set(), **options)


def test_classes_without_an_image_are_refused():
    images = image_set()
    with pytest.raises(InputError, match=r"`classes` \(=\('owl',\)\) must be classes of which there is an image"):
        blocks(images[images.labels != 2], classes=("owl",))
