"""Gaussian mixtures: data whose density, score, Bayes classifier and tangent spaces are known in closed form."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from numbers import Real
from typing import Any

import torch
from torch import Tensor, nn

from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import is_whole, require, require_whole
from gradaudit.files import fingerprint
from gradaudit.images import ImageSet

OFFSET = 0.1  # a mean's pixels lie within this of mid-grey
CHUNK = 2**24  # numbers of a temporary in `draw`


@dataclass(frozen=True, eq=False)
class GaussianMixture:
    """Equally probable classes, each an equal mixture of Gaussians of one shape, in the pixels of [0, 1].

    Component k has the covariance `spread`^2 B B' + `normal_std`^2 (I - B B') for its basis B, so it hugs the affine subspace
    through its mean that B spans. Without bases it is isotropic, with the deviation `normal_std`. Everything is computed in
    float64, by low-rank algebra, and comes back in the dtype of what was given.

    Args:
        means: float64 (M, F): M = K * components means, those of class 0 first.
        bases: float64 (M, T, F), orthonormal rows; T is 0 for isotropic components.
        shape: (C, H, W), with F = C * H * W.
        classes: K.
        spread: deviation along a basis, in pixel values of [0, 1].
        normal_std: deviation off it.
    """

    means: Tensor
    bases: Tensor
    shape: tuple[int, int, int]
    classes: int
    spread: float
    normal_std: float

    @property
    def fingerprint(self) -> str:
        """SHA-256 of all that decides its figures."""
        return fingerprint(self.means, self.bases, self.shape, self.classes, self.spread, self.normal_std)

    @property
    def intrinsic_dim(self) -> int:
        """T, the dimension of a component's subspace; 0 for isotropic components."""
        return self.bases.shape[1]

    def draw(self, count: int, seed: int = 0) -> tuple[Tensor, Tensor]:
        """Exact samples, floats (count, C, H, W) that may leave [0, 1], and their labels, int64 (count,).

        Raises:
            InputError: `count` is not a whole number above 0.
        """
        require_whole("count", count, 1)
        generator = torch.Generator().manual_seed(seed)
        which = torch.randint(len(self.means), (count,), generator=generator)
        parts = []
        for chosen in torch.split(which, max(1, CHUNK // self.means.shape[1])):
            noise = torch.randn(len(chosen), self.means.shape[1], generator=generator, dtype=torch.float64)
            bases = self.bases[chosen]
            along = torch.einsum("ntf,nt->nf", bases, torch.einsum("ntf,nf->nt", bases, noise))
            parts.append((self.means[chosen] + self.spread * along + self.normal_std * (noise - along)).float())
        return torch.cat(parts).reshape(count, *self.shape), which // (len(self.means) // self.classes)

    def sample(self, count: int, seed: int = 0) -> ImageSet:
        """Samples as an image set: those of `draw`, cut to [0, 1] and rounded to 8 bits.

        Rounding adds noise of a deviation of about 1 / (255 sqrt(12)) = 0.0011 to every pixel, beside `normal_std`.

        Raises:
            InputError: `count` is no whole number above 0, or the shape has neither 1 nor 3 channels.
        """
        images, labels = self.draw(count, seed)
        pixels = images.clamp(0, 1).mul(255).round().to(torch.uint8)
        return ImageSet(pixels, labels, tuple(str(label) for label in range(self.classes)))

    def log_density(self, x: Tensor, sigma: float | Tensor = 0.0, labels: Tensor | None = None) -> Tensor:
        """log p(x), or log p(x|y) for labels (N,), of images plus noise of deviation sigma, (N,).

        Args:
            x: floats (N, C, H, W).
            sigma: 0 or more, in pixel values of [0, 1]; a number, or a tensor (N,).
            labels: int64 (N,), or None for the marginal density.

        Raises:
            InputError: another shape, a sigma below 0 or not finite, or labels that are not of the classes.
        """
        found = self._joint(x, sigma, labels).logsumexp(dim=1)
        return found.to(x.dtype)

    def score(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """The gradient of `log_density` with respect to x, (N, C, H, W).

        Args and errors: as `log_density`.
        """
        along, off = self._parts(x)
        near, far = (variance[:, None, None] for variance in self._variances(x, sigma))
        return self._averaged(self._joint(x, sigma, labels), -along / near - off / far, x)

    def denoised(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """E[x0 | x0 + sigma n = x], (N, C, H, W): the mean of the clean images given a noisy one.

        Args and errors: as `log_density`.
        """
        along, off = self._parts(x)
        near, far = (variance[:, None, None] for variance in self._variances(x, sigma))
        means = self.means.to(x.device, torch.float64) + along * (self.spread**2 / near) + off * (self.normal_std**2 / far)
        return self._averaged(self._joint(x, sigma, labels), means, x)

    def class_log_joint(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """log p(x|y) + log p(y) for every class y, (N, K): the logits of the Bayes classifier."""
        joint = self._joint(x, sigma).reshape(len(x), self.classes, len(self.means) // self.classes).logsumexp(dim=2)
        return joint.to(x.dtype)

    def posterior(self, x: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """p(y|x) at noise of deviation sigma, (N, K)."""
        return self.class_log_joint(x.double(), sigma).softmax(dim=1).to(x.dtype)

    def bayes_gradient(self, x: Tensor, labels: Tensor, sigma: float | Tensor = 0.0) -> Tensor:
        """The gradient of log p(y|x) with respect to x, (N, C, H, W): the score given the class less the score.

        Source: Srinivas et al. (2023).
        """
        exact = x.double()
        return (self.score(exact, sigma, labels) - self.score(exact, sigma)).to(x.dtype)

    def bayes_classifier(self, sigma: float = 0.0) -> nn.Module:
        """The classifier whose logits are log p(x|y) + log p(y) at noise of deviation sigma."""
        return _BayesClassifier(self, sigma)

    def denoiser(self) -> Denoiser:
        """The exact denoiser, class-conditional."""
        about: dict[str, object] = {"kind": "gaussian_mixture", "spread": self.spread, "normal_std": self.normal_std}
        return Denoiser(_ExactDenoise(self), shape=self.shape, classes=self.classes, description=about)

    def tangent_spaces(self, x: Tensor) -> Tensor:
        """The basis (N, T, F), orthonormal rows, of the component that most probably made each x (N, C, H, W).

        Raises:
            InputError: another shape, or isotropic components, which have no tangent space.
        """
        require(
            self.intrinsic_dim > 0, "intrinsic_dim", None, "given to gaussian_mixture: isotropic components have no tangent space"
        )
        return self.bases.to(x.device)[self._joint(x, 0.0).argmax(dim=1)].to(x.dtype)

    def _parts(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Each x less each mean, float64 (N, M, F), split into what lies along the component's basis and what lies off it."""
        require(isinstance(x, Tensor) and x.is_floating_point(), "x", x, "floats (N, C, H, W)")
        require(tuple(x.shape[1:]) == self.shape, "x", x, f"(N, {', '.join(map(str, self.shape))}), the mixture's images")
        means, bases = self.means.to(x.device, torch.float64), self.bases.to(x.device, torch.float64)
        away = x.double().flatten(1)[:, None] - means
        along = torch.einsum("mtf,nmt->nmf", bases, torch.einsum("mtf,nmf->nmt", bases, away))
        return along, away - along

    def _variances(self, x: Tensor, sigma: float | Tensor) -> tuple[Tensor, Tensor]:
        """The variance along a basis and off it, with the noise, float64 (N,)."""
        expected = f"0 or more and finite, in pixel values of [0, 1]: a number or a tensor ({len(x)},)"
        given = isinstance(sigma, (Real, Tensor)) and not isinstance(sigma, bool)
        require(given, "sigma", sigma, expected)
        noise = torch.as_tensor(sigma, dtype=torch.float64, device=x.device)
        require(noise.shape in ((), (len(x),)), "sigma", sigma, expected)
        require(bool(((noise >= 0) & noise.isfinite()).all()), "sigma", sigma, expected)
        squared = noise.expand(len(x)).square()
        return squared + self.spread**2, squared + self.normal_std**2

    def _joint(self, x: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x|k) + log p(k) for every component k, float64 (N, M); given labels, p(k) is that within the class."""
        along, off = self._parts(x)
        near, far = (variance[:, None] for variance in self._variances(x, sigma))
        few, rest = self.intrinsic_dim, self.means.shape[1] - self.intrinsic_dim
        distance = along.square().sum(2) / near + off.square().sum(2) / far
        volume = few * near.log() + rest * far.log() + (few + rest) * math.log(2 * math.pi)
        joint = -(distance + volume) / 2 - math.log(len(self.means))
        return joint if labels is None else self._of_class(joint, labels)

    def _of_class(self, joint: Tensor, labels: Tensor) -> Tensor:
        good = isinstance(labels, Tensor) and labels.shape == (len(joint),) and labels.dtype == torch.int64
        require(good, "labels", labels, f"int64 of shape ({len(joint)},)")
        known = not len(labels) or (int(labels.min()) >= 0 and int(labels.max()) < self.classes)
        require(known, "labels", labels, f"from 0 to {self.classes - 1}, the mixture's classes")
        owner = torch.arange(len(self.means), device=joint.device) // (len(self.means) // self.classes)
        strange = owner != labels.to(joint.device)[:, None]
        return joint.masked_fill(strange, -math.inf) + math.log(self.classes)

    def _averaged(self, joint: Tensor, values: Tensor, x: Tensor) -> Tensor:
        mean = torch.einsum("nm,nmf->nf", joint.softmax(dim=1), values)
        return mean.reshape(x.shape).to(x.dtype)


class _Held(nn.Module):
    """The mixture's tensors as a module's, so that they move with it and count in its fingerprint."""

    means: Tensor
    bases: Tensor

    def __init__(self, mixture: GaussianMixture) -> None:
        super().__init__()
        self.plan = mixture
        self.register_buffer("means", mixture.means)
        self.register_buffer("bases", mixture.bases)

    def mixture(self) -> GaussianMixture:
        return replace(self.plan, means=self.means, bases=self.bases)

    def extra_repr(self) -> str:
        return f"shape={self.plan.shape}, spread={self.plan.spread}, normal_std={self.plan.normal_std}"


class _BayesClassifier(_Held):
    def __init__(self, mixture: GaussianMixture, sigma: float) -> None:
        super().__init__(mixture)
        mixture._variances(mixture.means[:1], sigma)  # refuses a bad sigma now
        self.sigma = sigma

    def forward(self, images: Tensor) -> Tensor:
        return self.mixture().class_log_joint(images, self.sigma)

    def extra_repr(self) -> str:
        return f"sigma={self.sigma}, {super().extra_repr()}"


class _ExactDenoise(_Held):
    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None) -> Tensor:
        return self.mixture().denoised(noisy, sigma, labels)


def gaussian_mixture(
    *,
    classes: int = 3,
    shape: tuple[int, int, int] = (1, 8, 8),
    components: int = 1,
    intrinsic_dim: int | None = None,
    spread: float = 0.1,
    normal_std: float = 0.01,
    seed: int = 0,
) -> GaussianMixture:
    """A Gaussian mixture with random means in the middle of [0, 1] and, if asked for, random low-dimensional subspaces.

    Args:
        classes: equally probable classes.
        shape: (C, H, W) of an image; 1 or 3 channels if it is to be sampled as images.
        components: Gaussians in each class.
        intrinsic_dim: dimension of the random affine subspace through its mean that each component hugs; None for isotropic ones.
        spread: deviation of isotropic components, or along the subspaces, in pixel values of [0, 1].
        normal_std: deviation off the subspaces; not used by isotropic components.
        seed: of means and subspaces.

    Raises:
        InputError: an argument out of its range.
    """
    for argument, value, least in (("classes", classes, 2), ("components", components, 1)):
        require_whole(argument, value, least)
    good = isinstance(shape, (tuple, list)) and len(shape) == 3 and all(is_whole(side) and side > 0 for side in shape)
    require(good, "shape", shape, "(C, H, W), positive whole numbers")
    features = math.prod(shape)
    fits = intrinsic_dim is None or (is_whole(intrinsic_dim) and 1 <= intrinsic_dim < features)
    require(fits, "intrinsic_dim", intrinsic_dim, f"None or a whole number from 1 to {features - 1}, below the number of pixels")
    check_deviation("spread", spread)
    check_deviation("normal_std", normal_std)
    require(is_whole(seed), "seed", seed, "a whole number")
    generator = torch.Generator().manual_seed(seed)
    count, few = classes * components, intrinsic_dim or 0
    means = 0.5 + OFFSET * (2 * torch.rand(count, features, generator=generator, dtype=torch.float64) - 1)
    drawn = torch.randn(count, features, few, generator=generator, dtype=torch.float64)
    bases = torch.linalg.qr(drawn).Q.mT.contiguous()
    channels, height, width = shape
    off = normal_std if intrinsic_dim else spread
    return GaussianMixture(means, bases, (channels, height, width), classes, float(spread), float(off))


def check_deviation(argument: str, value: Any) -> None:
    """Raise `InputError` unless the value is a finite number above 0."""
    good = isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < math.inf
    require(good, argument, value, "a finite number above 0, in pixel values of [0, 1]")
