"""Only a region of each image may change."""

from dataclasses import replace

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.diffusion import gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.methods.apgd import apgd
from gradaudit.instruments.counterfactual.methods.blended import blended
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.methods.svce import svce
from gradaudit.instruments.counterfactual.problem import Problem

MIXTURE = gaussian_mixture(classes=3, shape=(1, 6, 6), spread=0.05, seed=1)
METHODS = {
    "dvce": (dvce, {"steps": 20, "class_strength": 0.8}),
    "dvce, none": (dvce, {"steps": 20, "class_strength": 0.8, "guidance": "none", "sampler": "ddim"}),
    "blended": (blended, {"steps": 20}),
    "svce": (svce, {"steps": 10, "radius": 3.0}),
    "apgd": (apgd, {"steps": 10, "radius": 2.0}),
}


def problem(region=None):
    originals, labels = MIXTURE.draw(6, seed=3)
    originals = (originals.clamp(0, 1) * 255).round() / 255
    robust = MIXTURE.bayes_classifier(0.1).eval()
    return Problem(
        MIXTURE.bayes_classifier(0.0).eval(), originals, (labels + 1) % 3, tuple(range(6)), MIXTURE.denoiser(), robust, region
    )


def half():
    region = torch.zeros(6, 1, 6, 6, dtype=torch.bool)
    region[:, :, :3] = True
    return region


@pytest.mark.parametrize("name", METHODS)
def test_pixels_outside_stay_equal_bit_for_bit_and_some_inside_change(name):
    method, options = METHODS[name]
    task = problem(half())
    found = method(task, **options)
    outside = ~half().expand_as(found.images)
    assert torch.equal(found.images[outside], task.images[outside])
    changed = (found.images - task.images).abs().flatten(1).amax(dim=1)
    assert (changed > 0.05).all()
    assert found.failed == () or set(found.failed) == {None}


@pytest.mark.parametrize("name", METHODS)
def test_a_region_that_is_all_of_the_image_changes_nothing(name):
    method, options = METHODS[name]
    whole = method(problem(torch.ones(6, 1, 6, 6, dtype=torch.bool)), **options)
    assert torch.equal(whole.images, method(problem(), **options).images)


@pytest.mark.parametrize("name", ["svce", "apgd"])
def test_the_ball_is_that_of_what_may_change(name):
    method, options = METHODS[name]
    task = problem(half())
    change = (method(task, **options).images - task.images).flatten(1)
    norm = torch.linalg.vector_norm(change, ord=2 if name == "apgd" else 1.5, dim=1)
    assert (norm <= options["radius"] * 1.001).all()
    assert (norm > 0.5 * options["radius"]).any()


def test_whole_runs_take_masks_names_and_attributions(change, toys):
    images = toys.images(10)
    mask = torch.zeros(10, 6, 6, dtype=torch.bool)
    mask[:, :2] = True
    masked = ga.ImageSet(images.images, images.labels, images.classes, mask)
    signal = change(images=masked, region="signal")
    assert np.array_equal(signal.images, change(images=images, region=mask).images)
    assert np.array_equal(signal.images[:, :, 2:], images.images[:, :, 2:].numpy())
    null = change(images=masked, region="null")
    assert np.array_equal(null.images[:, :, :2], images.images[:, :, :2].numpy())
    assert (signal.settings["region"], null.settings["region"]) == ("signal", "null")
    assert change(images=images).settings["region"] is None
    for side in ("top", "bottom"):
        found = change(images=images, region=f"{side}(attribution=logit_gradient, share=0.25)", method="apgd(steps=3)")
        moved = (np.asarray(found.images) != images.images.numpy()).any(axis=1)
        assert moved.reshape(10, -1).sum(axis=1).max() <= 9
        assert moved.any()


def test_the_top_flips_a_linear_classifier_more_often_than_the_bottom(change, toys):
    """With as many pixels, those of the largest gradient change a linear classifier's mind sooner."""
    shares = {}
    for side in ("top", "bottom"):
        found = change(images=toys.images(12), region=f"{side}(share=0.3)", method="svce(radius=6.0)")
        shares[side] = found.table["flipped"].mean()
    assert shares["top"] > shares["bottom"]


def test_another_region_is_another_entry_of_the_store(change, toys):
    masks = [torch.zeros(10, 6, 6, dtype=torch.bool) for _ in range(2)]
    masks[0][:, :3], masks[1][:, 3:] = True, True
    one, other = (change(region=mask) for mask in masks)
    assert not np.array_equal(one.images, other.images)


def test_differences_keep_to_the_region(tmp_path, toys):
    images = toys.images(6)
    mask = torch.zeros(6, 6, 6, dtype=torch.bool)
    mask[:, :, :2] = True
    found = ga.counterfactual_differences(
        toys.classifier(), images, method="apgd(steps=3)", region=mask, store=tmp_path, device="cpu"
    )
    assert not found[:, :, :, 2:].any()
    assert found.any()


@pytest.mark.parametrize(
    ("region", "words"),
    [
        ("signal", "these images have no signal mask"),
        ("middle", "the name of a region: bottom, null, signal, top"),
        ("top(share=2.0)", "a share above 0 and below 1"),
        (torch.ones(10, 6, 5, dtype=torch.bool), r"booleans of shape \(10, 6, 6\)"),
        (torch.ones(10, 6, 6), "booleans"),
        (torch.zeros(10, 6, 6, dtype=torch.bool), "a pixel or more of every image"),
    ],
)
def test_a_bad_region_is_refused(change, region, words):
    with pytest.raises(InputError, match=f"`region`.*{words}"):
        change(region=region)


def test_a_method_of_the_users_own_that_heeds_no_region_is_put_back(change, toys):
    mask = torch.zeros(10, 6, 6, dtype=torch.bool)
    mask[:, 1] = True
    found = change(region=mask)
    outside = ~mask.numpy()[:, None]
    assert np.array_equal(found.images[outside], toys.images(10).images.numpy()[outside])


def test_problems_without_a_region_frame_nothing():
    task = problem()
    other = task.images + 0.1
    assert task.framed(other) is other
    assert task.within(other) is other
    framed = replace(task, region=half()).framed(other)
    assert torch.equal(framed[:, :, :3], other[:, :, :3])
    assert torch.equal(framed[:, :, 3:], task.images[:, :, 3:])
