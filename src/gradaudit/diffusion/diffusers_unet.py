"""A U-Net of diffusers as the function that the adapters call."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.classifiers.checkpoints import mismatch, require_finite
from gradaudit.errors import InputError, require


class UNet(nn.Module):
    """`(noisy, steps, labels) -> prediction` by a `UNet2DModel`.

    Args:
        unet: the model.
        null_class: what stands for no class in a model that always wants one; None where it was trained on classes alone.
    """

    def __init__(self, unet: nn.Module, null_class: int | None = None) -> None:
        super().__init__()
        self.unet = unet
        self.embedded: int = unet.config.num_class_embeds or 0  # type: ignore[union-attr, assignment]
        within = null_class is None or (isinstance(null_class, int) and 0 <= null_class < self.embedded)
        expected = (
            f"from 0 to {self.embedded - 1}, the model's classes, or None" if self.embedded else "None: the model has no classes"
        )
        require(within, "null_class", null_class, expected)
        self.null_class = null_class

    def extra_repr(self) -> str:
        """What decides its output and no tensor tells: the null class, and the heads of each attention."""
        heads = [layer.heads for layer in self.unet.modules() if isinstance(getattr(layer, "heads", None), int)]
        return f"null_class={self.null_class}, heads={heads}"

    @property
    def classes(self) -> int:
        """The number of classes that can be asked for: a null class at the end is none of them."""
        return self.embedded - (self.embedded > 0 and self.null_class == self.embedded - 1)

    def forward(self, noisy: Tensor, steps: Tensor, labels: Tensor | None = None) -> Tensor:
        """What the model predicts.

        Raises:
            InputError: no labels, for a model that was trained on classes alone.
        """
        prediction: Tensor = self.unet(noisy, steps, class_labels=self._labels(noisy, labels), return_dict=False)[0]
        return prediction

    def _labels(self, noisy: Tensor, labels: Tensor | None) -> Tensor | None:
        if labels is not None or not self.embedded:
            return labels
        if self.null_class is None:
            expected = (
                f"int64 (N,), from 0 to {self.embedded - 1}: this model was trained on classes alone (or give its null_class)"
            )
            raise InputError("labels", None, expected)
        return torch.full((len(noisy),), self.null_class, device=noisy.device)


def shapes_of(config: Mapping[str, Any], source: str) -> nn.Module:
    """A `UNet2DModel` of that configuration whose tensors have shapes but no values yet.

    Raises:
        InputError: diffusers can't build it.
    """
    from diffusers import UNet2DModel

    try:
        with torch.device("meta"):
            built: nn.Module = UNet2DModel.from_config(dict(config))  # type: ignore[no-untyped-call]
    except Exception as error:  # whatever a damaged configuration leads to
        reason = f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"
        raise InputError("source", source, f"a U-Net that diffusers can build ({reason})") from error
    return built


def fill(unet: nn.Module, tensors: Mapping[str, Tensor], source: str) -> nn.Module:
    """The U-Net with these tensors, all of them and no others, in single precision and evaluation mode.

    Raises:
        InputError: a tensor is missing, unexpected, of another shape, or not finite.
    """
    problem = mismatch(tensors, unet.state_dict())
    require(not problem, "source", source, f"weights of the U-Net that its configuration describes: {problem}")
    require_finite(tensors, "source", source)
    unet.load_state_dict({name: value.float() for name, value in tensors.items()}, assign=True)
    return unet.eval()
