"""Where each tensor of diffusers' U-Net is found in the ADM layout, and the tensors brought there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gradaudit.classifiers.checkpoints import mismatch
from gradaudit.diffusion.adm.architecture import Architecture
from gradaudit.errors import require

RESIDUAL = {
    "norm1": "in_layers.0",
    "conv1": "in_layers.2",
    "time_emb_proj": "emb_layers.1",
    "norm2": "out_layers.0",
    "conv2": "out_layers.3",
    "conv_shortcut": "skip_connection",
}
ATTENTION = {"group_norm": "norm", "to_q": "qkv", "to_k": "qkv", "to_v": "qkv", "to_out.0": "proj_out"}
OUTSIDE = {
    "conv_in": "input_blocks.0.0",
    "time_embedding.linear_1": "time_embed.0",
    "time_embedding.linear_2": "time_embed.2",
    "class_embedding": "label_emb",
    "conv_norm_out": "out.0",
    "conv_out": "out.2",
}
PARTS = ("to_q", "to_k", "to_v")


def rename(
    tensors: Mapping[str, Tensor],
    expected: Mapping[str, Tensor],
    architecture: Architecture,
    *,
    heads: Mapping[int, int],
    new_attention_order: bool,
    source: str,
) -> dict[str, Tensor]:
    """The tensors of a checkpoint under the names of diffusers' U-Net, queries, keys and values apart.

    Args:
        tensors: by the names of the ADM layout.
        expected: by the names of diffusers, with the shapes that they must have.
        architecture: the checkpoint's.
        heads: how many attention heads there are, by the number of channels.
        new_attention_order: whether all queries come first and then all keys, or else head by head.
        source: where the tensors came from, for errors.

    Raises:
        InputError: a tensor is missing, unexpected or of another shape; in the names of the ADM layout.
    """
    modules = module_names(architecture)
    names = {name: adm_name(name, modules) for name in expected}
    # ADM writes the linear maps of attention as convolutions of width 1.
    flat = {name: value.flatten(1) if _linear(name) and value.ndim > 2 else value for name, value in tensors.items()}
    problem = mismatch(flat, _together(expected, names))
    require(not problem, "source", source, f"a complete checkpoint of the ADM layout: {problem}")
    return {
        name: _part(flat[origin], name, heads, new_attention_order) if ".qkv." in origin else flat[origin]
        for name, origin in names.items()
    }


def adm_name(name: str, modules: Mapping[str, str]) -> str:
    """The ADM layout's name for a tensor of diffusers' U-Net."""
    module = next(found for found in modules if name.startswith(f"{found}."))
    layer, _, kind = name.removeprefix(f"{module}.").rpartition(".")
    inner = RESIDUAL.get(layer) or ATTENTION.get(layer) or layer
    return ".".join(part for part in (modules[module], inner, kind) if part)


def module_names(architecture: Architecture) -> dict[str, str]:
    """The ADM layout's name for each convolution, residual block and attention of diffusers' U-Net."""
    levels, blocks = len(architecture.channels), architecture.blocks
    resampling = "" if architecture.resampling_blocks else ".op"
    found = dict(OUTSIDE)
    for place, index in (("resnets.0", 0), ("attentions.0", 1), ("resnets.1", 2)):
        found[f"mid_block.{place}"] = f"middle_block.{index}"
    for level in range(levels):
        first = 1 + (blocks + 1) * level
        for block in range(blocks):
            found |= _pair(f"down_blocks.{level}", block, f"input_blocks.{first + block}")
        sampler = "downsamplers.0" if architecture.resampling_blocks else "downsamplers.0.conv"
        found[f"down_blocks.{level}.{sampler}"] = f"input_blocks.{first + blocks}.0{resampling}"
    for up, attention in enumerate(reversed(architecture.attention)):
        first = (blocks + 1) * up
        for block in range(blocks + 1):
            found |= _pair(f"up_blocks.{up}", block, f"output_blocks.{first + block}")
        sampler = "upsamplers.0" if architecture.resampling_blocks else "upsamplers.0.conv"
        suffix = "" if architecture.resampling_blocks else ".conv"
        found[f"up_blocks.{up}.{sampler}"] = f"output_blocks.{first + blocks}.{2 if attention else 1}{suffix}"
    return found


def _pair(target: str, block: int, origin: str) -> dict[str, str]:
    return {f"{target}.resnets.{block}": f"{origin}.0", f"{target}.attentions.{block}": f"{origin}.1"}


def _together(expected: Mapping[str, Tensor], names: Mapping[str, str]) -> dict[str, Tensor]:
    """The shapes that the checkpoint must have."""
    groups: dict[str, list[Tensor]] = {}
    for name, origin in names.items():
        groups.setdefault(origin, []).append(expected[name])
    return {origin: _joined(parts) for origin, parts in groups.items()}


def _joined(parts: Sequence[Tensor]) -> Tensor:
    return parts[0] if len(parts) == 1 else torch.cat(list(parts))


def _linear(name: str) -> bool:
    return name.endswith((".qkv.weight", ".proj_out.weight"))


def _part(packed: Tensor, name: str, heads: Mapping[int, int], new_order: bool) -> Tensor:
    """The queries', keys' or values' share of a packed weight (3C, C) or bias (3C,)."""
    width = len(packed) // 3
    part = PARTS.index(name.split(".")[-2])
    if new_order:
        return packed.reshape(3, *(width, *packed.shape[1:]))[part]
    each = packed.reshape(heads[width], 3, width // heads[width], *packed.shape[1:])
    return each[:, part].reshape(width, *packed.shape[1:])
