"""Counterfactuals found batch by batch, and kept in the store as soon as a batch is done."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.metadata import version
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from gradaudit.batching import halving, placed
from gradaudit.devices import seeded
from gradaudit.diffusion import Denoiser
from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet
from gradaudit.instruments.counterfactual.arguments import Method
from gradaudit.instruments.counterfactual.problem import Against, Problem, Solution
from gradaudit.packing import pack, unpack
from gradaudit.progress import Advance, progress
from gradaudit.training.store import Store

ROUNDING = 1e-3  # how far outside [0, 1] an image may lie by rounding
NOT_FINITE, NO_LOGITS = "its pixels became NaN or infinite", "the classifier's logits there are NaN or infinite"
FRAMES = 32 * 2**20  # bytes of frames that a result keeps


class Wanted(NamedTuple):
    """One counterfactual to be found: of which image, towards which class, by which seed, with which random key."""

    image: int
    target: int
    seed: int
    key: int


@dataclass(frozen=True, eq=False)
class Counterfactual:
    """One counterfactual, in 256 levels as the originals are: what is measured is what a file can hold.

    Args:
        image: uint8 (C, H, W).
        steps: diagnostics by name, float32 (S,).
        frames: uint8 (T, C, H, W), or None.
        failed: why there is none, in which case `image` is the original; empty where there is one.
        seconds: wall time of its batch, over the images in it.
    """

    image: np.ndarray
    steps: Mapping[str, np.ndarray] = field(default_factory=dict)
    frames: np.ndarray | None = None
    failed: str = ""
    seconds: float = 0.0

    def to_json(self) -> dict[str, Any]:
        """The counterfactual as plain JSON values."""
        return {
            "image": pack(self.image),
            "steps": {name: pack(values) for name, values in self.steps.items()},
            "frames": None if self.frames is None else pack(self.frames),
            "failed": self.failed,
            "seconds": self.seconds,
        }

    @staticmethod
    def from_json(data: Mapping[str, Any]) -> Counterfactual:
        """The counterfactual that `to_json` described."""
        steps = {name: unpack(values) for name, values in data["steps"].items()}
        frames = None if data["frames"] is None else unpack(data["frames"])
        return Counterfactual(unpack(data["image"]), steps, frames, data["failed"], data["seconds"])


class _Job(NamedTuple):
    """One counterfactual to be found, those of the same image and target before it, None where one failed, and its place."""

    wanted: Wanted
    found: tuple[np.ndarray | None, ...]
    place: dict[str, Any]


@dataclass(frozen=True, eq=False)
class Search:
    """A search for counterfactuals: what is explained, with what helps, and how it is run.

    Args:
        classifier: on `device`, frozen.
        images: all images.
        denoiser: on `device`, frozen, or None.
        robust: likewise.
        owners: fingerprints of these three by name, None where there is none.
        batch_size: images that a method is given at once.
        device: where all is computed.
        store: of finished counterfactuals.
        show_progress: print the time left to standard error.
        region: boolean (N, H, W), where each image may change; None where all of it may.
        repulsion: how strongly the counterfactuals of an image and target repel each other.
        against: what is to keep its class of each image, on `device`, frozen, or None; among the owners then.
    """

    classifier: nn.Module
    images: ImageSet
    denoiser: Denoiser | None
    robust: nn.Module | None
    owners: Mapping[str, str | None]
    batch_size: int
    device: torch.device
    store: Store
    show_progress: bool
    region: Tensor | None = None
    against: Against | None = None
    repulsion: float = 0.0

    def find(self, methods: Sequence[Method], wanted: Sequence[Wanted]) -> dict[str, list[Counterfactual]]:
        """For each method's name a counterfactual for each that is wanted: from the store, or found and put there."""
        earlier = self._earlier(wanted)
        jobs: dict[str, dict[int, _Job]] = {method.name: {} for method in methods}
        for turn in sorted({*map(len, earlier)}):  # those that repel are found first
            rows = [row for row, before in enumerate(earlier) if len(before) == turn]
            for method in methods:
                done = jobs[method.name]
                done |= {row: self._job(method, wanted[row], [done[one] for one in earlier[row]]) for row in rows}
            missing = {name: [done[row] for row in rows if self.store.get(done[row].place) is None] for name, done in jobs.items()}
            with progress("counterfactuals", sum(map(len, missing.values())), self.show_progress) as advance:
                for method in methods:
                    self._complete(method, missing[method.name], advance)
        # Those that were just found are read back as well, so that a run which was stopped gives no other result.
        budget = FRAMES // len(methods)
        return {name: self._read([done[row].place for row in range(len(wanted))], budget) for name, done in jobs.items()}

    def rehearse(self, methods: Sequence[Method]) -> None:
        """Call the methods on no images, so that a bad option of the last is refused before the first has worked for hours.

        Raises:
            InputError: a bad option.
        """
        problem = self.problem([])
        for method in methods:
            if not method.own:
                try:
                    method.function(problem)
                except RuntimeError:
                    continue  # the options were taken; not every network can be shown no images

    def floats(self, wanted: Sequence[Wanted]) -> Tensor:
        """The originals of these, float32 (n, C, H, W), on the device."""
        return self.images.floats([one.image for one in wanted], self.device)

    def where(self, wanted: Sequence[Wanted]) -> Tensor | None:
        """Where these may change, boolean (n, 1, H, W), on the device."""
        return None if self.region is None else self.region[[one.image for one in wanted]][:, None].to(self.device)

    def _earlier(self, wanted: Sequence[Wanted]) -> list[list[int]]:
        """For each the rows before it of the same image and target, which repel it."""
        groups: dict[tuple[int, int], list[int]] = {}
        found = []
        for row, one in enumerate(wanted):
            own = groups.setdefault((one.image, one.target), [])
            found.append([*own] if self.repulsion else [])
            own.append(row)
        return found

    def _job(self, method: Method, one: Wanted, before: Sequence[_Job]) -> _Job:
        """What is to be found, away from what was found before, and its place in the store."""
        read = [Counterfactual.from_json(kept) for kept in (self.store.get(job.place) for job in before) if kept is not None]
        found = tuple(None if kept.failed else kept.image for kept in read)
        repelling = {"repulsion": self.repulsion, "found": fingerprint(*map(_mark, found))} if found else {}
        return _Job(one, found, self._place(method, one) | repelling)

    def rival(self, wanted: Sequence[Wanted]) -> Against | None:
        """What is to keep its class of these."""
        return None if self.against is None else self.against.of([one.image for one in wanted], self.device)

    def problem(self, wanted: Sequence[Wanted]) -> Problem:
        """These in one batch, for a method."""
        targets = torch.tensor([one.target for one in wanted], dtype=torch.int64, device=self.device)
        keys = tuple(one.key for one in wanted)
        helpers = (self.denoiser, self.robust, self.where(wanted))
        return Problem(self.classifier, self.floats(wanted), targets, keys, *helpers, against=self.rival(wanted))

    def _complete(self, method: Method, missing: Sequence[_Job], advance: Advance) -> None:
        def work(part: slice) -> list[Counterfactual]:
            return self._batch(method, missing[part])

        for part, found in halving(work, len(missing), self.batch_size):
            for job, one in zip(missing[part], found, strict=True):
                self.store.put(job.place, one.to_json())
            advance(len(found))

    def _batch(self, method: Method, jobs: Sequence[_Job]) -> list[Counterfactual]:
        wanted = [job.wanted for job in jobs]
        problem = replace(self.problem(wanted), found=self._repelling(jobs), repulsion=self.repulsion)
        start = time.perf_counter()
        with seeded(wanted[0].seed, self.device):  # for what draws otherwise than from the problem's keys
            found = checked(method.name, method.function(problem), problem)
        seconds = (time.perf_counter() - start) / len(wanted)
        return self._finished(found, problem, seconds)

    def _repelling(self, jobs: Sequence[_Job]) -> Tensor | None:
        """What was found before of each, floats (n, S, C, H, W) on the device, NaN where one failed; None where nothing was."""
        if not jobs[0].found:
            return None
        nothing = torch.full(self.images.shape, torch.nan)
        rows = [[nothing if one is None else torch.from_numpy(one).float() / 255 for one in job.found] for job in jobs]
        return torch.stack([torch.stack(row) for row in rows]).to(self.device)

    def _finished(self, found: Solution, problem: Problem, seconds: float) -> list[Counterfactual]:
        failed = self._failures(found)
        back = torch.tensor([bool(reason) for reason in failed], device=self.device)[:, None, None, None]
        images = _levels(torch.where(back, problem.images, problem.framed(found.images.detach())))
        steps = {name: values.detach().float().cpu().numpy() for name, values in found.steps.items()}
        frames = None if found.frames is None else found.frames.cpu().numpy()
        return [
            Counterfactual(
                images[row],
                {name: values[row] for name, values in steps.items()},
                None if frames is None else frames[row],
                reason,
                seconds,
            )
            for row, reason in enumerate(failed)
        ]

    def _failures(self, found: Solution) -> list[str]:
        """Why each has no counterfactual; empty where it has one."""
        finite = found.images.isfinite().all(dim=(1, 2, 3)).tolist()
        told = [reason or "" for reason in found.failed] or [""] * len(finite)
        reasons = [reason or ("" if fine else NOT_FINITE) for reason, fine in zip(told, finite, strict=True)]
        images = torch.from_numpy(_levels(found.images.detach().nan_to_num())).to(self.device).float() / 255
        with torch.no_grad():
            logits = self.classifier(placed(self.classifier, images))
        seen = logits.isfinite().all(dim=1).tolist()
        return [reason or ("" if fine else NO_LOGITS) for reason, fine in zip(reasons, seen, strict=True)]

    def _read(self, places: Sequence[Mapping[str, Any]], budget: int) -> list[Counterfactual]:
        """What the store holds there, with frames as long as they fit in the budget."""
        read: list[Counterfactual] = []
        for place in places:
            kept = self.store.get(place)
            assert kept is not None  # it was found a moment ago
            one = Counterfactual.from_json(kept)
            budget -= 0 if one.frames is None else one.frames.nbytes
            read.append(one if budget >= 0 else replace(one, frames=None))
        return read

    def _place(self, method: Method, one: Wanted) -> dict[str, Any]:
        return {
            "what": "counterfactuals",
            **self.owners,
            "method": method.fingerprint,
            "image": fingerprint(self.images.images[one.image]),
            **({} if self.region is None else {"region": fingerprint(self.region[one.image])}),
            "target": one.target,
            "seed": one.seed,
            "device": self.device.type,
            "torch": torch.__version__,
            "gradaudit": version("gradaudit"),  # another version's counterfactuals are not used
        }


