"""Quantus beside gradaudit: instruments as its metrics, attributions as its explanations, and its metrics with our controls.

Needs `pip install 'gradaudit[quantus]'`. Images are those of gradaudit throughout: floats in [0, 1], multiples of 1/255, with the
normalisation inside the classifier (`ga.normalised`).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import torch
from torch import nn

from gradaudit.attributions import attribute_all, controls_beside, named_attributions, resolve_attribution
from gradaudit.batching import evaluating
from gradaudit.classifiers import class_count
from gradaudit.devices import resolve_device
from gradaudit.errors import InputError, MissingExtraError, require
from gradaudit.images import ImageSet
from gradaudit.instruments.contrast import contrast
from gradaudit.instruments.fidelity import fidelity
from gradaudit.instruments.leakage import leakage
from gradaudit.intervals import mean_interval

try:
    from quantus.helpers.enums import DataType, EvaluationCategory, ModelType, ScoreDirection
    from quantus.metrics.base import Metric
except ImportError as error:
    raise MissingExtraError("quantus", "quantus", "`gradaudit.peers.quantus`") from error

COLUMNS = ("attribution", "control", "value", "low", "high")
OFF_GRID = 0.02  # of a 255th: what single precision can do to a multiple of it
GIVEN = "given"  # what the explanations that Quantus hands over are called


class InstrumentMetric(Metric):  # type: ignore[misc]  # Quantus has no types
    """An instrument as a Quantus metric: a number for each image, computed from the explanations that Quantus hands over.

    All images of a call are measured at once, so that `batch_size` changes nothing.
    """

    data_applicability: ClassVar[set[DataType]] = {DataType.IMAGE}
    model_applicability: ClassVar[set[ModelType]] = {ModelType.TORCH}

    def __init__(self, **options: Any) -> None:
        super().__init__(
            abs=False,
            normalise=False,
            normalise_func=None,
            normalise_func_kwargs=None,
            return_aggregate=False,
            aggregate_func=np.mean,
            default_plot_func=None,
            disable_warnings=True,
            display_progressbar=False,
        )
        self.options = options

    @abstractmethod
    def measured(self, classifier: nn.Module, images: ImageSet, scores: torch.Tensor, options: dict[str, Any]) -> np.ndarray:
        """A number for each image, (N,), by the scores (N, C, H, W) or (N, H, W) and with the instrument's options."""

    def __call__(
        self,
        model: nn.Module,
        x_batch: np.ndarray,
        y_batch: np.ndarray,
        a_batch: np.ndarray | None = None,
        s_batch: np.ndarray | None = None,
        *,
        explain_func: Callable[..., Any] | None = None,
        explain_func_kwargs: dict[str, Any] | None = None,
        device: str | None = None,
        **_: Any,
    ) -> list[float]:
        """A number for each image.

        Args:
            model: images in [0, 1] to logits (N, K).
            x_batch: floats (N, C, H, W), multiples of 1/255.
            y_batch: integers (N,): the classes that are explained.
            a_batch: explanations, (N, C, H, W), (N, 1, H, W) or (N, H, W); made by `explain_func` where left out.
            s_batch: the part of each image that matters, (N, 1, H, W) or (N, H, W); the signal mask.
            explain_func: Quantus' `(model, inputs, targets, **options) -> explanations`.
            explain_func_kwargs: its options.
            device: where to compute.

        Raises:
            InputError: images that are none of gradaudit's, no explanations, or as the instrument.
        """
        if a_batch is None:
            require(explain_func is not None, "a_batch", None, "explanations; or give explain_func, which makes them")
            assert explain_func is not None
            a_batch = explain_func(model=model, inputs=x_batch, targets=y_batch, **(explain_func_kwargs or {}))
        images = image_set(model, x_batch, y_batch, s_batch)
        scores = np.asarray(a_batch, dtype=np.float32)
        if scores.ndim == 4 and scores.shape[1] == 1:
            scores = scores[:, 0]
        options = {"device": device or "auto", **self.options}
        self.evaluation_scores = self.measured(model, images, torch.from_numpy(scores.copy()), options).astype(float).tolist()
        self.all_evaluation_scores.extend(self.evaluation_scores)
        return list(self.evaluation_scores)

    def evaluate_batch(self, *_: Any, **__: Any) -> list[float]:
        """Not used: all images are measured at once."""
        raise NotImplementedError


