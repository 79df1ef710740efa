"""Maps of pytorch-grad-cam as attributions; needs `pip install 'gradaudit[gradcam]'`."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.attributions.captum import captum
from gradaudit.attributions.gradcam import gradcam, methods

library = pytest.importorskip("pytorch_grad_cam", reason="pytorch-grad-cam is not installed: pip install 'gradaudit[gradcam]'")

SHAPE = (3, 12, 12)


def network():
    torch.manual_seed(0)
    first = [nn.Conv2d(3, 6, 3, padding=1), nn.ReLU(inplace=True), nn.MaxPool2d(2)]
    return nn.Sequential(*first, nn.Conv2d(6, 5, 3, padding=1), nn.ReLU(inplace=True), nn.Flatten(), nn.Linear(180, 4))


def batch():
    return torch.rand(4, *SHAPE, generator=torch.Generator().manual_seed(1)), torch.tensor([0, 3, 1, 2])


def unit(maps):
    """Each map from 0 to 1."""
    low, high = (end(dim=(1, 2, 3), keepdim=True) for end in (maps.amin, maps.amax))
    return (maps - low) / (high - low)


@pytest.mark.parametrize("method", sorted(methods()))
@pytest.mark.filterwarnings("ignore")  # the library's own
def test_every_method_works_by_its_name_image_by_image_and_leaves_the_classifier(method):
    model, (images, targets) = network().train(), batch()
    layer = "4" if method == "ScoreCAM" else None  # what the last convolution gives is here below 0 almost everywhere
    scores = gradcam(model, images, targets, method=method, layer=layer)
    assert (scores.shape, scores.dtype) == (images.shape, torch.float32)
    assert 0 <= scores.min() < scores.max() <= 1
    alone = [gradcam(model, images[i : i + 1], targets[i : i + 1], method=method, layer=layer) for i in (2, 0)]
    torch.testing.assert_close(torch.cat(alone), scores[[2, 0]], atol=1e-5, rtol=1e-4)
    assert all(module.training for module in model.modules())
    assert model[1].inplace
    assert all(weight.requires_grad and weight.grad is None for weight in model.parameters())
    assert not any(module._forward_hooks or module._backward_hooks for module in model.modules())


def test_grad_cam_is_captums_scaled():
    model, (images, targets) = network(), batch()
    found = gradcam(model, images, targets)
    theirs = captum(model, images, targets, method="LayerGradCam", relu_attributions=True)
    print(f"largest difference {float((found - unit(theirs)).abs().max()):.1e}")
    torch.testing.assert_close(found, unit(theirs), atol=1e-5, rtol=0)
    assert not torch.allclose(found, gradcam(model, images, targets, layer="0"), atol=1e-2)


def test_it_is_the_librarys_own():
    model, (images, targets) = network().eval(), batch()
    model[4].inplace = False  # or the layer's output is what the ReLU left of it
    wanted = [library.utils.model_targets.ClassifierOutputTarget(one) for one in targets.tolist()]
    with library.HiResCAM(model=model, target_layers=[model[3]]) as cam:
        theirs = torch.from_numpy(cam(input_tensor=images, targets=wanted))
    found = gradcam(network(), images, targets, method="HiResCAM")[:, 0]
    print(f"largest difference {float((found - theirs).abs().max()):.1e}")
    torch.testing.assert_close(found, theirs, atol=1e-6, rtol=0)


def test_an_instrument_takes_it_by_name():
    _, test = ga.load_images("mnist5k")
    classifier = ga.load_classifier("zoo:mnist/robust")
    result = ga.fidelity(
        classifier, test.sample(20), ["gradcam", "gradcam(LayerCAM)"], fill="mean", controls=(), patches=0, device="cpu"
    )
    assert result.audited == ("gradcam", "gradcam(method=LayerCAM)")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "GradCam"}, r"`method` \(='GradCam'\).*EigenCAM.*GradCAM.*LayerCAM"),
        ({"method": "RandomCAM"}, "`method`"),
        ({"layer": "head"}, r"`layer` \(='head'\).*0, 1, 2, 3"),
        ({"layer": "6"}, r"`method` \(='GradCAM'\).*can do this classifier"),
    ],
)
def test_bad_options_are_named(options, said):
    with pytest.raises(ga.InputError, match=said):
        gradcam(network(), *batch(), **options)
