"""What a classifier does around its images, and what its gradients at them, and around them, foretell."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from scipy.special import ndtr
from torch import Tensor, nn

from gradaudit.batching import check_logits, halving, placed
from gradaudit.errors import require
from gradaudit.images import ImageSet
from gradaudit.instruments.trust_radius.orthants import orthant_probabilities
from gradaudit.memory import at_most
from gradaudit.noise import generators, normal

RUNNERS = 3  # rivals whose gradients MMSE takes: those nearest by the moments
CHUNK = 2**24  # numbers of the noise that is held at once
BYTES = 24  # that each of them takes, temporaries in double precision included
MOST = 64  # images at once
ROUNDING = 4  # units of the last digit of the largest logit, within which a margin has not changed


class Around(NamedTuple):
    """What was found around each image, arrays whose last axis is the images'; S is the number of sigmas.

    Args:
        predicted: the class of the image itself, int64 (N,).
        nearest: the rival whose boundary is nearest to first order, int64 (N,).
        softmax: the confidence in the predicted class, (N,).
        flat: whether the gradient of the nearest rival's margin is zero everywhere, boolean (N,).
        explained: the share of the nearest rival's margin's mean squared change that the gradient predicts, (S, N) in [0, 1].
        kept: the shares of the two halves of the copies that keep the class, (S, 2, N).
        elsewhere: the share of copies that get a class whose margin is not followed, (S, N).
        taylor: the probability of keeping the class by the margins and gradients at the image, (S, N).
        mmse: by their means over noisy copies, (S, N).
        moments: by mean and covariance of the margins over each half of the copies, (S, 2, N).
        left_out: at most so much are taylor, mmse and moments too high for the rivals that they leave out, (S, 3, N).
    """

    predicted: np.ndarray
    nearest: np.ndarray
    softmax: np.ndarray
    flat: np.ndarray
    explained: np.ndarray
    kept: np.ndarray
    elsewhere: np.ndarray
    taylor: np.ndarray
    mmse: np.ndarray
    moments: np.ndarray
    left_out: np.ndarray


class Margins(NamedTuple):
    """Margins of the predicted class over rivals at some points, and their gradients.

    Args:
        values: (n, J).
        gradients: (n, J, F).
    """

    values: Tensor
    gradients: Tensor


class _Start(NamedTuple):
    """What is known of images (n, C, H, W) before any noise is added.

    Args:
        images: themselves.
        own: the predicted classes, (n,).
        rivals: the classes that are followed, (n, J).
        margins: over them, with their gradients.
        nearest: the rival whose boundary is nearest, (n, 1).
        margin: over it, (n, 1).
        softmax: the confidence in the predicted class, (n,).
        flat: whether that margin's gradient is zero, (n,).
        noise: of deviation 1, (n, copies, C, H, W).
        mirrored: other such noise for MMSE, (n, pairs, C, H, W).
        along: the product of the gradient with the noise, (n, copies).
        rounding: how far a margin changes by rounding alone, (n,).
    """

    images: Tensor
    own: Tensor
    rivals: Tensor
    margins: Margins
    nearest: Tensor
    margin: Tensor
    softmax: Tensor
    flat: Tensor
    noise: Tensor
    mirrored: Tensor
    along: Tensor
    rounding: Tensor


def held_numbers(images: ImageSet, copies: int, pairs: int, classes: int) -> int:
    """The largest number of numbers that is held of an image: its noisy copies, or gradients at them."""
    return images.images[0].numel() * max(copies, 2 * pairs * RUNNERS, classes)


def images_at_once(held: int) -> int:
    """How many images are looked around at once, of each of which so many numbers are held."""
    return min(at_most(MOST, BYTES * held), max(1, CHUNK // held))


@dataclass(frozen=True, eq=False)
class Surroundings:
    """A classifier and the images around which it is asked.

    Args:
        classifier: images in [0, 1] to logits (N, K); on the device, frozen.
        images: all of them.
        sigmas: standard deviations of the noise.
        copies: noisy copies of each image.
        pairs: of mirrored copies at which MMSE takes gradients.
        classes: rivals whose gradients are taken at the image, at most.
        seed: of the noise, which belongs to an image, and of the integration.
        size: images that the classifier is given at once.
        device: where to compute.
    """

    classifier: nn.Module
    images: ImageSet
    sigmas: Sequence[float]
    copies: int
    pairs: int
    classes: int
    seed: int
    size: int
    device: torch.device

    def explored(self, advance: Callable[[int], None]) -> Around:
        """What was found around all images.

        Raises:
            InputError: logits that are NaN or infinite at noisy copies.
        """
        held = held_numbers(self.images, self.copies, self.pairs, self.classes)
        at_once = images_at_once(held)
        found = []
        for start in range(0, len(self.images), at_once):
            images = self.images.floats(slice(start, min(start + at_once, len(self.images))), self.device)
            found.append(self._around(images))
            advance(len(images))
        return Around(*(np.concatenate(one, axis=-1) for one in zip(*found, strict=True)))

    def _around(self, images: Tensor) -> Around:
        start = self._start(images)
        by_sigma = [self._at(sigma, start) for sigma in self.sigmas]
        return Around(
            start.own.cpu().numpy(),
            start.nearest[:, 0].cpu().numpy(),
            start.softmax.cpu().numpy(),
            start.flat.cpu().numpy(),
            **{name: np.stack([one[name] for one in by_sigma]) for name in by_sigma[0]},
        )

    def _start(self, images: Tensor) -> _Start:
        logits = self._logits(images)
        own = logits.argmax(dim=1)
        rivals = _rivals(logits, own, self.classes)
        margins = self.margins_at(images, own, rivals)
        near = _nearest(margins)[:, None]
        slope = margins.gradients.gather(1, near[..., None].expand(-1, -1, margins.gradients.shape[2]))[:, 0]
        several = images[:, None].expand(-1, max(self.copies, self.pairs), -1, -1, -1)
        noise = normal(generators(images, self.seed), several[:, : self.copies])
        return _Start(
            images=images,
            own=own,
            rivals=rivals,
            margins=margins,
            nearest=rivals.gather(1, near),
            margin=margins.values.gather(1, near),
            softmax=logits.softmax(dim=1).gather(1, own[:, None])[:, 0],
            flat=~slope.any(dim=1),
            noise=noise,
            mirrored=normal(generators(images, self.seed, "mmse"), several[:, : self.pairs]),
            along=torch.einsum("nsf,nf->ns", noise.flatten(2).double(), slope),
            rounding=ROUNDING * torch.finfo(placed(self.classifier, images[:1]).dtype).eps * logits.abs().amax(dim=1),
        )

    def _at(self, sigma: float, start: _Start) -> dict[str, np.ndarray]:
        """What `Around` has for each sigma, of that sigma."""
        copies = self._logits((start.images[:, None] + sigma * start.noise).flatten(0, 1)).view(*start.along.shape, -1)
        change = _over(copies, start.own, start.nearest)[..., 0] - start.margin
        reach = Reach(copies, start.own)
        runners = reach.runners(RUNNERS)
        averaged = self.averaged(start.images, sigma * start.mirrored, start.own, runners)
        return {
            "explained": explained(change, sigma * start.along, start.rounding).cpu().numpy(),
            "kept": reach.kept(),
            "elsewhere": reach.elsewhere(start.rivals),
            "taylor": _linear(start.margins, sigma, self.seed),
            "mmse": _linear(averaged, sigma, self.seed),
            "moments": reach.by_moments(self.classes, self.seed),
            "left_out": np.stack([reach.beyond(one) for one in (start.rivals, runners, reach.runners(self.classes))]),
        }

    @torch.no_grad()
    def _logits(self, points: Tensor) -> Tensor:
        """Logits (n, K) in double precision."""
        return torch.cat([found for _, found in halving(lambda which: self._asked(points[which]), len(points), self.size)])

    def _asked(self, points: Tensor) -> Tensor:
        logits = check_logits(self.classifier(placed(self.classifier, points)), points)
        expected = "one with finite logits at noisy images too, which may leave [0, 1]; it returned NaN or infinity"
        require(bool(logits.isfinite().all()), "classifier", type(self.classifier).__name__, expected)
        return logits.double()

    def margins_at(self, points: Tensor, own: Tensor, rivals: Tensor) -> Margins:
        """The margins of the classes `own` (n,) over rivals (n, J) at points (n, C, H, W), and their gradients."""

        def work(which: slice) -> Margins:
            inputs = placed(self.classifier, points[which]).requires_grad_()
            values = _over(self.classifier(inputs).double()[:, None], own[which], rivals[which])[:, 0]
            count = values.shape[1]
            slopes = [
                torch.autograd.grad(values[:, place].sum(), inputs, retain_graph=place < count - 1)[0] for place in range(count)
            ]
            return Margins(values.detach(), torch.stack([one.flatten(1) for one in slopes], dim=1).double())

        found = [margins for _, margins in halving(work, len(points), self.size)]
        return Margins(*(torch.cat(one) for one in zip(*found, strict=True)))

    def averaged(self, images: Tensor, noise: Tensor, own: Tensor, rivals: Tensor) -> Margins:
        """The means over mirrored copies of margins and gradients: the best linear prediction under the noise.

        Its slope is SmoothGrad's (Stein's formula). Mirrored, so that a linear margin's mean is its value at the image.
        """
        moved = torch.cat([images[:, None] + noise, images[:, None] - noise], dim=1)
        count = moved.shape[1]
        at = self.margins_at(moved.flatten(0, 1), own.repeat_interleave(count), rivals.repeat_interleave(count, dim=0))
        return Margins(*(one.view(len(images), count, *one.shape[1:]).mean(dim=1) for one in at))


def explained(change: Tensor, predicted: Tensor, rounding: Tensor) -> Tensor:
    """The share of the mean squared change that is predicted, (n,) in [0, 1]; 0 where no change would be the better guess.

    Where neither the change nor what is predicted rises above rounding, nothing happens, as predicted, and it is 1.

    Args:
        change: (n, copies), of a margin from its value at the image.
        predicted: likewise, the gradient times the noise.
        rounding: (n,), what floating-point numbers of this size can change by themselves.
    """
    total, missed = (one.square().mean(dim=1) for one in (change, change - predicted))
    still = (change.abs().amax(dim=1) <= rounding) & (predicted.abs().amax(dim=1) <= rounding)
    share = 1 - missed / torch.where(total > 0, total, 1.0)
    return torch.where(still, 1.0, torch.where(total > 0, share, 0.0).clamp(0, 1))


class Reach:
    """The logits of noisy copies (n, copies, K), compared with the classes `own` (n,) of the images themselves."""

    def __init__(self, logits: Tensor, own: Tensor) -> None:
        self.own, self.count = own, logits.shape[1] // 2
        self.given = logits.argmax(dim=2)
        everyone = torch.arange(logits.shape[2], device=logits.device).expand(len(logits), -1)
        self.margins = _over(logits, own, everyone)
        self.distance = self._distance(self.margins).scatter(1, own[:, None], float("inf"))

    @property
    def halves(self) -> tuple[Tensor, Tensor]:
        """The margins over all classes at the first half of the copies, and at the others."""
        return self.margins[:, : self.count], self.margins[:, self.count :]

    def kept(self) -> np.ndarray:
        """The shares of both halves of the copies that keep the class, (2, n)."""
        same = (self.given == self.own[:, None]).double()
        return np.stack([one.mean(dim=1).cpu().numpy() for one in (same[:, : self.count], same[:, self.count :])])

    def elsewhere(self, rivals: Tensor) -> np.ndarray:
        """The share of copies that get neither the class nor one of the rivals."""
        known = torch.cat([self.own[:, None], rivals], dim=1)
        found: np.ndarray = (self.given[:, :, None] != known[:, None]).all(dim=2).double().mean(dim=1).cpu().numpy()
        return found

    def runners(self, most: int) -> Tensor:
        """The rivals whose margins are nearest to 0 in their own standard deviations, (n, at most `most`)."""
        return self.distance.argsort(dim=1, stable=True)[:, : min(most, self.distance.shape[1] - 1)]

    def beyond(self, rivals: Tensor) -> np.ndarray:
        """The union bound on the probability of any other class than the rivals, by the moments, (n,)."""
        found: np.ndarray = ndtr(-self.distance.scatter(1, rivals, float("inf")).cpu().numpy()).sum(axis=1)
        return found.clip(max=1.0)

    def by_moments(self, most: int, seed: int) -> np.ndarray:
        """The probability of keeping the class if margins were normal with the moments of each half of the copies, (2, n)."""
        rivals = self.runners(most)
        found = []
        for half in self.halves:
            margins = half.gather(2, rivals[:, None].expand(-1, half.shape[1], -1))
            centred = (margins - margins.mean(dim=1, keepdim=True)).transpose(1, 2)
            found.append(orthant_probabilities(self._distance(margins).cpu().numpy(), _cosines(centred), seed))
        return np.stack(found)

    @staticmethod
    def _distance(margins: Tensor) -> Tensor:
        return _signed(margins.mean(dim=1), margins.std(dim=1))


def _over(logits: Tensor, own: Tensor, rivals: Tensor) -> Tensor:
    """The margins (n, copies, J) of the classes `own` (n,) over rivals (n, J), from logits (n, copies, K)."""
    copies = logits.shape[1]
    mine = logits.gather(2, own[:, None, None].expand(-1, copies, 1))
    return mine - logits.gather(2, rivals[:, None].expand(-1, copies, -1))


def _rivals(logits: Tensor, own: Tensor, most: int) -> Tensor:
    """The other classes of the highest logits, (n, at most `most`)."""
    others = logits.scatter(1, own[:, None], -float("inf"))
    return others.argsort(dim=1, descending=True, stable=True)[:, : min(most, logits.shape[1] - 1)]


def _nearest(margins: Margins) -> Tensor:
    """Which rival's boundary is nearest to first order, (n,); that of the smallest margin where no gradient leads to any."""
    distance = margins.values / margins.gradients.norm(dim=2)  # infinite, or NaN on a boundary, without a gradient
    return torch.where(distance.isfinite(), distance, float("inf")).argmin(dim=1)


def _linear(margins: Margins, sigma: float, seed: int) -> np.ndarray:
    """The probability that linear margins stay above 0 under the noise."""
    distance = _signed(margins.values, sigma * margins.gradients.norm(dim=2))
    return orthant_probabilities(distance.cpu().numpy(), _cosines(margins.gradients), seed)


def _signed(values: Tensor, deviations: Tensor) -> Tensor:
    """Values in deviations; without a deviation infinite, by the sign: a tie keeps the class."""
    certain = torch.where(values >= 0, float("inf"), -float("inf")).to(values)
    return torch.where(deviations > 0, values / torch.where(deviations > 0, deviations, 1.0), certain)


def _cosines(vectors: Tensor) -> np.ndarray:
    """The cosines (n, J, J) of vectors (n, J, F) with one another; those of a zero vector are 0, and its own is 1."""
    lengths = vectors.norm(dim=2, keepdim=True)
    unit = vectors / torch.where(lengths > 0, lengths, 1.0)
    found: np.ndarray = (unit @ unit.transpose(1, 2)).cpu().numpy()
    diagonal = np.arange(found.shape[1])
    found[:, diagonal, diagonal] = 1.0
    return found
