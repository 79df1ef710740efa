"""DenoiserRecipe: all that decides a denoiser's training."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from typing import Any

from pydantic import ValidationError, field_validator

from gradaudit.diffusion import networks, recipes
from gradaudit.diffusion.preconditioning import Preconditioned
from gradaudit.errors import invalid, require
from gradaudit.recipe_fields import DenoiserFields
from gradaudit.registry import Registry, Spec, parse_spec
from gradaudit.training import Recipe

NETWORKS = Registry(networks.__name__, "denoiser's network")


class DenoiserRecipe(DenoiserFields):
    """The fields, checked, and what is made of them."""

    __doc__ = DenoiserFields.__doc__

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise invalid(error, "a denoiser's recipe", DenoiserRecipe.model_fields) from None

    @field_validator("network", mode="before")
    @classmethod
    def _network(cls, value: Any) -> str:
        spec = parse_spec("network", value)
        NETWORKS.bind("network", spec)
        return str(spec)

    def build(self, shape: tuple[int, int, int], classes: int) -> Preconditioned:
        """A new, untrained denoiser for images of shape (C, H, W); its weights are drawn from the caller's random state.

        Raises:
            InputError: the network can't take such images.
        """
        return Preconditioned(NETWORKS.bind("network", self.network)(shape, classes), classes, self.sigma_data)

    def fitting(self) -> Recipe:
        """The same training as the fitting loop takes it: with denoising as its objective."""
        noise = {"log_mean": self.log_sigma_mean, "log_std": self.log_sigma_std, "dropped": self.dropped}
        same = ("epochs", "batch_size", "learning_rate", "weight_decay", "warmup", "augment", "ema", "precision", "seed")
        return Recipe(
            objective=Spec("gradaudit.diffusion.objective:denoising", noise),
            optimizer="adamw",
            **{name: getattr(self, name) for name in same},
        )


def denoiser_recipe(name: str, **overrides: Any) -> DenoiserRecipe:
    """The recipe of that name, `"mnist"`, `"fashion-mnist"` or `"cifar10"`, with some fields changed.

    Raises:
        InputError: there is no such recipe; or a field that a recipe lacks, or out of its range.
    """
    found = {file.name.removesuffix(".toml"): file for file in files(recipes).iterdir() if file.name.endswith(".toml")}
    require(name in found, "recipe", name, f"the name of a denoiser's recipe: {', '.join(sorted(found))}")
    return DenoiserRecipe(**(tomllib.loads(found[name].read_text(encoding="utf-8")) | overrides))