class Fidelity(InstrumentMetric):
    """`ga.fidelity`: for each image, right with the top-ranked share alone less right with the bottom-ranked, mean over levels.

    Args:
        options: those of `ga.fidelity` but controls and patches; statistics of fills are the given images' unless `reference` is.
    """

    name = "Fidelity (gradaudit)"
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.FAITHFULNESS

    def measured(self, classifier: nn.Module, images: ImageSet, scores: torch.Tensor, options: dict[str, Any]) -> np.ndarray:
        """The mean over levels, in [-1, 1]."""
        result = fidelity(classifier, images, {GIVEN: scores}, controls=(), patches=0, **options)
        found = result.per_image(GIVEN)
        sides = (np.stack([found[f"right_{side}_{level:g}"] for level in result.settings["levels"]]) for side in ("top", "bottom"))
        top, bottom = (side.astype(float).mean(0) for side in sides)
        difference: np.ndarray = top - bottom
        return difference


class Contrast(InstrumentMetric):
    """`ga.contrast`: the cosine of the magnitudes of each map and of what sets its image apart from its neighbours.

    Args:
        train: images among which neighbours are looked for.
        options: those of `ga.contrast` but controls.
    """

    name = "Contrast (gradaudit)"
    score_direction = ScoreDirection.HIGHER
    evaluation_category = EvaluationCategory.LOCALISATION

    def __init__(self, train: ImageSet, **options: Any) -> None:
        super().__init__(**options)
        self.train = train

    def measured(self, classifier: nn.Module, images: ImageSet, scores: torch.Tensor, options: dict[str, Any]) -> np.ndarray:
        """The cosine, in [0, 1]."""
        named = ImageSet(images.images, images.labels, self.train.classes)
        result = contrast(classifier, self.train, named, {GIVEN: scores}, controls=(), **options)
        found: np.ndarray = result.per_image(GIVEN)["magnitudes"].to_numpy()
        return found


class Leakage(InstrumentMetric):
    """`ga.leakage`: the share of each map outside the part that matters, which Quantus calls `s_batch`.

    Args:
        options: those of `ga.leakage` but controls and the signal mask.
    """

    name = "Leakage (gradaudit)"
    score_direction = ScoreDirection.LOWER
    evaluation_category = EvaluationCategory.LOCALISATION

    def measured(self, classifier: nn.Module, images: ImageSet, scores: torch.Tensor, options: dict[str, Any]) -> np.ndarray:
        """The share, in [0, 1]."""
        result = leakage(classifier, images, attribution={GIVEN: scores}, controls=(), **options)
        found: np.ndarray = result.per_image(GIVEN)["null_mass"].to_numpy()
        return found


def explanation(attribution: Any, *, seed: int = 0) -> Callable[..., np.ndarray]:
    """A Quantus `explain_func` that gives an attribution's scores, float32 (n, C, H, W).

    Args:
        attribution: whatever `ga.attribute` takes but scores.
        seed: of attributions that draw.

    Raises:
        InputError: it is no attribution, or scores, which nobody can compute for other images.
    """
    found = resolve_attribution(attribution, seed=seed)
    require(found.function is not None, "attribution", found.name, "an attribution by name, or a function, not scores")

    def explain(model: nn.Module, inputs: Any, targets: Any, **_: Any) -> np.ndarray:
        pixels = torch.as_tensor(np.asarray(inputs), dtype=torch.float32)
        wanted = torch.as_tensor(np.asarray(targets)).to(torch.int64).expand(len(pixels)).clone()
        function: Any = found.function
        with evaluating(model), torch.enable_grad():
            scores: np.ndarray = function(model, pixels, wanted).detach().cpu().numpy()
        return scores

    return explain


