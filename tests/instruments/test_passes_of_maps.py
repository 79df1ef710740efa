"""How often an image passes through the classifier for its map."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.attributions import resolve_attribution
from gradaudit.instruments.costs import mapping, passes_of_a_map

PASSES = {
    "logit_gradient": (1, 0),
    "smoothgrad(samples=7)": (7, 0),
    "integrated_gradients(steps=9)": (9, 0),
    "excitation_pullback": (1, 0),
    "captum(method=InputXGradient)": (1, 0),
    "captum(method=Occlusion, sliding_window_shapes=7, strides=7)": (0, 17),  # 16 windows and the image itself
    "untrained": (1, 0),
}
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def digits():
    return ga.load_images("mnist5k")[1][:5]


@pytest.fixture(scope="module")
def classifier():
    return ga.load_classifier("zoo:mnist/standard")


@pytest.mark.parametrize("name", PASSES)
def test_every_pass_is_counted(name, classifier, digits):
    assert passes_of_a_map(classifier, digits, resolve_attribution(name), CPU) == PASSES[name]


def test_the_classifier_is_left_as_it_was_and_one_image_suffices(classifier, digits):
    assert passes_of_a_map(classifier, digits[:1], resolve_attribution("smoothgrad(samples=3)"), CPU) == (3, 0)
    assert not classifier._forward_pre_hooks


def test_an_attribution_that_goes_by_parts_counts_once(classifier, digits):
    def first_layer(model, images, targets):
        layer = next(one for one in model.modules() if isinstance(one, nn.Conv2d))
        return layer(images).mean(dim=(1, 2, 3), keepdim=True) * images

    assert passes_of_a_map(classifier, digits, resolve_attribution(first_layer), CPU) == (1, 0)


def test_all_maps_of_all_images_are_in_the_cost(classifier, digits):
    maps = {name: resolve_attribution(name) for name in (*PASSES, "edges")}
    cost = mapping(classifier, digits, maps, CPU)
    assert (cost.gradients, cost.forwards) == tuple(5 * sum(one) for one in zip(*PASSES.values(), strict=True))
