"""The options of an audit."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from gradaudit.instruments.run_options import WorkerOptions
from gradaudit.options import Anything, option

if TYPE_CHECKING:
    from torch import nn

    from gradaudit.diffusion import Denoiser
    from gradaudit.training import Recipe


@dataclass(frozen=True, kw_only=True)
class AuditOptions(WorkerOptions):
    """The options of `audit`."""

    preset: str = option("standard", Anything(), '`"quick"`, `"standard"` or `"paper"`: how many images, seeds, levels, steps')
    denoiser: Denoiser | None = option(
        None, Anything(), "of such images, for alignment and counterfactuals; `load_denoiser` gives one", shown="none"
    )
    robust: nn.Module | None = option(
        None,
        Anything(),
        "a classifier of the same classes whose gradients lie along the data, a helper for counterfactuals",
        shown="none",
    )
    oracles: Mapping[str, nn.Module] | None = option(
        None,
        Anything(),
        "classifiers, by name, that say whether counterfactuals show what they should",
        shown="the other audited ones",
    )
    recipes: Mapping[str, Recipe] | None = option(
        None,
        Anything(),
        "how audited classifiers were trained, by name, so that leakage can be measured on blocks where the images have no known "
        "signal",
        shown="unknown",
    )
    on_blocks: Mapping[str, nn.Module] | None = option(
        None,
        Anything(),
        "classifiers trained as the audited ones of those names were, on `blocks` of such images: leakage is measured of them, and "
        "trains none",
        shown="trained by the recipes",
    )
    options: Mapping[str, Any] | None = option(
        None,
        Anything(),
        'changes of the preset: `{"diffroar": {"seeds": 5}, "robustness": False, "test_images": 1000}`',
        shown="none",
    )
