"""Recipe: all that decides a training."""

from __future__ import annotations

from numbers import Real
from typing import Any

import torch
from pydantic import ValidationError, ValidationInfo, field_validator, model_validator
from torch import nn

from gradaudit.classifiers import NETWORKS, build_network, normalised, read_normalisation
from gradaudit.classifiers.libraries import names_library
from gradaudit.devices import resolve_precision
from gradaudit.errors import InputError, invalid, require
from gradaudit.files import fingerprint
from gradaudit.identity import identity
from gradaudit.recipe_fields import RecipeFields
from gradaudit.registry import Registry, Spec, carried, carry, check_complete, imported, options_of, parse_spec
from gradaudit.training import objectives, optimizers
from gradaudit.training.objectives._helper import Helper, helper_of

OBJECTIVES = Registry(objectives.__name__, "objective", also=("gradaudit.diffusion.objectives",))
OPTIMIZERS = Registry(optimizers.__name__, "optimizer")
STRENGTHS = ("eps", "strength", "std")


class Recipe(RecipeFields):
    """The fields, checked, and what is made of them."""

    __doc__ = RecipeFields.__doc__

    def __init__(self, **fields: Any) -> None:
        try:
            super().__init__(**fields)
        except ValidationError as error:
            raise invalid(error, "a recipe", Recipe.model_fields) from None

    @field_validator("network", mode="before")
    @classmethod
    def _network(cls, value: Any) -> str:
        spec = parse_spec("network", value)
        if ":" not in spec.name:
            NETWORKS.bind("network", spec)
        return _text("network", spec)

    @field_validator("objective", "optimizer", mode="before")
    @classmethod
    def _registered(cls, value: Any, about: ValidationInfo) -> str:
        argument = str(about.field_name)
        spec = parse_spec(argument, value)
        check_complete(argument, spec, {"objective": OBJECTIVES, "optimizer": OPTIMIZERS}[argument].bind(argument, spec))
        return _text(argument, spec)

    @field_validator("normalisation", mode="before")
    @classmethod
    def _normalisation(cls, value: Any) -> str:
        found = read_normalisation(value)
        return "none" if found is None else str(found)

    @model_validator(mode="after")
    def _ramp_has_a_strength(self) -> Recipe:
        strength, _ = self.strength()
        expected = f"0 for the objective {self.objective}, which has none of {', '.join(STRENGTHS)}"
        require(self.ramp == 0 or strength is not None, "ramp", self.ramp, expected)
        return self

    def strength(self) -> tuple[str | None, Any]:
        """The name and the value of the option that says how strong the objective is; (None, None) where it has none."""
        given = self.objective_options()
        return next(((name, given[name]) for name in STRENGTHS if isinstance(given.get(name), Real)), (None, None))

    def objective_options(self) -> dict[str, Any]:
        """All options of the objective: those given, and the others' defaults."""
        spec = parse_spec("objective", self.objective)
        options = options_of(OBJECTIVES.function("objective", spec.name))
        return options | dict(zip(options, spec.positional, strict=False)) | spec.options

    def build(self, input_shape: tuple[int, int, int], classes: int) -> nn.Module:
        """A new, untrained classifier for images of shape (C, H, W); its weights are drawn from the caller's random state.

        Raises:
            InputError: the images are too small for the network, or have another number of channels than the normalisation; or
                what the objective needs, such as a denoiser, can't be had or does not fit such images.
        """
        if helper := self._helper():
            helper.check(self.objective_options(), input_shape, classes, self.augment)
        return normalised(build_network(self.network, input_shape, classes), self.normalisation, input_shape[0])

    def key(self, device: torch.device) -> dict[str, Any]:
        """What decides a training on a device, for the store's key: the fields, as JSON values, the code of a user's functions,
        and what the objective needs beside its options.

        Raises:
            InputError: a user's own network, objective or optimizer can't be imported, or the objective's denoiser can't be had.
        """
        fields = self.model_dump() | {"precision": resolve_precision(self.precision, device)}
        if helper := self._helper():
            fields |= {"objective_needs": helper.mark(self.objective_options())}
        own = [spec.name for spec in self._specs() if ":" in spec.name and not names_library(spec)]
        return fields | ({"own": {name: fingerprint(*identity(imported("recipe", name))) for name in own}} if own else {})

    def _specs(self) -> list[Spec]:
        return [parse_spec(name, getattr(self, name)) for name in ("network", "objective", "optimizer")]

    def _helper(self) -> Helper | None:
        return helper_of(OBJECTIVES.function("objective", parse_spec("objective", self.objective).name))

    def _named(self) -> list[Spec]:
        """The specs, and what the objective's options name."""
        return [*self._specs(), *(Spec(value) for value in self.objective_options().values() if isinstance(value, str))]

    def __getstate__(self) -> dict[Any, Any]:
        # A worker can't import what stands in a script or a notebook, so a recipe takes it along.
        return {**super().__getstate__(), "carried": carried(self._named())}

    def __setstate__(self, state: dict[Any, Any]) -> None:
        carry(state.get("carried", {}))
        super().__setstate__({key: value for key, value in state.items() if key != "carried"})

    def with_(self, **fields: Any) -> Recipe:
        """The same recipe with some fields changed.

        Raises:
            InputError: as for a new recipe.
        """
        return Recipe(**{**self.model_dump(), **fields})


def _text(argument: str, spec: Spec) -> str:
    # A recipe is kept as text, so its specs must come back from it.
    text = str(spec)
    try:
        same = parse_spec(argument, text) == spec
    except InputError:
        same = False
    require(same, argument, text, "given options that can be written down: numbers, text, true, false, None, lists of these")
    return text
