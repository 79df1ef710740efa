"""Checkpoints of OpenAI's guided-diffusion, such as 256x256_diffusion_uncond.pt."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from gradaudit.classifiers.checkpoints import read_checkpoint
from gradaudit.diffusion.adapters._variance_preserving import variance_preserving
from gradaudit.diffusion.adm.unet import unet_from_adm
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.diffusers_unet import UNet
from gradaudit.errors import require


def adm(
    file: str,
    *,
    allow_pickle: bool = False,
    image_size: int | None = None,
    schedule: str | Tensor = "linear",
    num_head_channels: int = 64,
    num_heads: int | None = None,
    new_attention_order: bool = False,
    null_class: int | None = None,
) -> Denoiser:
    """The denoiser in a checkpoint of the ADM layout, its learned variance included: `denoiser.denoise.predict`.

    Shapes tell the architecture; what they can't tell are the options below, which default to those of the 256x256 models.

    Source: Dhariwal and Nichol (2021), Diffusion Models Beat GANs on Image Synthesis, section 3.

    Args:
        file: `.pt` or `.safetensors`.
        allow_pickle: let a checkpoint run the code that it carries; those of OpenAI hold tensors alone and don't need it.
        image_size: the side of its images; None for any that its levels can halve.
        schedule: "linear", "cosine", or alpha-bar as a tensor (T,).
        num_head_channels: the channels of an attention head.
        num_heads: the number of heads at every level instead, as the 128x128 model has it (4).
        new_attention_order: the order of queries, keys and values in the 64x64 model.
        null_class: what stands for no class in a class-conditional model; None where it was trained on classes alone.

    Raises:
        InputError: the file can't be read or has another layout, or an option doesn't fit it.
    """
    whole = image_size is None or (isinstance(image_size, int) and image_size > 0)
    require(whole, "image_size", image_size, "a positive integer or None")
    content = read_checkpoint(file, allow_pickle=allow_pickle, argument="source")
    tensors = content.state_dict() if isinstance(content, nn.Module) else content
    unet = unet_from_adm(
        tensors, str(file), num_head_channels=num_head_channels, num_heads=num_heads, new_attention_order=new_attention_order
    )
    network = UNet(unet, null_class)
    shape = None if image_size is None else (tensors["input_blocks.0.0.weight"].shape[1], image_size, image_size)
    description: dict[str, object] = {"adapter": "adm", "source": Path(file).name}
    return variance_preserving(network, schedule, shape=shape, classes=network.classes, description=description)
