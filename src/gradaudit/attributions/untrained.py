"""Control: the attribution of the same network before any training."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from gradaudit.attributions._control import control, of_another, prepared_by
from gradaudit.attributions._resolve import made_of
from gradaudit.attributions._scores import checked
from gradaudit.classifiers import untrained_copy
from gradaudit.errors import require


def _prepared(classifier: nn.Module, *, of: Any = "logit_gradient", seed: int = 0) -> Callable[..., Tensor]:
    """The attribution of a copy that is made once."""
    inner = made_of(of, seed)
    require(inner.needs_classifier, "of", inner.name, "an attribution that looks at the classifier")
    function, fresh = inner.function, untrained_copy(classifier, seed)
    assert function is not None
    return lambda _, images, targets: checked(function(fresh, images, targets), inner.name, images, 0)


@prepared_by(_prepared)
@of_another
@control(knows_images=True, needs_classifier=True, lacks="was never trained")
def untrained(classifier: nn.Module, images: Tensor, targets: Tensor, *, of: Any = "logit_gradient", seed: int = 0) -> Tensor:
    """An attribution of a copy of the classifier whose weights are drawn anew: float32 (N, C, H, W).

    What it shares with the classifier's own was there before training: a convolutional network's gradient is edge-like anyway.

    Args:
        classifier: images in [0, 1] to logits (N, K); it is left as it was.
        images: floats (N, C, H, W) in [0, 1].
        targets: int64 (N,), from 0 to K - 1.
        of: the attribution, as wherever one is named; with options in quotes, `of='smoothgrad(samples=50)'`.
        seed: of the weights, by each layer's own `reset_parameters`, and of an attribution that draws. No training that starts from
            the same seed starts from these weights.

    Raises:
        InputError: `of` is no attribution, or one that knows no classifier; a layer can't be initialised anew.

    Source: Adebayo et al., "Sanity checks for saliency maps" (2018).
    """
    return _prepared(classifier, of=of, seed=seed)(classifier, images, targets)