def measure(
    metric: Callable[..., Any],
    classifier: nn.Module,
    images: ImageSet,
    attribution: Any = "logit_gradient",
    *,
    controls: Sequence[str] = ("random", "edges"),
    seed: int = 0,
    device: str | torch.device = "auto",
    **call: Any,
) -> pd.DataFrame:
    """A Quantus metric of attributions and, beside them, of controls: a row each, the mean over images with its 95 % interval.

    Args:
        metric: a Quantus metric that gives a number for each image, as `FaithfulnessEstimate`; not a curve for each.
        classifier: images in [0, 1] to logits (N, K).
        images: with their labels, which are explained; a signal mask is Quantus' `s_batch`.
        attribution: one or several, as `ga.fidelity` takes them.
        controls: names of controls.
        seed: of attributions that draw.
        device: where attributions are computed.
        call: further arguments of the metric's call, such as `softmax=False` or `batch_size=32`.

    Returns:
        A table with the columns `attribution`, `control`, `value`, `low` and `high`.

    Raises:
        InputError: a bad argument; a metric that does not give a number for each image.
    """
    audited = named_attributions(attribution, seed)
    beside, left_out = controls_beside(controls, audited, seed)
    require(not left_out, "controls", list(controls), f"such as can be made: {left_out}")
    place = resolve_device(device)
    mask = None if images.signal_mask is None else images.signal_mask[:, None].numpy()
    rows = []
    for name, one in (audited | beside).items():
        scores = attribute_all(classifier, images, one, seed=seed, device=place).numpy()
        again = explanation(one, seed=seed) if one.function is not None else None
        with evaluating(classifier):
            values = metric(
                model=classifier,
                x_batch=images.floats().numpy(),
                y_batch=images.labels.numpy(),
                a_batch=scores,
                s_batch=mask,
                explain_func=again,
                device=str(place),
                **call,
            )
        rows.append((name, name in beside, *mean_interval(_numbers(metric, values, len(images)))))
    return pd.DataFrame(rows, columns=list(COLUMNS))


def image_set(classifier: nn.Module, pixels: np.ndarray, labels: np.ndarray, mask: np.ndarray | None = None) -> ImageSet:
    """What Quantus hands over as an image set, with a class for each logit.

    Args:
        classifier: images to logits (N, K).
        pixels: floats (N, C, H, W) in [0, 1], multiples of 1/255.
        labels: integers (N,).
        mask: (N, 1, H, W) or (N, H, W), nonzero where it counts.

    Raises:
        InputError: pixels beyond [0, 1] or between its 256 levels; or as `ImageSet`.
    """
    levels = np.asarray(pixels, dtype=np.float64) * 255
    near = np.abs(levels - levels.round()).max() < OFF_GRID and levels.min() >= -OFF_GRID and levels.max() <= 255 + OFF_GRID
    expected = "floats in [0, 1], multiples of 1/255: put the normalisation into the classifier (ga.normalised)"
    require(bool(near), "x_batch", (round(float(np.min(pixels)), 4), round(float(np.max(pixels)), 4)), expected)
    images = torch.from_numpy(levels.round().astype(np.uint8))
    known = torch.as_tensor(np.asarray(labels))
    signal = None if mask is None else torch.from_numpy(np.asarray(mask).reshape(len(images), *images.shape[2:]) != 0)
    classes = class_count(classifier, ImageSet(images, torch.zeros_like(known), ("any",)))
    return ImageSet(images, known, tuple(str(one) for one in range(classes)), signal)


def _numbers(metric: Any, values: Any, count: int) -> np.ndarray:
    try:
        found = np.asarray(values, dtype=float)
    except (TypeError, ValueError) as error:
        raise InputError("metric", type(metric).__name__, "one that gives a number for each image") from error
    expected = f"one that gives {count} numbers, one an image, not {found.shape}"
    require(found.shape == (count,), "metric", type(metric).__name__, expected)
    return found
