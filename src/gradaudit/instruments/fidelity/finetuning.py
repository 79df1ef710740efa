"""A copy of the classifier that knows filled images: fine-tuned once, under random removals, and asked in the classifier's place.

Zheng et al., F-Fidelity (ICLR 2025, arXiv 2410.02970).
"""

from __future__ import annotations

import copy
import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from gradaudit.attributions import Features
from gradaudit.batching import placed
from gradaudit.classifiers import classifier_fingerprint
from gradaudit.devices import one_thread, seeded
from gradaudit.errors import InputError, first_line, require
from gradaudit.evaluator.masks import mask_shape
from gradaudit.files import whole_file
from gradaudit.fills import Fill
from gradaudit.images import ImageSet
from gradaudit.progress import progress
from gradaudit.registry import parse_spec
from gradaudit.results import versions
from gradaudit.training import Recipe, named_recipe
from gradaudit.training.checkpoint import SUFFIX, Checkpoint, keeping
from gradaudit.training.fitting import Draw, fit
from gradaudit.training.run import TrainingRun
from gradaudit.training.sizing import bytes_of_training
from gradaudit.training.store import Store
from gradaudit.training.timing import STEPS, seconds_a_step
from gradaudit.training.trained import draw_from

COARSEST = 4  # parts a side: random parts are single pixels at the finest, a quarter of the image's side at the coarsest


@dataclass(frozen=True, eq=False)
class FineTuning:
    """All that decides the copy.

    Args:
        classifier: the audited one, which stays as it is; images in [0, 1] to logits.
        images: the training images.
        fill: what stands where features were removed, as in the images that the copy will be asked about.
        features: what is removed, `"coordinates"` or `"pixels"`.
        removed: the largest share of them that is removed, in (0, 1).
        recipe: the schedule; its network is not used.
        device: where the classifier is, and the copy is made.
    """

    classifier: nn.Module
    images: ImageSet
    fill: Fill
    features: Features
    removed: float
    recipe: Recipe
    device: torch.device

    @property
    def description(self) -> dict[str, Any]:
        """The store's key."""
        return {
            "what": "fine-tuned",
            "classifier": classifier_fingerprint(self.classifier),
            "recipe": self.recipe.key(self.device),
            "images": self.images.fingerprint,
            "fill": self.fill.key,
            "features": self.features,
            "removed": self.removed,
            "device": self.device.type,
            "versions": versions(),
        }

    @property
    def steps(self) -> int:
        """Steps of the training."""
        return math.ceil(len(self.images) / self.recipe.batch_size) * self.recipe.epochs

    @property
    def seconds(self) -> float:
        """Predicted seconds of the training on this machine."""
        with one_thread(), seeded(self.recipe.seed, self.device):
            steps = min(STEPS, self.steps)
            return self.steps * seconds_a_step(self.copy(), self.draw(), len(self.images), self.recipe, steps, device=self.device)

    @property
    def working_bytes(self) -> float:
        """Bytes at the peak of a step, from a small batch."""
        with one_thread(), seeded(self.recipe.seed, self.device):
            return bytes_of_training(self.copy(), self.draw(), self.recipe, self.device)

    @property
    def copy_bytes(self) -> int:
        """Bytes of the copy's weights."""
        return sum(one.nbytes for one in (*self.classifier.parameters(), *self.classifier.buffers()))

    def file(self, store: Store) -> Path:
        """Where the copy's weights lie in the store, or would lie."""
        return store.path(self.description, ".safetensors")

    def copy(self) -> nn.Module:
        """The copy before its training."""
        with torch.inference_mode(False):
            return copy.deepcopy(self.classifier).requires_grad_(True)

    def train(self, store: Store, after_step: Callable[[TrainingRun], None]) -> nn.Module:
        """The fine-tuned copy; a training that was stopped goes on from its checkpoint in the store.

        Raises:
            TrainingError: the loss is no longer finite.
            StoreError: the checkpoint can't be written.
        """
        checkpoint = Checkpoint(self.file(store).with_suffix(SUFFIX), self.description)
        keep = keeping(checkpoint, (), 60.0)

        def stepped(run: TrainingRun) -> None:
            keep(run)
            after_step(run)

        network = self.copy()
        with one_thread(), seeded(self.recipe.seed, self.device):
            draw, saved = self.draw(), checkpoint.load()
            fit(network, draw, len(self.images), self.recipe, device=self.device, start=saved, after_step=stepped)
        checkpoint.path.unlink(missing_ok=True)
        return network

    def draw(self) -> Draw:
        """Batches with random parts filled, which neither image nor label chose."""
        whole, shape = draw_from(self.images, self.device), mask_shape(self.images.shape, self.features)

        def draw(indices: Tensor) -> tuple[Tensor, Tensor]:
            images, labels = whole(indices)
            removed = random_parts(len(images), shape, self.removed).to(self.device)
            return placed(self.classifier, self.fill(images, ~removed)), labels

        return draw


