"""Captum's methods by name: defaults for what they need, ours where both have it, one clear error otherwise."""

import pytest
import torch
from torch import nn

from gradaudit.attributions import resolve_attribution
from gradaudit.attributions._captum_methods import RANDOMISED, methods, squares
from gradaudit.attributions.captum import captum
from gradaudit.attributions.logit_gradient import logit_gradient
from gradaudit.errors import InputError

# Captum has no propagation rule for nn.Flatten.
NEEDS_RULES = {"LRP", "LayerLRP"}
SHAPE = (3, 8, 8)


def network():
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 4, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(4, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(80, 4))


def batch():
    return torch.rand(3, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 1])


def quick(method):
    return {"n_samples": 12, "grid": 3} if method in RANDOMISED - {"GradientShap", "LayerGradientShap"} else {}


@pytest.mark.parametrize("method", sorted(set(methods()) - NEEDS_RULES))
def test_every_method_works_by_its_name_and_image_by_image(method):
    model, (images, targets) = network(), batch()
    scores = captum(model, images, targets, method=method, **quick(method))
    assert scores.shape == images.shape
    assert torch.isfinite(scores).all()
    alone = [captum(model, images[i : i + 1], targets[i : i + 1], method=method, **quick(method)) for i in (2, 0)]
    torch.testing.assert_close(torch.cat(alone), scores[[2, 0]], atol=1e-6, rtol=1e-4)
    assert model[1].inplace
    assert not any(module._forward_hooks or module._forward_pre_hooks or module._backward_hooks for module in model.modules())


@pytest.mark.parametrize("method", sorted(RANDOMISED - {"Lime"}))
def test_the_seed_decides_the_draws(method):
    scores = [captum(network(), *batch(), method=method, seed=seed, **quick(method)) for seed in (0, 0, 1)]
    assert torch.equal(scores[0], scores[1])
    assert not torch.allclose(scores[0], scores[2])


def test_saliency_and_input_x_gradient_are_ours():
    model, (images, targets) = network(), batch()
    plain = captum(model, images, targets, method="Saliency", abs=False)
    torch.testing.assert_close(plain, logit_gradient(model, images, targets))
    times = captum(model, images, targets, method="InputXGradient")
    torch.testing.assert_close(times, logit_gradient(model, images, targets, times_input=True))


def test_deep_lift_is_complete():
    model, (images, targets) = network(), batch()
    scores = captum(model, images, targets, method="DeepLift")
    with torch.no_grad():
        gain = (model(images) - model(torch.zeros_like(images))).gather(1, targets[:, None])[:, 0]
    torch.testing.assert_close(scores.flatten(1).sum(1), gain, atol=1e-5, rtol=1e-3)


def test_deep_lift_shap_compares_with_all_baselines():
    model, (images, targets) = network(), batch()
    levels = torch.tensor([0.2, 0.8])
    many = captum(model, images, targets, method="DeepLiftShap", baselines=levels.view(2, 1, 1, 1).expand(2, *SHAPE).contiguous())
    each = [captum(model, images, targets, method="DeepLift", baselines=level) for level in levels.tolist()]
    torch.testing.assert_close(many, (each[0] + each[1]) / 2, atol=1e-6, rtol=1e-3)


def test_occlusion_against_a_loop():
    model, (images, targets) = network(), batch()
    scores = captum(model, images, targets, method="Occlusion", sliding_window_shapes=4, strides=4)
    with torch.no_grad():
        before = model(images).gather(1, targets[:, None])[:, 0]
        for top, left in [(0, 0), (0, 4), (4, 0), (4, 4)]:
            covered = images.clone()
            covered[:, :, top : top + 4, left : left + 4] = 0
            drop = before - model(covered).gather(1, targets[:, None])[:, 0]
            block = scores[:, :, top : top + 4, left : left + 4].flatten(1)
            torch.testing.assert_close(block, drop[:, None].expand_as(block), atol=1e-6, rtol=1e-4)


