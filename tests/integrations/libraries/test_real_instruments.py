"""Every instrument on networks of the libraries' families, as a user's own objects and small."""

import warnings

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.classifiers import untrained_copy
from gradaudit.errors import InputError

from .conftest import lively, photographs

models = pytest.importorskip("torchvision.models", reason="torchvision is not installed: pip install 'gradaudit[torchvision]'")
timm = pytest.importorskip("timm", reason="timm is not installed: pip install 'gradaudit[timm]'")
transformers = pytest.importorskip("transformers", reason="transformers is not installed: pip install 'gradaudit[transformers]'")
SIDE = 32
FOURS = {"depths": [1, 1, 1, 1], "hidden_sizes": [8, 16, 24, 32]}


def hugging(family, **options):
    config = getattr(transformers, f"{family}Config")(image_size=SIDE, num_labels=2, **options)
    return getattr(transformers, f"{family}ForImageClassification")(config)


def block_setting(channels, out, layers):
    from torchvision.models.convnext import CNBlockConfig

    return CNBlockConfig(channels, out, layers)


FAMILIES = {
    "torchvision ResNet": lambda: models.resnet18(num_classes=2),
    "torchvision ConvNeXt": lambda: models.ConvNeXt([block_setting(8, 16, 1), block_setting(16, None, 1)], num_classes=2),
    "torchvision ViT": lambda: models.VisionTransformer(SIDE, 8, 2, 2, 16, 32, num_classes=2),
    "torchvision Swin": lambda: models.SwinTransformer([2, 2], 8, [1, 1], [1, 2], [4, 4], num_classes=2),
    "torchvision MobileNet": lambda: models.mobilenet_v3_small(num_classes=2),
    "timm ViT": lambda: timm.create_model(
        "vit_tiny_patch16_224", img_size=SIDE, patch_size=8, depth=2, embed_dim=32, num_heads=2, num_classes=2
    ),
    "timm ConvNeXt": lambda: timm.create_model("convnext_atto", depths=(1, 1, 1, 1), dims=(8, 16, 24, 32), num_classes=2),
    "timm Swin": lambda: timm.create_model(
        "swin_tiny_patch4_window7_224", img_size=SIDE, window_size=4, embed_dim=8, depths=(1, 1), num_heads=(1, 2), num_classes=2
    ),
    "transformers ViT": lambda: hugging(
        "ViT", hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64, patch_size=8
    ),
    "transformers ConvNeXt": lambda: hugging("ConvNext", **FOURS),
    "transformers ResNet": lambda: hugging("ResNet", embedding_size=8, **FOURS),
    "transformers Swin": lambda: hugging("Swin", embed_dim=8, depths=[1, 1], num_heads=[1, 2], window_size=4, patch_size=2),
}
IMAGES = photographs(SIDE, 8)
TUNE = ga.named_recipe("evaluators/fine-tune", epochs=1, batch_size=4)
BASES = torch.linalg.qr(torch.randn(1, 3 * SIDE * SIDE, 4, generator=torch.Generator().manual_seed(0)))[0].transpose(1, 2)
MASK = (torch.arange(SIDE) < SIDE // 2)[None, :, None].expand(8, SIDE, SIDE)
FEW = {"levels": (0.2,), "controls": ("random",), "device": "cpu"}
INSTRUMENTS = {
    "fidelity": lambda c: ga.fidelity(c, IMAGES, **FEW | {"controls": ("random", "untrained")}),
    "values": lambda c: ga.diffroar(c, IMAGES, IMAGES, evaluator=c, fine_tune=TUNE, seeds=1, gap=0, workers=1, **FEW),
    "robustness": lambda c: ga.robustness(c, IMAGES, eps=(0, 0.01), steps=1, device="cpu"),
    "manifold robustness": lambda c: ga.manifold_robustness(c, IMAGES, BASES.expand(8, -1, -1), samples=2, device="cpu"),
    "leakage": lambda c: ga.leakage(c, IMAGES, signal_mask=MASK, controls=("untrained",), device="cpu"),
    "trust radius": lambda c: ga.trust_radius(c, IMAGES, sigma=(0.01,), copies=8, device="cpu"),
    "contrast": lambda c: ga.contrast(c, IMAGES, IMAGES[:4], neighbours=1, controls=("untrained",), device="cpu"),
    "svce": lambda c: ga.counterfactual(c, IMAGES[:2], "second", method="svce(steps=1)", device="cpu"),
    "apgd": lambda c: ga.counterfactual(c, IMAGES[:2], "second", method="apgd(steps=1)", device="cpu"),
}


@pytest.fixture(scope="module", name="networks")
def networks_fixture():
    torch.manual_seed(0)
    return {family: lively(make()) for family, make in FAMILIES.items()}


@pytest.mark.filterwarnings("ignore:.*is taken as logits")
@pytest.mark.parametrize("instrument", INSTRUMENTS)
@pytest.mark.parametrize("family", FAMILIES)
def test_every_instrument_runs_and_no_control_is_left_out(family, instrument, networks):
    before = {name: value.clone() for name, value in networks[family].state_dict().items()}
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        result = INSTRUMENTS[instrument](networks[family])
    assert len(result.table)
    assert not [one for one in told if "can't" in str(one.message) or "reset_parameters" in str(one.message)]
    if instrument in ("fidelity", "leakage", "contrast"):
        assert "untrained" in " ".join(map(str, result.table["attribution"].unique()))
    assert all(torch.equal(value, before[name]) for name, value in networks[family].state_dict().items())


@pytest.mark.parametrize("family", FAMILIES)
def test_gradients_are_those_of_the_network_itself(family, networks):
    network, images = networks[family], IMAGES[:2]
    inputs = images.floats().requires_grad_()
    output = network(inputs)
    logits = getattr(output, "logits", output)
    (expected,) = torch.autograd.grad(logits.gather(1, images.labels[:, None]).sum(), inputs)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = ga.attribute_all(network, images, "logit_gradient")
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5 * float(expected.abs().max()))


@pytest.mark.parametrize("family", FAMILIES)
def test_an_untrained_copy_begins_as_the_library_begins(family, networks):
    fresh = untrained_copy(networks[family], 0)
    for (name, weight), (_, own) in zip(fresh.named_parameters(), FAMILIES[family]().named_parameters(), strict=True):
        assert bool(weight.isfinite().all())
        if name.endswith(("layer_scale", "gamma", "layer_scale_parameter")):
            assert torch.equal(weight, own), name
        if "relative_position_bias" in name:
            assert 0.01 < weight.std().item() < 0.04, name


def test_what_needs_relu_says_so_and_a_resnet_has_it(networks):
    guided = "captum(method=GuidedBackprop)"
    assert ga.attribute_all(networks["torchvision ResNet"], IMAGES[:2], guided).shape == (2, 3, SIDE, SIDE)
    with pytest.raises(InputError, match=r"no nn\.ReLU module"):
        ga.attribute_all(networks["torchvision ViT"], IMAGES[:2], guided)


def test_layers_are_named_as_the_library_names_them(networks):
    layered = ga.attribute_all(networks["torchvision ResNet"], IMAGES[:2], "captum(method=LayerGradCam, layer='layer2')")
    assert layered.shape == (2, 3, SIDE, SIDE)
    assert isinstance(networks["torchvision ResNet"].layer2, nn.Module)
