"""Where images may change, brought to one form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.errors import require
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.regions._asked import Asked
from gradaudit.registry import Registry, Spec, parse_spec

REGIONS = Registry("gradaudit.instruments.counterfactual.regions", "region")

RegionLike: TypeAlias = "str | Mapping[str, Any] | Spec | Tensor | np.ndarray"


def resolve_region(region: Any, classifier: nn.Module, images: ImageSet, seed: int, device: torch.device) -> Tensor | None:
    """Where each image may change, boolean (N, H, W) on the CPU; None where all of it may.

    Args:
        region: a spec such as `"signal"` or `"top(attribution=smoothgrad, share=0.1)"`, booleans (N, H, W), or None.
        classifier: the explained one.
        images: those that are to change.
        seed: of what an attribution draws.
        device: where to compute.

    Raises:
        InputError: it is none of these, or leaves an image no pixel.
    """
    if region is None:
        return None
    if isinstance(region, (str, Mapping, Spec)):
        found = REGIONS.bind("region", region)(Asked(classifier, images, seed, device))
    else:
        found = torch.from_numpy(np.asarray(region)) if isinstance(region, np.ndarray) else region
    expected = f"booleans of shape {(len(images), *images.shape[1:])}, True where an image may change"
    good = isinstance(found, Tensor) and found.dtype == torch.bool and tuple(found.shape) == (len(images), *images.shape[1:])
    require(good, "region", region if isinstance(region, str) else f"{type(region).__name__} {tuple(np.shape(region))}", expected)
    nowhere = int((~found.flatten(1).any(dim=1)).sum())
    require(not nowhere, "region", f"{nowhere} images without a pixel that may change", "a pixel or more of every image")
    mask: Tensor = found.cpu()
    return mask


def named_region(region: Any) -> str | None:
    """The region as settings name it: its spec, or the fingerprint of the user's own; None where there is none."""
    if region is None:
        return None
    if isinstance(region, (str, Mapping, Spec)):
        return str(parse_spec("region", region))
    return f"own, {fingerprint(region)[:16]}"
