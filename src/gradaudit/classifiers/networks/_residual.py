"""What the residual networks with batch normalisation share (He et al. 2016, "Deep residual learning", section 3)."""

from __future__ import annotations

from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

Shortcut = Callable[[int, int, int], nn.Module]


class BasicBlock(nn.Module):
    """Two 3x3 convolutions with batch normalisation, added to a shortcut.

    Args:
        channels: of the input.
        width: channels of the output.
        stride: of the first convolution.
        activation: makes an activation.
        shortcut: makes the path around the convolutions, from (channels, width, stride).
    """

    def __init__(self, channels: int, width: int, stride: int, activation: Callable[[], nn.Module], shortcut: Shortcut) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.act1 = activation()
        self.conv2 = nn.Conv2d(width, width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        unchanged = stride == 1 and channels == width
        self.downsample = nn.Identity() if unchanged else shortcut(channels, width, stride)
        self.act2 = activation()

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (N, width, H / stride, W / stride)."""
        residual = self.bn2(self.conv2(self.act1(self.bn1(self.conv1(inputs)))))
        return self.act2(residual + self.downsample(inputs))  # type: ignore[no-any-return]


class PaddedShortcut(nn.Module):
    """Option A of He et al.: every second pixel, with zeros for the channels that are new; no parameters."""

    def __init__(self, channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.stride = stride
        self.before = (width - channels) // 2
        self.after = width - channels - self.before

    def forward(self, inputs: Tensor) -> Tensor:
        """Features (N, width, H / stride, W / stride)."""
        return F.pad(inputs[..., :: self.stride, :: self.stride], (0, 0, 0, 0, self.before, self.after))


def projected_shortcut(channels: int, width: int, stride: int) -> nn.Module:
    """Option B of He et al.: a 1x1 convolution with batch normalisation."""
    return nn.Sequential(nn.Conv2d(channels, width, 1, stride, bias=False), nn.BatchNorm2d(width))


def stage(
    channels: int, width: int, stride: int, blocks: int, activation: Callable[[], nn.Module], shortcut: Shortcut
) -> nn.Module:
    """Blocks of one width, the first of which has the stride."""
    first = BasicBlock(channels, width, stride, activation, shortcut)
    return nn.Sequential(first, *(BasicBlock(width, width, 1, activation, shortcut) for _ in range(blocks - 1)))


def he_initialised(network: nn.Module) -> nn.Module:
    """The network, its convolutions drawn anew as He et al. (2015) derive for rectifiers."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
    return network