def random_parts(count: int, shape: tuple[int, int, int], most: float) -> Tensor:
    """Which features to remove, boolean (count, M, H, W), from torch's own random state: any share up to `most`.

    An image's parts are squares of one size, from single pixels to a quarter of the image's side, log-uniform.
    """
    channels, height, width = shape
    largest = max(1.0, min(height, width) / COARSEST)
    sizes = torch.exp(torch.rand(count) * math.log(largest)).round().long()
    rows, columns = (torch.arange(side)[None] // sizes[:, None] for side in (height, width))
    values = torch.rand(count, channels, height, width)
    parts = values[torch.arange(count)[:, None, None], :, rows[:, :, None], columns[:, None, :]].movedim(3, 1)
    removed = (most * torch.rand(count) * parts[0].numel()).long()
    # Fewer than `removed` values are below the one of that rank: a part that does not fit whole stays.
    bounds = parts.flatten(1).sort(dim=1).values.gather(1, removed[:, None])
    return parts < bounds.view(-1, 1, 1, 1)


def read_recipe(finetuned: Any, seed: int) -> Recipe:
    """The recipe that is meant, with the run's seed.

    Raises:
        InputError: it is neither a recipe nor the name of one with its fields.
    """
    try:
        if isinstance(finetuned, Recipe):
            return finetuned.with_(seed=seed)
        spec = parse_spec("finetuned", finetuned)
        require(not spec.positional, "finetuned", str(spec), "given its fields by name")
        return named_recipe(spec.name, **spec.options | {"seed": seed})
    except InputError as error:
        expected = f'a Recipe, or the name of one, perhaps with fields, as "evaluators/fine-tune(epochs=2)" ({error})'
        raise InputError("finetuned", finetuned, expected) from None


def fine_tuned(training: FineTuning, store: Store, title: str, show_progress: bool) -> nn.Module:
    """The fine-tuned copy in evaluation mode, from the store or by training it; it is kept there.

    Raises:
        TrainingError, StoreError: as `FineTuning.train`.
    """
    file = store.fetch(training.file(store))
    found = _stored(training, file)
    if found is None:
        with progress(title, training.steps, show_progress) as advance:
            network = training.train(store, lambda run: advance())
        state = {name: value.detach().cpu().contiguous().clone() for name, value in network.state_dict().items()}
        with whole_file(file) as target:
            target.write(save(state))
        store.publish(file)
        found = _stored(training, file)  # as the next run will find it
        assert found is not None
    return found


def _stored(training: FineTuning, file: Path) -> nn.Module | None:
    """The copy from its file, or None where there is none; a damaged one counts as none."""
    if not file.exists():
        return None
    network = training.copy()
    try:
        network.load_state_dict(load_file(file))
    except Exception as error:  # there is no end to what a damaged file can raise
        warnings.warn(f"ignoring a damaged entry of the store: {file.name}: {first_line(error)}", stacklevel=3)
        return None
    return network.eval()
