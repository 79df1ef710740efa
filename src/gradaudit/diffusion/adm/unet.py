"""A checkpoint of the ADM layout as a U-Net of diffusers'."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from gradaudit.diffusion.adm.architecture import Architecture, read_architecture
from gradaudit.diffusion.adm.layout import rename
from gradaudit.diffusion.diffusers_unet import fill, shapes_of
from gradaudit.errors import require


def unet_from_adm(
    tensors: Mapping[str, Tensor],
    source: str,
    *,
    num_head_channels: int = 64,
    num_heads: int | None = None,
    new_attention_order: bool = False,
) -> nn.Module:
    """A `UNet2DModel` in evaluation mode that computes what the checkpoint's own network does.

    Args:
        tensors: by the names of the ADM layout.
        source: where they came from, for errors.
        num_head_channels: the channels of an attention head; no tensor's shape tells.
        num_heads: the number of heads at every level instead.
        new_attention_order: whether all queries come first and then all keys, or else head by head.

    Raises:
        InputError: another layout, a tensor is missing, unexpected or not finite, or heads that don't divide the channels.
    """
    architecture = read_architecture(tensors, source)
    heads = _heads(architecture, num_head_channels, num_heads)
    unet = shapes_of(architecture.unet_config(num_head_channels if num_heads is None else 1), source)
    _embed_time(unet, architecture)
    if num_heads is not None:
        _split(unet, heads)
    renamed = rename(tensors, unet.state_dict(), architecture, heads=heads, new_attention_order=new_attention_order, source=source)
    return fill(unet, renamed, source)


def _heads(architecture: Architecture, num_head_channels: int, num_heads: int | None) -> dict[int, int]:
    """The number of heads at each width that has attention; the middle always has."""
    widths = {width for width, has in zip(architecture.channels, architecture.attention, strict=True) if has}
    widths.add(architecture.channels[-1])
    argument, given = ("num_head_channels", num_head_channels) if num_heads is None else ("num_heads", num_heads)
    good = isinstance(given, int) and given > 0 and all(width % given == 0 for width in widths)
    require(good, argument, given, f"a positive integer that divides the channels of attention, {sorted(widths)}")
    return {width: width // num_head_channels if num_heads is None else num_heads for width in widths}


def _embed_time(unet: nn.Module, architecture: Architecture) -> None:
    """ADM embeds time in its base width, diffusers in the first level's; they differ where that is a multiple."""
    from diffusers.models.embeddings import TimestepEmbedding, Timesteps

    width = architecture.model_channels
    if width != architecture.first_channels:
        unet.time_proj = Timesteps(width, True, 0)
        with torch.device("meta"):
            unet.time_embedding = TimestepEmbedding(width, 4 * width)


def _split(unet: nn.Module, heads: Mapping[int, int]) -> None:
    """Diffusers fixes the channels of a head, so a fixed number of heads is set layer by layer."""
    from diffusers.models.attention_processor import Attention

    for layer in unet.modules():
        if isinstance(layer, Attention):
            layer.heads = heads[layer.query_dim]
            layer.sliceable_head_dim = layer.heads
            layer.scale = (layer.query_dim / layer.heads) ** -0.5
