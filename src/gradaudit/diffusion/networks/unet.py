"""A U-Net of diffusers, on patches of pixels."""

from __future__ import annotations

from collections.abc import Sequence
from math import gcd
from typing import Any

from torch import Tensor, nn
from torch.nn import functional as F

from gradaudit.errors import require, require_whole

TIME_SCALE = 10.0
GROUPS = 16
HEAD = 32


def unet(
    input_shape: tuple[int, int, int],
    classes: int,
    *,
    widths: Sequence[int] = (64, 96),
    layers: int = 1,
    patch: int = 2,
    attention: bool = False,
) -> nn.Module:
    """A U-Net that knows `classes` classes and, under the next label, the null class.

    Source: Dhariwal and Nichol (2021), Diffusion Models Beat GANs on Image Synthesis, section 3: scale-shift conditioning on
    noise level and class.

    Args:
        input_shape: (C, H, W) of an image.
        classes: the number of classes; 0 for images without.
        widths: channels of each level; each level has half the side of the one before.
        layers: residual blocks a level, on the way down; one more on the way up.
        patch: side of the squares of pixels that the first level takes as one; 2 costs a quarter of what 1 does.
        attention: whether the last level attends to itself.

    Returns:
        A module `(noisy, noise, labels) -> output`: floats (N, C, H, W), (N,) and int64 (N,) to floats (N, C, H, W); its last
        layer is zero at first.

    Raises:
        InputError: a width that is no multiple of 8, or a side that can't be halved as often as there are levels.
    """
    good = len(widths) > 0 and all(isinstance(width, int) and width > 0 and width % 8 == 0 for width in widths)
    require(good, "widths", widths, "a list of channels, multiples of 8")
    require_whole("layers", layers, 1)
    require_whole("patch", patch, 1)
    multiple = patch * 2 ** (len(widths) - 1)
    fits = all(side % multiple == 0 for side in input_shape[1:])
    require(
        fits, "input_shape", input_shape, f"sides that are multiples of {multiple}, for {len(widths)} widths and patches of {patch}"
    )
    return _Patched(_unet(input_shape, classes, tuple(widths), layers, patch, attention), patch)


def _unet(
    input_shape: tuple[int, int, int], classes: int, widths: tuple[int, ...], layers: int, patch: int, attention: bool
) -> nn.Module:
    from diffusers import UNet2DModel

    channels = input_shape[0] * patch**2
    last = "Attn" if attention else ""
    plain = len(widths) - 1
    network: Any = UNet2DModel(  # type: ignore[no-untyped-call]
        in_channels=channels,
        out_channels=channels,
        block_out_channels=widths,
        layers_per_block=layers,
        down_block_types=("DownBlock2D",) * plain + (f"{last}DownBlock2D",),
        up_block_types=(f"{last}UpBlock2D",) + ("UpBlock2D",) * plain,
        norm_num_groups=gcd(GROUPS, *widths),
        attention_head_dim=gcd(HEAD, *widths),
        add_attention=attention,
        resnet_time_scale_shift="scale_shift",
        num_class_embeds=classes + 1,
    )
    # EDM's networks begin with zero output, so that D(x) = c_skip x at first.
    nn.init.zeros_(network.conv_out.weight)
    nn.init.zeros_(network.conv_out.bias)
    made: nn.Module = network
    return made


class _Patched(nn.Module):
    def __init__(self, unet: Any, patch: int) -> None:
        super().__init__()
        self.unet = unet
        self.patch = patch

    def forward(self, noisy: Tensor, noise: Tensor, labels: Tensor) -> Tensor:
        # The embedding is made for steps up to 1000, and its fastest wave is sin(t): spread the noise levels over a few periods.
        inside = F.pixel_unshuffle(noisy, self.patch)
        output: Tensor = self.unet(inside, TIME_SCALE * noise, class_labels=labels).sample
        return F.pixel_shuffle(output, self.patch)