def test_grad_cam_takes_the_last_convolution_and_covers_the_image():
    model, (images, targets) = network(), batch()
    scores = captum(model, images, targets, method="LayerGradCam")
    maps = model[:4](images).detach().requires_grad_()
    (gradient,) = torch.autograd.grad(model[4:](maps.clone()).gather(1, targets[:, None]).sum(), maps)
    small = (gradient.mean((2, 3), keepdim=True) * maps).sum(1, keepdim=True)
    expected = nn.functional.interpolate(small, (8, 8), mode="bilinear", align_corners=False).expand(-1, 3, -1, -1)
    torch.testing.assert_close(scores, expected.detach(), atol=1e-6, rtol=1e-4)
    assert not torch.allclose(scores, captum(model, images, targets, method="LayerGradCam", layer="0"))


@pytest.mark.parametrize(("grid", "shape"), [(1, (5, 5)), (3, (8, 8)), (14, (28, 28)), (9, (4, 7))])
def test_squares_partition_the_pixels(grid, shape):
    mask = squares(torch.zeros(2, 3, *shape), grid)
    assert mask.shape == (1, 3, *shape)
    assert torch.equal(mask[0, 0], mask[0, 2])
    assert mask.unique().tolist() == list(range(min(grid, shape[0]) * min(grid, shape[1])))


@pytest.mark.parametrize(
    "spec",
    ["captum(method=Saliency)", "captum(Saliency)", {"name": "captum", "method": "Saliency"}],
)
def test_a_spec_names_the_method(spec):
    found = resolve_attribution(spec)
    assert found.name == "captum(method=Saliency)"
    model, (images, targets) = network(), batch()
    torch.testing.assert_close(found.function(model, images, targets), logit_gradient(model, images, targets).abs())


def test_a_spec_passes_options_through():
    found = resolve_attribution("captum(method=Occlusion, sliding_window_shapes=4, strides=4)")
    expected = captum(network(), *batch(), method="Occlusion", sliding_window_shapes=4, strides=4)
    assert torch.equal(found.function(network(), *batch()), expected)


def test_a_missing_method_is_named():
    with pytest.raises(InputError, match=r"`attribution` \(='captum'\).*method"):
        resolve_attribution("captum")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "DeepLft"}, r"`method` \(='DeepLft'\).*DeepLift, DeepLiftShap.*Saliency"),
        ({"method": "FeaturePermutation"}, "`method`.*depend on the other images"),
        ({"method": "Occlusion", "window": 3}, r"`window` \(=3\).*Occlusion: sliding_window_shapes, strides"),
        ({"method": "LayerGradCam", "layer": "head"}, r"`layer` \(='head'\).*0, 1, 2, 3"),
        ({"method": "LayerGradCam", "layer": "6"}, "`layer`.*rows and columns"),
        ({"method": "KernelShap", "grid": 0}, r"`grid` \(=0\)"),
        ({"method": "LRP"}, "`method`.*Flatten"),
        ({"method": "Occlusion", "sliding_window_shapes": (3, 20, 20)}, "`method`.*can do this classifier"),
    ],
)
def test_bad_options_are_named(options, message):
    with pytest.raises(InputError, match=message):
        captum(network(), *batch(), **options)


def test_methods_that_replace_relu_need_one():
    model = nn.Sequential(nn.Conv2d(3, 2, 3), nn.Softplus(), nn.Flatten(), nn.Linear(72, 4))
    with pytest.raises(InputError, match=r"`method`.*no nn\.ReLU"):
        captum(model, *batch(), method="GuidedBackprop")


def test_a_network_without_convolutions_needs_a_named_layer():
    model = nn.Sequential(nn.Flatten(), nn.Linear(192, 4))
    with pytest.raises(InputError, match=r"`layer`.*no nn\.Conv2d"):
        captum(model, *batch(), method="LayerGradCam")
