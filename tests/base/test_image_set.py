"""ImageSet: slicing against numpy, samples, means, fingerprints, memory maps, bad input."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from gradaudit.errors import InputError
from gradaudit.images import ImageSet, shared_images, stratified

N = 12
RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (N, 3, 4, 5), dtype=np.uint8)
LABELS = np.arange(N) % 4
MASK = RNG.random((N, 4, 5)) < 0.5
NAMES = ("a", "b", "c", "d")


def image_set(**changes):
    return ImageSet(**({"images": PIXELS, "labels": LABELS, "classes": NAMES, "signal_mask": MASK} | changes))


def assert_same(chosen, places):
    assert np.array_equal(chosen.images.numpy(), PIXELS[places])
    assert np.array_equal(chosen.labels.numpy(), LABELS[places])
    assert np.array_equal(chosen.signal_mask.numpy(), MASK[places])
    assert chosen.classes == NAMES


bounds = st.none() | st.integers(-2 * N, 2 * N)


@given(start=bounds, stop=bounds, step=st.none() | st.integers(-4, 4).filter(bool))
def test_a_slice_is_numpys(start, stop, step):
    places = slice(start, stop, step)
    if len(range(N)[places]):
        assert_same(image_set()[places], places)
    else:
        with pytest.raises(InputError, match=r"`images`.*at least one image"):
            image_set()[places]


@given(places=st.lists(st.integers(-N, N - 1), min_size=1), kind=st.sampled_from([list, tuple, np.array, torch.tensor]))
def test_indices_are_numpys_whatever_holds_them(places, kind):
    assert_same(image_set()[kind(places)], places)


@given(mask=st.lists(st.booleans(), min_size=N, max_size=N).filter(any), kind=st.sampled_from([list, np.array, torch.tensor]))
def test_a_boolean_mask_is_numpys(mask, kind):
    assert_same(image_set()[kind(mask)], np.array(mask))


@pytest.mark.parametrize("kind", [int, np.int64, torch.tensor, np.array])
@pytest.mark.parametrize("place", [0, 5, N - 1, -1, -N])
def test_an_integer_gives_a_set_of_one(place, kind):
    assert_same(image_set()[kind(place)], [place])


@pytest.mark.parametrize("which", [N, -N - 1, -3 * N, [0, N], [True] * (N + 1), [0.5]])
def test_an_index_that_is_not_there_is_an_index_error(which):
    with pytest.raises(IndexError):
        image_set()[which]


@pytest.mark.parametrize("which", [[], (), slice(3, 3), [False] * N, torch.zeros(N, dtype=torch.bool)])
def test_an_empty_choice_is_an_error(which):
    with pytest.raises(InputError, match=r"`images`.*at least one image"):
        image_set()[which]


def test_iterating_gives_every_image_once():
    assert [int(one.labels) for one in image_set()] == LABELS.tolist()
    assert len(image_set()) == N


def test_a_plain_slice_shares_its_pixels():
    images = image_set()
    assert images[3:9:2].images.untyped_storage().data_ptr() == images.images.untyped_storage().data_ptr()


def test_floats_are_pixels_over_255():
    floats = image_set().floats([1, 4])
    assert floats.dtype == torch.float32
    assert np.array_equal(floats.numpy(), PIXELS[[1, 4]].astype(np.float32) / 255)


def test_the_mean_is_numpys():
    expected = PIXELS.mean(axis=(0, 2, 3), dtype=np.float64) / 255
    assert np.allclose(image_set().mean().numpy(), expected, rtol=0, atol=1e-7)


def test_the_mean_of_more_images_than_one_block():
    pixels = RNG.integers(0, 256, (4100, 1, 2, 2), dtype=np.uint8)
    mean = ImageSet(pixels, np.zeros(4100, dtype=int), ("x",)).mean()
    assert float(mean) == pytest.approx(pixels.mean() / 255, abs=1e-7)


# Samples


@given(counts=st.lists(st.integers(1, 60), min_size=1, max_size=6), data=st.data())
def test_a_sample_keeps_every_class_in_its_proportion(counts, data):
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    size = data.draw(st.integers(1, len(labels)))
    chosen = stratified(labels, size, seed=data.draw(st.integers(0, 99)))
    assert len(set(chosen.tolist())) == size
    assert all(0 <= place < len(labels) for place in chosen.tolist())
    # One share cuts every class, so each count is that share rounded; the share is off by half an image a class at most.
    for label, count in enumerate(counts):
        slack = 0.5 + 0.5 * len(counts) * count / len(labels)
        assert abs(int((labels[chosen] == label).sum()) - size * count / len(labels)) <= slack + 1e-9


def test_a_sample_of_balanced_classes_is_balanced():
    chosen = image_set().sample(8, seed=3)
    assert torch.bincount(chosen.labels).tolist() == [2, 2, 2, 2]


def test_a_sample_is_decided_by_its_seed_and_shuffled():
    labels = torch.arange(1000) % 10
    first, again, other = (stratified(labels, 500, seed).tolist() for seed in (0, 0, 1))
    assert first == again
    assert first != other
    assert first != sorted(first)
    assert len({int(label) for label in labels[first[:50]]}) > 5


def test_a_sample_of_everything_is_a_permutation():
    assert sorted(stratified(torch.from_numpy(LABELS), N, 0).tolist()) == list(range(N))


@pytest.mark.parametrize("size", [0, -1, N + 1])
def test_a_sample_of_an_impossible_size_is_an_error(size):
    with pytest.raises(InputError, match=rf"`size` \(={size}\) must be from 1 to 12"):
        image_set().sample(size)


# Fingerprints


def changed(array):
    array = array.copy()
    array.flat[-1] = not array.flat[-1] if array.dtype == bool else (int(array.flat[-1]) + 1) % 4
    return array


@pytest.mark.parametrize(
    "changes",
    [
        {"images": changed(PIXELS)},
        {"labels": changed(LABELS)},
        {"classes": ("a", "b", "c", "e")},
        {"classes": ("a", "b", "cd", "")},
        {"signal_mask": changed(MASK)},
        {"signal_mask": None},
        {"images": PIXELS.reshape(N, 3, 5, 4), "signal_mask": MASK.reshape(N, 5, 4)},
    ],
    ids=["pixels", "labels", "classes", "class boundary", "mask", "no mask", "shape"],
)
def test_the_fingerprint_changes_with_what_it_covers(changes):
    assert image_set(**changes).fingerprint != image_set().fingerprint


def test_the_fingerprint_does_not_change_with_the_way_in_memory(tmp_path):
    np.save(tmp_path / "pixels.npy", PIXELS)
    ways = [
        torch.from_numpy(PIXELS).to(memory_format=torch.channels_last),
        np.asfortranarray(PIXELS),
        np.load(tmp_path / "pixels.npy", mmap_mode="r"),
        np.repeat(PIXELS, 2, axis=0)[::2],
        PIXELS[::-1].copy()[::-1],
    ]
    assert {image_set(images=way).fingerprint for way in ways} == {image_set().fingerprint}
    assert image_set(labels=LABELS.astype(np.uint8)).fingerprint == image_set().fingerprint
    assert image_set()[:].fingerprint == image_set().fingerprint


# Memory maps


@pytest.mark.parametrize("mode", ["r", "c"])
def test_a_memory_mapped_array_stays_on_disk(tmp_path, mode):
    psutil = pytest.importorskip("psutil")
    path = tmp_path / "large.npy"
    np.lib.format.open_memmap(path, mode="w+", dtype=np.uint8, shape=(2000, 3, 100, 100)).flush()
    mapped = np.load(path, mmap_mode=mode)
    before = psutil.Process().memory_info().rss
    images = ImageSet(mapped, np.zeros(2000, dtype=int), ("x",))
    part = images[100:1900][::2]
    assert psutil.Process().memory_info().rss - before < 40e6  # 60 MB on disk; the list of 900 takes half
    assert images.images.data_ptr() == mapped.ctypes.data
    assert len(part) == 900


def test_a_read_only_array_is_copied_so_that_nothing_can_write_to_it():
    frozen = PIXELS.copy()
    frozen.flags.writeable = False
    assert image_set(images=frozen).images.data_ptr() != frozen.ctypes.data


# Bad input


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"images": PIXELS.astype(np.float32)}, "`images` .*float32.* must be uint8"),
        ({"images": PIXELS[:, 0]}, r"`images` .*\(N, C, H, W\) with 1 or 3 channels"),
        ({"images": PIXELS[:, :2]}, "`images` .*1 or 3 channels"),
        ({"images": PIXELS[:0], "labels": LABELS[:0], "signal_mask": None}, "`images` .*at least one image"),
        ({"images": PIXELS[..., :0]}, "`images` .*at least one image with at least one pixel"),
        ({"images": [["a"]]}, "`images` .*a tensor or a numeric array"),
        ({"images": None}, "`images` .*a tensor or a numeric array"),
        ({"labels": LABELS.astype(float)}, "`labels` .*integers"),
        ({"labels": LABELS > 1}, "`labels` .*integers"),
        ({"labels": LABELS[:-1]}, r"`labels` .*of shape \(12,\)"),
        ({"labels": LABELS[:, None]}, r"`labels` .*of shape \(12,\)"),
        ({"labels": LABELS + 1}, r"`labels` \(='1..4'\) must be from 0 to 3"),
        ({"labels": LABELS - 1}, r"`labels` \(='-1..2'\) must be from 0 to 3"),
        ({"labels": ["cat"] * N}, "`labels` .*numeric"),
        ({"classes": ()}, "`classes` .*at least one class name"),
        ({"classes": 10}, r"`classes` \(=10\) must be a sequence of class names"),
        ({"classes": "abcd"}, r"`classes` \(='abcd'\) must be a sequence of class names"),
        ({"signal_mask": MASK.astype(np.uint8)}, "`signal_mask` .*boolean"),
        ({"signal_mask": MASK[:-1]}, r"`signal_mask` .*of shape \(12, 4, 5\)"),
        ({"signal_mask": MASK[:, None]}, r"`signal_mask` .*of shape \(12, 4, 5\)"),
    ],
)
def test_bad_input_is_named(changes, words):
    with pytest.raises(InputError, match=words):
        image_set(**changes)


def test_class_names_become_text_and_labels_int64():
    images = image_set(classes=[0, 1, 2, 3], labels=LABELS.astype(np.uint8))
    assert images.classes == ("0", "1", "2", "3")
    assert images.labels.dtype == torch.int64
    assert repr(images) == "ImageSet(12 images of 3x4x5, 4 classes, signal mask)"


def test_shared_images_are_counted_by_their_pixels_alone():
    train, test = image_set(), image_set(images=RNG.integers(0, 256, (N, 3, 4, 5), dtype=np.uint8), signal_mask=None)
    assert shared_images(train, test) == 0
    pixels = np.concatenate([test.images.numpy()[:9], PIXELS[[4, 4, 7]]])
    assert shared_images(train, image_set(images=pixels, labels=LABELS[::-1].copy())) == 3
    changed = PIXELS.copy()
    changed[:, 0, 0, 0] ^= 1
    assert shared_images(train, image_set(images=changed)) == 0
    assert shared_images(train, image_set(images=PIXELS.reshape(N, 3, 5, 4), signal_mask=None)) == 0


def test_shared_images_are_found_beyond_one_pass():
    many = RNG.integers(0, 256, (2500, 1, 3, 3), dtype=np.uint8)
    many[2499] = many[1030] = 7
    train = image_set(images=many, labels=np.zeros(2500, np.int64), signal_mask=None)
    assert shared_images(train, train[2400:]) == 100
    assert shared_images(train[:2400], train[2499:]) == 1
