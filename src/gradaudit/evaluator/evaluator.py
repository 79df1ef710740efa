"""Evaluator: what the kept pixels of an image tell of its label by their values, whichever were kept."""

from __future__ import annotations

import json
import os
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.attributions import Features, rank
from gradaudit.batching import evaluating
from gradaudit.devices import resolve_device, seeded
from gradaudit.errors import InputError, TrainingError, require, require_whole
from gradaudit.evaluator.masks import PoolRanking, mask_shape
from gradaudit.evaluator.network import SeesMask, build_with_mask
from gradaudit.evaluator.spec import FINE_TUNE, EvaluatorLike, resolve_evaluator
from gradaudit.evaluator.training import EvaluatorTraining, shown
from gradaudit.files import fingerprint, whole_file
from gradaudit.fills import Fill, FillLike, resolve_fill
from gradaudit.fills._constant import constant
from gradaudit.images import ImageSet, floats_at
from gradaudit.progress import progress
from gradaudit.training.fitting import autocast, memory_format
from gradaudit.training.learners import check_sets
from gradaudit.training.recipe import Recipe
from gradaudit.training.store import Store, as_store
from gradaudit.usable_information import best_exponent, bits_at, calibrated_bits, label_prior

FORMAT = 1
KEY = "gradaudit_evaluator"
SHARPEST = 3.0  # of an evaluator under masks that were drawn without a look
# Leanings of a few hundredths of a bit, which two trainings do not share, count as none: a choice of pixels could make each of them
# right.
RESOLUTION = 0.02  # bits
AT_ONCE = 2**21  # features of the images that are read at once


@dataclass(frozen=True)
class EvaluatorOutput:
    """What an evaluator makes of N images under their masks.

    Args:
        hits: boolean, which it gives their label.
        bits: cross-entropies of the labels.
        choice: cross-entropies of the label of image i when another image is shown under image i's mask: what is less than the
            prior leaves open is read from the choice of features.
        as_read: as `bits`, to a reader who does not know that the features were chosen by looking, and may be misled.
    """

    hits: np.ndarray
    bits: np.ndarray
    choice: np.ndarray
    as_read: np.ndarray


