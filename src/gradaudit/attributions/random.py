"""Control: scores drawn at random."""

from __future__ import annotations

from torch import Tensor, nn

from gradaudit.attributions._control import control
from gradaudit.noise import generators, normal


@control(knows_images=False)
def random(classifier: nn.Module | None, images: Tensor, targets: Tensor | None, *, seed: int = 0) -> Tensor:
    """Control: standard normal noise, float32 (N, C, H, W).

    Args:
        classifier: ignored.
        images: floats (N, C, H, W) in [0, 1].
        targets: ignored.
        seed: of the noise, which depends on the image and the seed alone; equal images get equal scores.

    Raises:
        InputError: `seed` is not a whole number.
    """
    return normal(generators(images, seed), images)