def checked(name: str, found: Any, problem: Problem) -> Solution:
    """What a method returned, after checking that it is what `Solution` says.

    Raises:
        InputError: it is not; names the method.
    """
    expected = "a method (problem) -> Solution"
    if not isinstance(found, Solution):
        raise InputError("method", name, f"{expected}; it returned a {type(found).__name__}")
    images, shape = found.images, tuple(problem.images.shape)
    good = isinstance(images, Tensor) and images.is_floating_point() and tuple(images.shape) == shape
    require(good, "method", name, f"{expected} with float images of shape {shape}")
    inside = bool(((images >= -ROUNDING) & (images <= 1 + ROUNDING) | images.isnan()).all())
    require(inside, "method", name, f"{expected} with images in [0, 1]")
    rows = [len(values) for values in found.steps.values()] + ([len(found.failed)] if found.failed else [])
    require(all(count == len(images) for count in rows), "method", name, f"{expected} with a row of steps, and a failure, an image")
    frames = found.frames
    good = frames is None or (frames.dtype == torch.uint8 and frames.ndim == 5 and len(frames) == len(images))
    require(good, "method", name, f"{expected} with frames uint8 ({len(images)}, T, C, H, W)")
    return found


def _mark(found: np.ndarray | None) -> Any:
    return "failed" if found is None else found


def _levels(images: Tensor) -> np.ndarray:
    levels: np.ndarray = (images.clamp(0, 1) * 255).round().to(torch.uint8).cpu().numpy()
    return levels
