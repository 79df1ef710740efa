"""Excitation pullback: the gradient through gates that open gradually."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.attributions._gradients import input_gradient
from gradaudit.attributions._soft_gates import Softened, check_gate
from gradaudit.errors import require, require_whole


def excitation_pullback(
    classifier: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    gate: str = "sigmoid",
    temperature: float | None = None,
    steps: int = 0,
    step_size: float = 0.026,
    of: str = "logit",
) -> Tensor:
    """The gradient of the target's logit through soft gates, or the way up along it: float32 (N, C, H, W).

    The logits are the classifier's own. In the backward pass, a ReLU's step 1[z > 0] becomes a smooth one of z / temperature; SiLU
    and GELU pass the gradient by their gate, held constant; max-pooling by the softmax of each window, held constant; mean and
    variance of a LayerNorm are constants. At low temperature a network of ReLUs has its ordinary gradient; at high temperature, for
    L layers, 2^-L times that of the network without them, which hardly depends on the image. A temperature is in units of
    pre-activations: it means much after a batch norm, little without.

    Args:
        classifier: images in [0, 1] to logits (N, K), of ReLU, SiLU, GELU or 2-d max-pooling, as modules or as calls.
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        gate: of ReLUs: `"sigmoid"`, the logistic function (2025), or `"normal"`, the normal distribution function (2026).
        temperature: of all gates, above 0. The papers' own unless given: .3 for ReLU by sigmoid, .6 by normal, 1.6 for SiLU, 1 for
            GELU, .3 for max-pooling.
        steps: 0 for the gradient; 1 or more for where so many steps along it, each of the same length and clipped to [0, 1], have
            moved the image (pullback ascent; the paper takes 5).
        step_size: root mean square of a step's change. The paper's is 20 in L2 on 3x224x224 pixels in [-1, 1].
        of: the quantity, `"logit"`, `"loss"` or `"softmax"`.

    Raises:
        InputError: an option, a shape, a dtype or a target is not as above; the classifier has no gate, one that the papers do not
            soften (LeakyReLU, ELU, ReLU6, ...), or one that Python does not see (in a TorchScript module).

    Source: Satkiewicz, "Pulling Back the Curtain" (arXiv 2507.22832).
    """
    check_gate(gate, temperature)
    require_whole("steps", steps)
    require(0 < step_size < float("inf"), "step_size", step_size, "a finite number above 0")
    soft = Softened(classifier, gate, temperature)
    if not steps:
        return input_gradient(soft, images, targets, of)
    moved = images.detach().float()
    for _ in range(steps):
        moved = (moved + step_size * _of_length_one(input_gradient(soft, moved, targets, of))).clamp(0, 1)
    return moved - images.float()


def _of_length_one(gradient: Tensor) -> Tensor:
    """Each image's gradient over its root mean square; a gradient of zero as it is."""
    largest = gradient.abs().amax((1, 2, 3), keepdim=True)
    scaled = gradient / largest.where(largest > 0, 1.0)  # first, so that no square of a tiny one is rounded to 0
    size = scaled.square().mean((1, 2, 3), keepdim=True).sqrt()
    return scaled / size.where(size > 0, 1.0)
