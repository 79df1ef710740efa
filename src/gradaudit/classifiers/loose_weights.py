"""Initial values of parameters that stand in a network beside its layers, so that no layer initialises them."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from torch import Tensor, nn

# By the class and the name of the parameter, as in torchvision, timm and transformers; the papers' own values.
RULES: tuple[tuple[re.Pattern[str], Callable[[Tensor], object]], ...] = (
    (
        re.compile(r"(token|pos_embed(ding)?|position_embeddings|relative_position_bias_table|attention_biases)$"),
        lambda weight: nn.init.trunc_normal_(weight, std=0.02),  # Dosovitskiy et al. (2021), Liu et al. (2021)
    ),
    (re.compile(r"(GRN|GlobalResponseNorm)\.(weight|bias)$"), nn.init.zeros_),  # Woo et al. (2023)
    (re.compile(r"\.logit_scale$"), lambda weight: nn.init.constant_(weight, math.log(10))),  # Liu et al. (2022), Swin V2
    (
        re.compile(r"\.(layer_scale\w*|gamma_?\d*|lambda_?\d*|scale)$"),
        lambda weight: nn.init.constant_(weight, 1e-6),  # Touvron et al. (2021), Liu et al. (2022), ConvNeXt
    ),
)


def draw_loose(module: nn.Module, name: str, weight: Tensor) -> None:
    """Give a module's own parameter its initial values, where it is one whose values are known.

    Class and distillation tokens, positions and position biases come from a normal distribution of deviation .02, cut at 2.
    The scales of residual branches are 1e-6, Swin V2's scale of logits is 10, and ConvNeXt V2's response normalisation begins at 0.
    """
    full = f"{type(module).__name__}.{name}"
    for pattern, draw in RULES:
        if pattern.search(full):
            draw(weight.data)
            return
