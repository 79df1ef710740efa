"""The fields of recipes: what they are called, what they may be, what they mean; light, so that a command line need not wait."""

from __future__ import annotations

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

Augment = Literal["none", "flip", "crop-flip"]
Precision = Literal["auto", "fp32", "bf16"]


class RecipeFields(BaseModel):
    """Network, objective, schedule and seed; immutable, and the same recipe on the same data gives the same classifier.

    Args:
        network: a spec, such as `"mlp"`, `"mlp(width=256)"` or `{"name": "mlp", "width": 256}`; or a function of yours itself, of a
            module or a notebook's cell, kept as `"package.module:function"`.
        objective: likewise, such as `"standard"` or `{"name": "adversarial", "norm": "l2", "eps": 2.0}`.
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


class DenoiserFields(BaseModel):
    """Network, noise, schedule and seed; immutable, and the same recipe on the same images gives the same denoiser.

    Args:
        network: a spec, such as `"unet"` or `"unet(widths=[32, 64, 64], patch=1)"`.
        sigma_data: standard deviation of pixels that the preconditioning expects, for images in [-1, 1].
        log_sigma_mean: mean of ln sigma over the training, for images in [-1, 1]; EDM's P_mean.
        log_sigma_std: standard deviation of ln sigma; EDM's P_std.
        dropped: probability with which a label gives way to the null class, in [0, 1].
        epochs: passes over the images, at least 1.
        batch_size: images a step, at least 1.
        learning_rate: AdamW's, at its peak; it rises linearly over the `warmup` share of the steps, then falls linearly to zero.
        weight_decay: AdamW's.
        warmup: share of the steps in which the learning rate rises, in [0, 1).
        augment: `"none"`, `"flip"` or `"crop-flip"`.
        ema: decay of the moving average of the weights, which is then the denoiser, in [0, 1); 0 for none.
        precision: `"fp32"`, `"bf16"` (mixed) or `"auto"` (bf16 where the hardware multiplies it).
        seed: of initial weights, batch order, noise and dropped labels.

    Raises:
        InputError: a value out of its range, an unknown field, name or option; names it.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    network: str = "unet"
    sigma_data: float = Field(0.5, gt=0, allow_inf_nan=False)
    log_sigma_mean: float = Field(-1.2, allow_inf_nan=False)
    log_sigma_std: float = Field(1.2, gt=0, allow_inf_nan=False)
    dropped: float = Field(0.1, ge=0, le=1)
    epochs: int = Field(16, ge=1)
    batch_size: int = Field(128, ge=1)
    learning_rate: float = Field(1e-3, gt=0, allow_inf_nan=False)
    weight_decay: float = Field(0.0, ge=0, allow_inf_nan=False)
    warmup: float = Field(0.05, ge=0, lt=1)
    augment: Augment = "none"
    ema: float = Field(0.999, ge=0, lt=1)
    precision: Precision = "auto"
    seed: int = Field(0, ge=0, lt=2**63)
