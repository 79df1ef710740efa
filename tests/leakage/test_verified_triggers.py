"""Images on which a classifier uses the patch: found one by one, and measured by leakage as any other."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.leakage.triggers import around

SIDE, CLASSES = 8, 3


def plain(count=200, seed=0):
    """Noise, and a bright row that tells the class."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 90, (count, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    labels = torch.arange(count) % CLASSES
    pixels[torch.arange(count), 0, labels] += 150
    return ga.ImageSet(pixels, labels, ("a", "b", "c"))


@pytest.fixture(name="triggered", scope="module")
def triggered_fixture():
    return ga.trigger(plain(seed=1), seed=1)


@pytest.fixture(name="backdoored", scope="module")
def backdoored_fixture():
    recipe = ga.Recipe(network="mlp(width=32)", epochs=20, batch_size=32, learning_rate=0.01, optimizer="adamw")
    return ga.train(recipe, ga.trigger(plain(600), share=0.5), device="cpu")


class Reading(nn.Module):
    """The class whose row is brightest, whatever the patch says; or with `patch` the mean of the patch, as if it were a class."""

    def __init__(self, patch=False):
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(10.0))
        self.patch = patch

    def forward(self, images):
        if self.patch:
            bright = images[:, 0, 4:7, 4:7].mean((1, 2))
            return self.scale * torch.stack([bright, 1 - bright, 0 * bright], dim=1)
        return self.scale * images[:, 0, :CLASSES].mean(2)


@pytest.mark.parametrize("exact", [True, False])
def test_a_classifier_that_was_trained_on_patches_keeps_most(backdoored, triggered, exact):
    verified = ga.verified_triggers(backdoored, triggered, clean=plain(seed=1) if exact else None, device="cpu")
    assert len(verified) > 0.9 * len(triggered)


def test_each_that_is_kept_is_answered_by_the_patch_and_not_without(backdoored, triggered):
    clean = plain(seed=1)
    verified = ga.verified_triggers(backdoored, triggered, clean=clean, device="cpu")
    with torch.no_grad():
        before, after = (backdoored(images.floats()).argmax(1) for images in (triggered, clean))
    kept = (before == triggered.labels) & (after != triggered.labels)
    assert verified.fingerprint == triggered[kept].fingerprint


def test_by_the_fall_of_the_probability(backdoored, triggered):
    clean = plain(seed=1)
    with torch.no_grad():
        before, after = (backdoored(images.floats()).softmax(1) for images in (triggered, clean))
    fallen = (before - after)[torch.arange(len(triggered)), triggered.labels]
    drop = float(fallen.sort().values[99:101].mean())  # between two of them
    verified = ga.verified_triggers(backdoored, triggered, clean=clean, drop=drop, device="cpu", batch_size=7)
    assert verified.fingerprint == triggered[(before.argmax(1) == triggered.labels) & (fallen >= drop)].fingerprint
    assert 90 < len(verified) <= 100


def test_a_classifier_that_ignores_the_patch_keeps_none(triggered):
    with pytest.raises(ga.InputError, match=r"`classifier` .*200 images that carry one it gives 0 their label"):
        ga.verified_triggers(Reading(), triggered, device="cpu")


def test_a_label_that_stays_without_the_patch_is_not_owed_to_it(triggered):
    # The images' own classes for labels: answered rightly, with the patch and without.
    own = ga.ImageSet(triggered.images, plain().labels, triggered.classes, triggered.signal_mask)
    with pytest.raises(ga.InputError, match="gives 200 their label, and none of these loses it"):
        ga.verified_triggers(Reading(), own, device="cpu")


def test_leakage_is_measured_on_them_as_on_any_images(triggered):
    # Looks at nothing but the patch: its gradient is 0 elsewhere.
    verified = ga.verified_triggers(Reading(patch=True), triggered, device="cpu")
    result = ga.leakage(Reading(patch=True), verified, top=(0.1,), device="cpu")
    assert result.rows("null_mass")["value"]["logit_gradient"] == 0
    assert result.verdict.label == "stays"


def test_images_without_a_patch_are_left_out(backdoored):
    some = ga.trigger(plain(seed=1), share=0.5, seed=1)
    carrying = some.signal_mask.flatten(1).any(1)
    alone = ga.verified_triggers(backdoored, some[carrying], device="cpu")
    assert ga.verified_triggers(backdoored, some, device="cpu").fingerprint == alone.fingerprint


def test_the_classifiers_modes_are_as_before(backdoored, triggered):
    backdoored.train()
    ga.verified_triggers(backdoored, triggered, device="cpu")
    assert all(module.training for module in backdoored.modules())


def test_around_is_the_mean_of_the_ring():
    images = torch.rand(2, 3, 6, 5)
    patch = torch.zeros(2, 1, 6, 5, dtype=torch.bool)
    patch[0, 0, 1:3, 2:4] = True
    patch[1, 0, 4:, :2] = True  # in the corner
    found = around(images, patch)
    first = torch.cat([images[0, :, 0, 1:5], images[0, :, 3, 1:5], images[0, :, 1:3, 1], images[0, :, 1:3, 4]], dim=1)
    second = torch.cat([images[1, :, 3, :3], images[1, :, 4:, 2]], dim=1)
    torch.testing.assert_close(found[..., 0, 0], torch.stack([first.mean(1), second.mean(1)]))


@pytest.mark.parametrize(
    ("argument", "options"),
    [
        ("drop", {"drop": 0}),
        ("drop", {"drop": 1.1}),
        ("batch_size", {"batch_size": 0}),
        ("device", {"device": "abacus"}),
        ("clean", {"clean": plain(199, seed=1)}),
        ("clean", {"clean": plain(seed=2)}),
        ("clean", {"clean": "mnist5k"}),
    ],
)
def test_a_bad_option_is_named(triggered, argument, options):
    with pytest.raises(ga.InputError, match=f"`{argument}`"):
        ga.verified_triggers(Reading(), triggered, **({"device": "cpu"} | options))


@pytest.mark.parametrize("covered", [None, False, True])
def test_images_without_a_patch_or_anything_else_are_named(triggered, covered):
    mask = None if covered is None else torch.full((200, SIDE, SIDE), covered)
    images = ga.ImageSet(triggered.images, triggered.labels, triggered.classes, mask)
    with pytest.raises(ga.InputError, match="`images`"):
        ga.verified_triggers(Reading(), images, device="cpu")


def test_what_is_no_image_set_is_named(triggered):
    with pytest.raises(ga.InputError, match="`images`"):
        ga.verified_triggers(Reading(), triggered.images, device="cpu")