class Evaluator:
    """One network that gives p(label | kept pixels) for any pixels that are kept.

    It is trained once, under masks that neither the image nor its label chose, so the best that it can learn from a mask is which
    pixels it is shown: what it says comes from their values, not from the choice (Jethani, Sudarshan, Aphinyanaphongs and
    Ranganath, AISTATS 2021, EVAL-X, section 3). `fit` makes one.

    Args:
        network: from images with their masks as further channels, (N, C + M, H, W), to logits (N, L).
        shape: (C, H, W) of an image.
        classes: the names of the K classes.
        prior: the shares of the classes among the training labels, (K,).
        features: what a mask keeps or removes: `"coordinates"` (M = C) or `"pixels"` (M = 1).
        fill: what stands in the place of removed features.
        recipe: by which it was trained.
        device: where the network is.
    """

    def __init__(
        self,
        network: nn.Module,
        *,
        shape: tuple[int, int, int],
        classes: Sequence[str],
        prior: np.ndarray,
        features: Features,
        fill: Fill,
        recipe: Recipe,
        device: torch.device | str = "cpu",
    ) -> None:
        self.device = torch.device(device)
        self.network = network.to(self.device, memory_format=memory_format(network)).eval()  # type: ignore[call-overload]
        self.shape = shape
        self.classes = tuple(classes)
        self.prior = np.asarray(prior, dtype=float)
        self.features = features
        self.fill = fill
        self.recipe = recipe

    @classmethod
    def fit(
        cls,
        train: ImageSet,
        evaluator: EvaluatorLike = "evaluators/convnet",
        *,
        scores: Sequence[Tensor | np.ndarray] = (),
        lowest: float = 0.02,
        features: Features = "coordinates",
        fill: FillLike = "mean",
        fine_tune: str | Recipe = FINE_TUNE,
        seed: int = 0,
        store: Store | str | os.PathLike[str] | None = None,
        device: str | torch.device = "auto",
        show_progress: bool = False,
    ) -> Evaluator:
        """An evaluator trained on these images, or found in the store; on one thread of a CPU.

        Args:
            train: the training images.
            evaluator: a recipe, the name of one such as `"evaluators/convnet"`, the spec of a network for the default recipe; or a
                network of your own, from images (N, C, H, W) in [0, 1] to logits, which is copied, given weights for the masks, and
                fine-tuned.
            scores: attributions whose rankings, each shown on other images, join the random masks: floats (N, C, H, W) each, of any
                N images of this shape.
            lowest: the smallest share of the features that is to be read, in (0, 1).
            features: what a mask keeps or removes: `"coordinates"`, or `"pixels"` over all channels.
            fill: what stands in the place of removed features.
            fine_tune: the recipe, or its name, by which a network of your own is trained; its network is not used.
            seed: of initial weights, masks and the order of images.
            store: where it is kept: a folder, a URL or a Store; the user's own unless given.
            device: `"auto"`, or a torch device.
            show_progress: print progress to standard error.

        Raises:
            InputError: a bad argument, before anything long begins.
            TrainingError: the loss is no longer finite.
            StoreError: the store can't be written.
        """
        check_sets(train, train)
        require(isinstance(lowest, float) and 0 < lowest < 1, "lowest", lowest, "a share of the features, above 0 and below 1")
        require(features in ("coordinates", "pixels"), "features", features, '"coordinates" or "pixels"')
        count = int(np.prod(mask_shape(train.shape, features)))
        require(count > 1, "train", train, f"of images of two features or more ({features}), to keep some and remove some")
        require_whole("seed", seed, most=2**31 - 1)
        place = resolve_device(device)
        training = EvaluatorTraining(
            resolve_evaluator(evaluator, train, mask_shape(train.shape, features)[0], fine_tune),
            train,
            features,
            resolve_fill(fill, train, seed=seed, device=place),
            lowest,
            tuple(_ranking(one, train, features, seed) for one in scores),
            seed,
            place,
        )
        with progress(f"training an evaluator, {training.spec.name}", training.steps, show_progress) as advance:
            return trained(training, as_store(store), after_step=lambda run: advance())

    def logits(self, images: ImageSet, masks: Tensor | np.ndarray) -> Tensor:
        """Logits float32 (N, L), on the CPU, of images under their masks.

        Args:
            images: of the shape that it was trained on.
            masks: booleans (N, M, H, W), (N, H, W), or (N, F) with F = M * H * W, True where a feature is kept.

        Raises:
            InputError: images or masks of another shape, or masks that are not boolean.
        """
        require(images.shape == self.shape, "images", images, f"of shape {self.shape}, as the evaluator was trained on")
        mask = masks if isinstance(masks, Tensor) else torch.from_numpy(np.asarray(masks))
        size = (len(images), *mask_shape(self.shape, self.features))
        if mask.ndim == 3 and len(mask) == len(images) and mask.shape[1:] == self.shape[1:]:
            mask = mask[:, None].expand(size)
        good = mask.dtype == torch.bool and len(mask) == len(images) and mask.numel() == int(np.prod(size))
        require(good, "masks", masks, f"boolean {size}, one for each image, True where a feature is kept")
        mask = mask.reshape(size)
        levels, found = images.images, []
        batch = min(512, max(1, AT_ONCE // int(np.prod(self.shape))))
        with evaluating(self.network), torch.no_grad(), seeded(0, self.device):
            for indices in torch.split(torch.arange(len(images)), batch):
                pixels = floats_at(levels, indices).to(self.device)
                with autocast(self.recipe, self.device):
                    seen = shown(pixels, mask[indices].to(self.device), self.fill)
                    found.append(self.network(seen).float().cpu())
        return torch.cat(found)

    def bits(self, images: ImageSet, masks: Tensor | np.ndarray, *, seed: int = 0) -> np.ndarray:
        """Bits that the kept pixels of each image tell of its label by their values, (N,): log2 q(label | kept) / p(label).

        The mean over images is the label's entropy less the cross-entropy of q. An image whose pixels mislead has bits below 0. See
        `read` for the calibration of q.

        Args:
            images: at least two, of the shape and the classes that it was trained on.
            masks: as `logits` takes them.
            seed: of the halves, and of which image is shown under whose mask.

        Raises:
            InputError: images or masks of another shape, or other classes.
        """
        found: np.ndarray = -np.log2(self.prior)[images.labels.numpy()] - self.read(images, masks, seed=seed).bits
        return found

    def read(self, images: ImageSet, masks: Tensor | np.ndarray, *, seed: int = 0) -> EvaluatorOutput:
        """What the evaluator makes of images under their masks, and of each image under another image's mask.

        q is calibrated: log q = a log q_network + (1 - a) log prior + constant. First on images under other images' masks, which
        neither they nor their labels chose. For images under their own masks, a may then only be lowered, on one half of the images
        for the other: were it raised because a choice of pixels makes most of them right, the choice would be read. Predictions
        that diverge from the prior by less than 0.02 bits count as the prior.

        Args:
            images: as `bits` takes them.
            masks: likewise.
            seed: likewise.

        Raises:
            InputError: as `bits`.
            TrainingError: a logit is not finite.
        """
        require(images.classes == self.classes, "images", images.classes, f"of the classes {self.classes}")
        require(len(images) > 1, "images", images, "at least two images: half of them calibrates for the other half")
        labels, prior = images.labels.numpy(), self.prior
        order = np.random.default_rng([seed, 3]).permutation(len(labels))
        other = np.empty_like(order)
        other[order] = np.roll(order, 1)  # image other[i] is shown under image i's mask, and is never i
        own = self.logits(images, masks).numpy()
        swapped = self.logits(images[torch.from_numpy(other)], masks).numpy()
        if not (np.isfinite(own).all() and np.isfinite(swapped).all()):
            raise TrainingError("logits of the evaluator are not finite: lower its `learning_rate`")
        blind = best_exponent(swapped, labels[other], prior, SHARPEST)
        return EvaluatorOutput(
            hits=own[:, : len(prior)].argmax(axis=1) == labels,
            bits=calibrated_bits(own, labels, prior, seed, blind, RESOLUTION),
            choice=calibrated_bits(swapped, labels, prior, seed, blind, RESOLUTION),
            as_read=bits_at(own, labels, prior, blind, RESOLUTION),
        )

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the evaluator to a `.safetensors` file that `load` reads; return the path.

        Raises:
            InputError: another suffix.
            StoreError: the file can't be written.
        """
        from safetensors.torch import save

        require(Path(path).suffix == ".safetensors", "path", str(path), "a file name that ends in .safetensors")
        header = {
            "format": FORMAT,
            "recipe": self.recipe.model_dump(),
            "own": isinstance(self.network, SeesMask),
            "shape": list(self.shape),
            "classes": list(self.classes),
            "prior": self.prior.tolist(),
            "features": self.features,
            "fill": self.fill.name,
        }
        state = {f"network.{name}": value for name, value in self.network.state_dict().items()}
        levels = _levels(self.fill)
        tensors = state if levels is None else state | {"fill.levels": levels}
        plain = {name: value.detach().cpu().contiguous().clone() for name, value in tensors.items()}
        with whole_file(path) as file:
            file.write(save(plain, {KEY: json.dumps(header, sort_keys=True)}))
        return Path(path)

    @staticmethod
    def load(
        path: str | os.PathLike[str],
        *,
        network: nn.Module | None = None,
        fill: Fill | None = None,
        device: str | torch.device = "auto",
    ) -> Evaluator:
        """The evaluator that `save` wrote.

        Args:
            path: the file.
            network: your own that was fine-tuned, with any weights; where one was.
            fill: the fill that it was trained with, where that is not the same everywhere.
            device: `"auto"`, or a torch device.

        Raises:
            InputError: no such file, or not one of `save`; or the network or the fill is needed and not given, or another.
        """
        from safetensors import SafetensorError, safe_open

        require(Path(path).is_file(), "path", str(path), "a file that exists")
        try:
            with safe_open(path, framework="pt") as file:
                header: dict[str, Any] = json.loads((file.metadata() or {}).get(KEY, "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise InputError("path", str(path), f"a readable .safetensors file ({error})") from error
        require(header.get("format") == FORMAT, "path", str(path), "a file that `Evaluator.save` wrote, of this version's format")
        shape = tuple(header["shape"])
        recipe, features = Recipe(**header["recipe"]), header["features"]
        built = _rebuilt(header, recipe, shape, network)
        state = {name.removeprefix("network."): value for name, value in tensors.items() if name.startswith("network.")}
        try:
            built.load_state_dict(state)
        except RuntimeError as error:
            raise InputError("network", type(network).__name__, f"the one that was fine-tuned ({error})") from None
        if fill is None:
            require("fill.levels" in tensors, "fill", fill, f"the Fill {header['fill']} that it was trained with")
            levels = tensors["fill.levels"]
            fill = Fill(partial(constant, levels=levels), (levels,), exact=True, name=header["fill"])
        return Evaluator(
            built,
            shape=shape,
            classes=header["classes"],
            prior=np.array(header["prior"]),
            features=features,
            fill=fill,
            recipe=recipe,
            device=resolve_device(device),
        )


def trained(training: EvaluatorTraining, store: Store, **how: Any) -> Evaluator:
    """The evaluator from the store, or by training it; it is kept there."""
    found = stored(training, store)
    if found is None:
        made = _evaluator(training, training.train(None if store.private else store, **how))
        file = training.file(store)
        made.save(file)
        store.publish(file)
        found = stored(training, store) or made
    return found


def stored(training: EvaluatorTraining, store: Store) -> Evaluator | None:
    """The evaluator from the store, or None where it is not; a damaged one counts as none."""
    file = store.fetch(training.file(store))
    if not file.exists():
        return None
    try:
        return Evaluator.load(file, network=training.spec.own, fill=training.fill, device=training.device)
    except InputError as error:
        warnings.warn(f"ignoring a damaged entry of the store: {error}", stacklevel=2)
        return None


def untrained(training: EvaluatorTraining) -> Evaluator:
    """The evaluator before its training, to be timed."""
    with seeded(training.seed, training.device):
        return _evaluator(training, training.spec.build(training.images, training.mask_channels))


def _evaluator(training: EvaluatorTraining, network: nn.Module) -> Evaluator:
    images = training.images
    return Evaluator(
        network,
        shape=images.shape,
        classes=images.classes,
        prior=label_prior(images.labels.numpy(), len(images.classes)),
        features=training.features,
        fill=training.fill,
        recipe=training.spec.recipe.with_(seed=training.seed),
        device=training.device,
    )


def _rebuilt(header: dict[str, Any], recipe: Recipe, shape: tuple[int, int, int], network: nn.Module | None) -> nn.Module:
    """The network of a saved evaluator, its weights not loaded yet."""
    channels = mask_shape(shape, header["features"])[0]
    if not header["own"]:
        return build_with_mask(recipe, shape, channels, len(header["classes"]))
    if network is None:
        raise InputError("network", network, "your own network, whose weights the file holds but not its structure")
    return SeesMask(network, torch.rand(2, *shape, generator=torch.Generator().manual_seed(0)), channels)


def _levels(fill: Fill) -> Tensor | None:
    """The values by channel of a fill that is the same everywhere, (C,); None of another."""
    function: Any = fill.function
    same = isinstance(function, partial) and function.func is constant
    levels: Tensor | None = function.keywords["levels"] if same else None
    return levels


def _ranking(scores: Tensor | np.ndarray, images: ImageSet, features: Features, seed: int) -> PoolRanking:
    given = scores if isinstance(scores, Tensor) else torch.from_numpy(np.asarray(scores))
    good = given.ndim == 4 and tuple(given.shape[1:]) == images.shape and given.is_floating_point() and bool(given.isfinite().all())
    require(good, "scores", scores, f"finite floats (N, {', '.join(map(str, images.shape))})")
    ranks = rank(given.cpu(), 0, seed, features)
    return PoolRanking(ranks, fingerprint(ranks))
