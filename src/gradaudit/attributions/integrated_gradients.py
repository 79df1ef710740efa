"""Integrated gradients: the gradient averaged on the way from a baseline to the image."""

from __future__ import annotations

import numpy as np
from torch import Tensor, nn

from gradaudit.attributions._completeness import complete
from gradaudit.attributions._path import along_line, from_the_baseline
from gradaudit.errors import require, require_whole


@complete(from_the_baseline)
def integrated_gradients(
    classifier: nn.Module,
    images: Tensor,
    targets: Tensor,
    *,
    steps: int = 50,
    baseline: float = 0.0,
    of: str = "logit",
) -> Tensor:
    """(image - baseline) times the mean gradient on the line between them: float32 (N, C, H, W).

    Complete: the scores of an image add up to the quantity at the image less the quantity at the baseline.

    Args:
        classifier: images in [0, 1] to logits (N, K).
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        steps: points of the Gauss-Legendre quadrature along the line.
        baseline: the grey level of the baseline image, 0 for black.
        of: the quantity, `"logit"`, `"loss"` or `"softmax"`.

    Raises:
        InputError: an option, a shape, a dtype or a target is not as above; the classifier blocks gradients.

    Source: Sundararajan, Taly, Yan (2017), equation 1.
    """
    require_whole("steps", steps, 1)
    require(np.isfinite(baseline), "baseline", baseline, "a finite number")
    return along_line(classifier, baseline, images, targets, steps=steps, of=of)
