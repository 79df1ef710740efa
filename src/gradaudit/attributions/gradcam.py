"""Class activation maps of the pytorch-grad-cam library, by their name there."""

from __future__ import annotations

import inspect
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.attributions._gradients import check_images, check_targets
from gradaudit.attributions._hooked import can_do, layer_named, private_copy
from gradaudit.batching import check_logits, placed
from gradaudit.errors import InputError, MissingExtraError, require

OTHERS = {"RandomCAM", "FinerCAM", "BaseCAM"}
"""What draws at random whatever the image, explains one class against others, or is no method."""


def gradcam(
    classifier: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    method: str = "GradCAM",
    layer: str | None = None,
    eigen_smooth: bool = False,
    aug_smooth: bool = False,
) -> Tensor:
    """The class activation map of a pytorch-grad-cam method for the target's logit: float32 (N, C, H, W), the same for each colour.

    That library scales each map to go from 0 to 1; a map that is 0 everywhere stays so.

    Args:
        classifier: images in [0, 1] to logits (N, K); a copy is hooked, never this one.
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        method: the class in `pytorch_grad_cam`: `"GradCAM"`, `"HiResCAM"`, `"LayerCAM"`, `"ScoreCAM"`, ...
        layer: the name of the layer whose output is weighed; by default the last convolution's.
        eigen_smooth: the library's: take the first principal component of the weighed channels.
        aug_smooth: the library's: average over flipped and scaled copies.

    Raises:
        InputError: an unknown method or layer; the method can't do this classifier; a shape, dtype or target.
        MissingExtraError: pytorch-grad-cam is not installed.

    Source: Gildenblat and contributors (2021), and the paper that the method's own documentation names.
    """
    found = _method(method)
    check_images(images)
    check_targets("targets", targets, len(images))
    with torch.inference_mode(False), torch.enable_grad():
        hooked = private_copy(classifier)
        inputs = placed(classifier, images).requires_grad_()
        chosen = layer_named(hooked, layer)
        with torch.no_grad():
            logits = check_logits(hooked(inputs[:1]), inputs[:1])
        check_targets("targets", targets, len(images), classes=logits.shape[1])
        maps = _maps(found, hooked, chosen, inputs, targets, {"eigen_smooth": eigen_smooth, "aug_smooth": aug_smooth})
    return maps.to(images.device)[:, None].expand(-1, images.shape[1], -1, -1).contiguous()


def methods() -> dict[str, Any]:
    """pytorch-grad-cam's methods by name: those that map one class of each image by itself.

    Raises:
        MissingExtraError: pytorch-grad-cam is not installed.
    """
    try:
        import pytorch_grad_cam as library
        from pytorch_grad_cam.base_cam import BaseCAM
    except ImportError as error:
        raise MissingExtraError("grad-cam", "gradcam", "the attribution `gradcam`") from error
    every = inspect.getmembers(library, inspect.isclass)
    return {name: one for name, one in every if issubclass(one, BaseCAM) and name not in OTHERS}


def _method(name: str) -> Any:
    known = methods()
    require(name in known, "method", name, f"a method of pytorch-grad-cam that maps each image by itself: {', '.join(known)}")
    return known[name]


def _maps(method: Any, hooked: nn.Module, layer: nn.Module, inputs: Tensor, targets: Tensor, options: dict[str, bool]) -> Tensor:
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    found = None
    with can_do(method.__name__, "pytorch-grad-cam"), method(model=hooked, target_layers=[layer]) as cam:
        found = cam(input_tensor=inputs, targets=[ClassifierOutputTarget(one) for one in targets.tolist()], **options)
    if found is None:  # the library prints some errors and goes on
        raise InputError("method", method.__name__, "a pytorch-grad-cam method that can do this classifier with these options")
    return torch.from_numpy(found).float()
