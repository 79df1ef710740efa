"""Control: the edges of the image itself."""

from __future__ import annotations

import numpy as np
import torch
from scipy import ndimage
from torch import Tensor, nn

from gradaudit.attributions._control import control


@control(knows_images=True)
def edges(classifier: nn.Module | None, images: Tensor, targets: Tensor | None) -> Tensor:
    """Control: the Sobel gradient magnitude of each channel, float32 (N, C, H, W), 0 or more.

    Channel by channel, as input gradients are: a luminance would tie the channels and leave their order to chance.

    Args:
        classifier: ignored.
        images: floats (N, C, H, W) in [0, 1].
        targets: ignored.
    """
    pixels = images.detach().to("cpu", torch.float32).numpy()
    return torch.from_numpy(np.hypot(_sobel(pixels, -1, -2), _sobel(pixels, -2, -1))).to(images.device)


def _sobel(pixels: np.ndarray, along: int, across: int) -> np.ndarray:
    # Not scipy's own `sobel`, which smooths over every other axis: over channels and images too.
    # Borders repeat the outermost pixel, so that the frame of the image is no edge.
    difference = ndimage.correlate1d(pixels, [-1, 0, 1], axis=along, mode="nearest")
    smooth: np.ndarray = ndimage.correlate1d(difference, [1, 2, 1], axis=across, mode="nearest")
    return smooth
