"""What every network by name must do, and slow but plain second implementations of those with published weights."""

import math

import pytest
import torch
import torch.nn.functional as F
from captum.attr import DeepLift, GuidedBackprop
from torch import Tensor, nn

from gradaudit.classifiers import NETWORKS, build_network
from gradaudit.classifiers.build import build_shapes
from gradaudit.errors import InputError
from gradaudit.registry import options_of

SHAPES = [(1, 28, 28), (3, 32, 32), (1, 56, 28), (3, 17, 24)]
CONVOLUTIONAL = sorted(set(NETWORKS.names()) - {"linear", "mlp"})
ACTIVATED = sorted(set(NETWORKS.names()) - {"linear"})


def built(name: str, shape: tuple[int, int, int] = (1, 28, 28), classes: int = 3, **options: object) -> nn.Module:
    # Narrow, so that the widest network does not slow the tests.
    small = {"width": 4} if name == "resnet18" else {}
    return build_network({"name": name, **small, **options}, shape, classes, seed=0).eval()


@pytest.mark.parametrize("name", NETWORKS.names())
@pytest.mark.parametrize("shape", SHAPES)
def test_images_of_any_shape_give_logits_that_depend_on_them(name: str, shape: tuple[int, int, int]) -> None:
    images = torch.rand(2, *shape, requires_grad=True)
    logits = built(name, shape)(images)
    assert logits.shape == (2, 3)
    (gradient,) = torch.autograd.grad(logits[:, 0].sum(), images)
    assert gradient.flatten(1).any(1).all()


@pytest.mark.parametrize("name", NETWORKS.names())
def test_per_image_gradients_by_torch_func_equal_autograd(name: str) -> None:
    network, images = built(name), torch.rand(3, 1, 28, 28, requires_grad=True)
    functional = torch.func.vmap(torch.func.grad(lambda image: network(image[None])[0, 1]))(images.detach())
    (expected,) = torch.autograd.grad(network(images)[:, 1].sum(), images)
    torch.testing.assert_close(functional, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Setting forward, backward hooks:UserWarning")
# Not those with max-pooling, for which Captum's rule is not exact beside rectifiers, whatever the network.
@pytest.mark.parametrize("name", sorted(set(NETWORKS.names()) - {"lenet5", "convnet"}))
def test_captum_hooks_find_every_activation(name: str) -> None:
    network = built(name)
    images = torch.rand(2, 1, 28, 28, requires_grad=True)
    baseline = torch.rand(2, 1, 28, 28, requires_grad=True)
    scores = DeepLift(network).attribute(images, baseline, target=1)
    difference = (network(images) - network(baseline))[:, 1]
    torch.testing.assert_close(scores.flatten(1).sum(1), difference, rtol=1e-3, atol=1e-4)  # completeness


@pytest.mark.parametrize("name", ACTIVATED)
def test_no_activation_is_used_twice_or_in_place(name: str) -> None:
    network, calls = built(name), {}
    for place, module in network.named_modules():
        if isinstance(module, nn.ReLU):
            assert not module.inplace
            module.register_forward_hook(lambda *_, place=place: calls.update({place: calls.get(place, 0) + 1}))
    network(torch.rand(1, 1, 28, 28))
    assert calls
    assert set(calls.values()) == {1}


def test_guided_backpropagation_differs_from_the_gradient() -> None:
    network, images = built("convnet"), torch.rand(2, 1, 28, 28, requires_grad=True)
    with pytest.warns(UserWarning, match="ReLU"):
        guided = GuidedBackprop(network).attribute(images, target=1)
    (gradient,) = torch.autograd.grad(network(images)[:, 1].sum(), images)
    assert not torch.allclose(guided, gradient)


@pytest.mark.parametrize("name", ACTIVATED)
def test_activation_replaces_every_relu(name: str) -> None:
    rectified, smooth = built(name), built(name, activation="silu")
    count = sum(isinstance(module, nn.ReLU) for module in rectified.modules())
    assert sum(isinstance(module, nn.SiLU) for module in smooth.modules()) == count
    assert not any(isinstance(module, nn.ReLU) for module in smooth.modules())


@pytest.mark.parametrize("name", CONVOLUTIONAL)
def test_too_small_an_image_is_an_error_and_the_smallest_works(name: str) -> None:
    with pytest.raises(InputError, match=rf"`input_shape` \(=\(1, 3, 28\)\) must be at least \d pixels .* for {name}"):
        built(name, (1, 3, 28))
    assert built(name, (1, 8, 8))(torch.rand(1, 1, 8, 8)).isfinite().all()


@pytest.mark.parametrize("name", NETWORKS.names())
def test_options_are_keywords_and_the_summary_is_one_line(name: str) -> None:
    function = NETWORKS.function("network", name)
    assert NETWORKS.summary(name).endswith(".")
    assert set(options_of(function)) <= {"activation", "width", "depth", "batch_norm"}


@pytest.mark.parametrize(
    ("network", "parameters"),
    [
        ("linear", 3072 * 10 + 10),
        ("mlp(width=20, depth=1)", 3072 * 20 + 20 + 20 * 10 + 10),
        ("resnet20", 269_722),  # He et al. 2016, table 6: 0.27 million
        ("resnet56", 853_018),  # 0.85 million
        ("resnet18", 11_173_962),  # torchvision's 11,689,512, less its 7x7 stem's and 1,000 classes' share
    ],
)
def test_number_of_parameters(network: str, parameters: int) -> None:
    assert sum(p.numel() for p in build_shapes(network, (3, 32, 32), 10).parameters()) == parameters


def test_batch_norm_and_width_shape_the_convnet() -> None:
    with_norm = build_network("convnet(width=4, batch_norm=true)", (1, 28, 28), 10)
    assert [m.num_features for m in with_norm.modules() if isinstance(m, nn.BatchNorm2d)] == [4, 8, 16]
    convolutions = [m for m in with_norm.modules() if isinstance(m, nn.Conv2d)]
    assert all(m.bias is None for m in convolutions)  # batch normalisation has one of its own


@pytest.mark.parametrize(
    ("network", "argument"),
    [
        ("mlp(width=0)", "width"),
        ("mlp(depth=1.5)", "depth"),
        ("convnet(width=-3)", "width"),
        ("convnet(batch_norm=3)", "batch_norm"),
        ("resnet18(width=wide)", "width"),
        ("lenet5(activation=swish)", "activation"),
        ("lenet5(width=3)", "network"),
    ],
)
def test_bad_option_is_named(network: str, argument: str) -> None:
    with pytest.raises(InputError, match=f"`{argument}`"):
        build_network(network, (1, 28, 28), 10)


def naive_lenet5(w: dict[str, Tensor], x: Tensor) -> Tensor:
    for layer in ("conv1", "conv2"):
        x = F.max_pool2d(F.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], padding=1).clamp(min=0), 2)
    x = (x.flatten(1) @ w["linear1.weight"].T + w["linear1.bias"]).clamp(min=0)
    return x @ w["linear2.weight"].T + w["linear2.bias"]


