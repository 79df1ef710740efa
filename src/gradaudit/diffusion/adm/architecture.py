"""What a checkpoint of the ADM layout says of its architecture, by the shapes of its tensors."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from gradaudit.errors import InputError, require

MARKS = ("time_embed.0.weight", "input_blocks.0.0.weight", "middle_block.1.qkv.weight", "output_blocks.0.0.in_layers.0.weight")


@dataclass(frozen=True)
class Architecture:
    """An ADM U-Net.

    Args:
        model_channels: the width that the time embedding and `channels` are multiples of.
        first_channels: the width of the first convolution.
        channels: the width of each level, from the finest.
        attention: whether each level has attention.
        blocks: residual blocks a level on the way down; one more on the way up.
        resampling_blocks: whether residual blocks change the resolution, or else plain convolutions.
        scale_shift: whether the embedding scales and shifts the normalised features, or else is added before.
        in_channels, out_channels: of the images, and of what it predicts.
        classes: 0 for an unconditional one.
    """

    model_channels: int
    first_channels: int
    channels: tuple[int, ...]
    attention: tuple[bool, ...]
    blocks: int
    resampling_blocks: bool
    scale_shift: bool
    in_channels: int
    out_channels: int
    classes: int

    def unet_config(self, head_channels: int) -> dict[str, Any]:
        """The configuration of the `UNet2DModel` that computes the same, with attention heads of so many channels."""
        return {
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "time_embedding_dim": 4 * self.model_channels,
            "flip_sin_to_cos": True,
            "freq_shift": 0,
            "block_out_channels": self.channels,
            "layers_per_block": self.blocks,
            "down_block_types": tuple(self._block(level, "Down") for level in range(len(self.channels))),
            "up_block_types": tuple(self._block(level, "Up") for level in reversed(range(len(self.channels)))),
            "downsample_type": "resnet" if self.resampling_blocks else "conv",
            "upsample_type": "resnet" if self.resampling_blocks else "conv",
            "resnet_time_scale_shift": "scale_shift" if self.scale_shift else "default",
            "attention_head_dim": head_channels,
            "norm_num_groups": 32,
            "attn_norm_num_groups": 32,  # without it the middle's attention has no normalisation beside scale_shift
            "norm_eps": 1e-5,
            "num_class_embeds": self.classes or None,
        }

    def _block(self, level: int, way: str) -> str:
        if self.attention[level]:
            return f"Attn{way}Block2D"
        return f"Resnet{way}sampleBlock2D" if self.resampling_blocks else f"{way}Block2D"


def read_architecture(tensors: Mapping[str, Tensor], source: str) -> Architecture:
    """The architecture of a checkpoint.

    Args:
        tensors: by the names of the ADM layout.
        source: where they came from, for errors.

    Raises:
        InputError: the names or shapes are not those of an ADM U-Net that predicts images' noise.
    """
    missing = [name for name in MARKS if name not in tensors]
    expected = f"a diffusion U-Net of the ADM layout (openai/guided-diffusion); it has no {', '.join(missing)}"
    require(not missing, "source", source, expected)
    try:
        found = _architecture(tensors)
    except (KeyError, IndexError, ValueError) as error:
        raise InputError("source", source, f"complete, in the ADM layout (openai/guided-diffusion); missing: {error}") from error
    _check(found, source)
    return found


def _architecture(tensors: Mapping[str, Tensor]) -> Architecture:
    upsampling = sorted(
        {int(name.split(".")[1]) for name in tensors if re.match(r"output_blocks\.\d+\.[12]\.(conv|in_layers)", name)}
    )
    count = 1 + max(int(name.split(".")[1]) for name in tensors if name.startswith("output_blocks."))
    # Each level of the way up but the last ends in the block that upsamples.
    blocks = (upsampling[0] + 1 if upsampling else count) - 1
    firsts = [1 + (blocks + 1) * level for level in range(len(upsampling) + 1)]
    first = tensors["input_blocks.0.0.weight"]
    embedding = tensors["input_blocks.1.0.emb_layers.1.weight"]
    channels = tuple(len(tensors[f"input_blocks.{index}.0.out_layers.3.weight"]) for index in firsts)
    return Architecture(
        model_channels=tensors["time_embed.0.weight"].shape[1],
        first_channels=len(first),
        channels=channels,
        attention=tuple(f"input_blocks.{index}.1.qkv.weight" in tensors for index in firsts),
        blocks=blocks,
        resampling_blocks=any(re.match(r"output_blocks\.\d+\.[12]\.in_layers", name) for name in tensors),
        scale_shift=len(embedding) == 2 * channels[0],
        in_channels=first.shape[1],
        out_channels=len(tensors["out.2.weight"]),
        classes=len(tensors["label_emb.weight"]) if "label_emb.weight" in tensors else 0,
    )


def _check(found: Architecture, source: str) -> None:
    same = found.first_channels == found.channels[0]
    require(same, "source", source, f"as wide in the first level ({found.channels[0]}) as its first layer ({found.first_channels})")
    ratio = found.out_channels / found.in_channels
    expected = (
        f"one that predicts as many channels as its images have, or twice; it has {found.in_channels} and {found.out_channels}"
    )
    require(ratio in (1, 2), "source", source, expected)
    upsampler = found.in_channels == found.out_channels == 6
    require(
        not upsampler,
        "source",
        source,
        "a denoiser of images; this is an upsampler, which is given a small image beside the noisy one",
    )
    groups = all(width % 32 == 0 for width in found.channels)
    require(
        groups, "source", source, f"of widths that are multiples of 32, as its group normalisation needs; found {found.channels}"
    )
