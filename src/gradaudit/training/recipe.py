"""Recipe: all that decides a training."""

from __future__ import annotations

from numbers import Real
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator, model_validator
from torch import nn

from gradaudit.classifiers import NETWORKS, build_network, normalised, read_normalisation
from gradaudit.devices import Precision
from gradaudit.errors import InputError, invalid, require
from gradaudit.registry import Registry, Spec, options_of, parse_spec
from gradaudit.training import objectives, optimizers
from gradaudit.training.augmentation import Augment

OBJECTIVES = Registry(objectives.__name__, "objective")
OPTIMIZERS = Registry(optimizers.__name__, "optimizer")
STRENGTHS = ("eps", "strength", "std")


class Recipe(BaseModel):
    """Network, objective, schedule and seed; immutable, and the same recipe on the same data gives the same classifier.

    Args:
        network: a spec, such as `"mlp"`, `"mlp(width=256)"` or `{"name": "mlp", "width": 256}`.
        objective: a spec, such as `"standard"` or `{"name": "adversarial", "norm": "l2", "eps": 2.0}`.
        normalisation: what the network expects of its input, put inside the classifier: `"none"`, a name such as `"cifar10"`, or
            numbers; see `read_normalisation`.
        epochs: passes over the training images, at least 1.
        batch_size: images a step, at least 1.
        optimizer: a spec: `"sgd"` (Nesterov momentum 0.9), `"adamw"` or `"muon"`.
        learning_rate: its peak; it rises linearly from zero over the `warmup` share of the steps, then falls linearly to zero
            (the one-cycle schedule of Smith and Topin, 2018, without the momentum's cycle).
        weight_decay: L2 penalty on the weights.
        warmup: share of the steps in which the learning rate rises, in [0, 1).
        ramp: share of the steps over which the objective's strength rises linearly from zero, in [0, 1): its `eps`, `strength`
            or `std`, whichever of these it has first. Large radii are learned more surely so.
        augment: `"none"`, `"flip"` or `"crop-flip"` (moved by up to 4 pixels, and mirrored); see `augmented`.
        ema: decay of an exponential moving average of the weights, which is then the classifier; in [0, 1), 0 for none.
        precision: `"fp32"`, `"bf16"` (mixed, master weights in fp32) or `"auto"` (bf16 where the hardware multiplies it).
        seed: of initial weights, batch order and the objective's noise.

    Raises:
        InputError: a value out of its range, an unknown field, name or option; names it. The values of a network's or an
            objective's options are checked where they are used: when it is built, and at the first step.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "mlp"
    objective: str = "standard"
    normalisation: str = "none"
    epochs: int = Field(5, ge=1)
    batch_size: int = Field(128, ge=1)
    optimizer: str = "sgd"
    learning_rate: float = Field(0.1, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(5e-4, ge=0, allow_inf_nan=False)
    warmup: float = Field(0.25, ge=0, lt=1)
    ramp: float = Field(0.0, ge=0, lt=1)
    augment: Augment = "none"
    ema: float = Field(0.0, ge=0, lt=1)
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, lt=2**63)

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
        {"objective": OBJECTIVES, "optimizer": OPTIMIZERS}[argument].bind(argument, spec)
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
            InputError: the images are too small for the network, or have another number of channels than the normalisation.
        """
        return normalised(build_network(self.network, input_shape, classes), self.normalisation, input_shape[0])

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