def naive_cnn_a(w: dict[str, Tensor], x: Tensor) -> Tensor:
    for layer in ("0", "2"):
        x = F.conv2d(x, w[f"{layer}.weight"], w[f"{layer}.bias"], stride=2, padding=1).clamp(min=0)
    x = (x.flatten(1) @ w["5.weight"].T + w["5.bias"]).clamp(min=0)
    return x @ w["7.weight"].T + w["7.bias"]


def naive_resnet4b(w: dict[str, Tensor], x: Tensor) -> Tensor:
    def conv(name: str, x: Tensor, stride: int = 1, padding: int = 1) -> Tensor:
        return F.conv2d(x, w[f"{name}.weight"], w[f"{name}.bias"], stride, padding)

    x = conv("conv1", x, 2).clamp(min=0)
    for block in ("layer1.0", "layer1.1", "layer2.0", "layer2.1"):
        stride = 2 if block.endswith("0") else 1
        y = conv(f"{block}.conv2", conv(f"{block}.conv1", x, stride).clamp(min=0))
        x = (y + (conv(f"{block}.shortcut.0", x, 2, 0) if stride == 2 else x)).clamp(min=0)
    x = (x.flatten(1) @ w["linear1.weight"].T + w["linear1.bias"]).clamp(min=0)
    return x @ w["linear2.weight"].T + w["linear2.bias"]


def batch_norm(w: dict[str, Tensor], name: str, x: Tensor) -> Tensor:
    mean, var, scale, shift = (w[f"{name}.{key}"].reshape(-1, 1, 1) for key in ("running_mean", "running_var", "weight", "bias"))
    return (x - mean) / (var + 1e-5).sqrt() * scale + shift


def naive_resnet20(w: dict[str, Tensor], x: Tensor) -> Tensor:
    x = batch_norm(w, "bn1", F.conv2d(x, w["conv1.weight"], padding=1)).clamp(min=0)
    for stage in (1, 2, 3):
        for block in range(3):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = batch_norm(w, f"{name}.bn1", F.conv2d(x, w[f"{name}.conv1.weight"], None, stride, 1)).clamp(min=0)
            y = batch_norm(w, f"{name}.bn2", F.conv2d(y, w[f"{name}.conv2.weight"], padding=1))
            x = x[:, :, ::stride, ::stride]
            zeros = torch.zeros(len(x), (y.shape[1] - x.shape[1]) // 2, *x.shape[2:])
            x = (torch.cat([zeros, x, zeros], 1) + y).clamp(min=0)
    return x.mean((2, 3)) @ w["linear.weight"].T + w["linear.bias"]


def naive_resnet18(w: dict[str, Tensor], x: Tensor) -> Tensor:
    x = batch_norm(w, "bn1", F.conv2d(x, w["conv1.weight"], padding=1)).clamp(min=0)
    for stage in (1, 2, 3, 4):
        for block in range(2):
            name, stride = f"layer{stage}.{block}", 2 if stage > 1 and block == 0 else 1
            y = batch_norm(w, f"{name}.bn1", F.conv2d(x, w[f"{name}.conv1.weight"], None, stride, 1)).clamp(min=0)
            y = batch_norm(w, f"{name}.bn2", F.conv2d(y, w[f"{name}.conv2.weight"], padding=1))
            if stride == 2:
                x = batch_norm(w, f"{name}.downsample.1", F.conv2d(x, w[f"{name}.downsample.0.weight"], stride=2))
            x = (x + y).clamp(min=0)
    return x.mean((2, 3)) @ w["fc.weight"].T + w["fc.bias"]


@pytest.mark.parametrize("naive", [naive_lenet5, naive_cnn_a, naive_resnet4b, naive_resnet20, naive_resnet18])
def test_network_is_what_its_weights_say(naive: object) -> None:
    network = built(naive.__name__.removeprefix("naive_"), (3, 32, 32), 10)
    generator = torch.Generator().manual_seed(1)
    for name, buffer in network.named_buffers():
        if "running" in name:
            buffer.copy_(torch.rand(buffer.shape, generator=generator) + 0.5)
    images = torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(network(images), naive(network.state_dict(), images), rtol=1e-3, atol=1e-4)


def test_he_initialisation_keeps_the_scale_of_the_gradient() -> None:
    network = built("resnet20", (3, 32, 32))
    weight = network.layer3[1].conv1.weight
    assert weight.std().item() == pytest.approx(math.sqrt(2 / (64 * 9)), rel=0.05)
