"""A denoiser, D(x; sigma) = E[x0 | x0 + sigma n = x], and the score that follows from it."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from gradaudit.errors import InputError, require, require_whole
from gradaudit.files import fingerprint
from gradaudit.identity import identity

Denoise = Callable[[Tensor, Tensor, Tensor | None], Tensor]


class Denoiser(nn.Module):
    """The mean of the clean images given noisy ones: images in [0, 1] outside, whatever scaling within.

    Args:
        denoise: a function or module `(noisy, sigma, labels) -> denoised`: floats (N, C, H, W), the deviations of their noise (N,)
            in pixel values of [0, 1], and the classes, int64 (N,), or None for no class.
        shape: (C, H, W) of its images; None where any will do.
        classes: the number of classes that it can be asked for; 0 for an unconditional denoiser.
        description: what it is, in JSON values; goes into the settings of results.

    Raises:
        InputError: `denoise` is not callable, `shape` is no (C, H, W), or `classes` is negative.
    """

    def __init__(
        self,
        denoise: Denoise | nn.Module,
        *,
        shape: tuple[int, int, int] | None = None,
        classes: int = 0,
        description: dict[str, object] | None = None,
    ) -> None:
        super().__init__()
        require(callable(denoise), "denoise", type(denoise).__name__, "a function or module (noisy, sigma, labels) -> denoised")
        good = shape is None or (len(shape) == 3 and all(isinstance(size, int) and size > 0 for size in shape))
        require(good, "shape", shape, "(C, H, W), positive integers, or None")
        require_whole("classes", classes)
        self.denoise = denoise
        self.shape = shape
        self.classes = classes
        self.description = description or {}

    def forward(self, noisy: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised images, floats (N, C, H, W), not clamped.

        Args:
            noisy: floats (N, C, H, W): images in [0, 1] plus noise.
            sigma: the noise's standard deviation in pixel values of [0, 1], above 0: a number, or a tensor (N,).
            labels: int64 (N,), the class of each image; None for the unconditional mean.

        Raises:
            InputError: another shape, a sigma that is not positive and finite, or a class that the denoiser doesn't know.
        """
        good = isinstance(noisy, Tensor) and noisy.ndim == 4 and noisy.is_floating_point()
        require(good, "noisy", noisy, "floats (N, C, H, W)")
        fits = self.shape is None or tuple(noisy.shape[1:]) == tuple(self.shape)
        require(fits, "noisy", tuple(noisy.shape), f"(N, {', '.join(map(str, self.shape or ()))}), the denoiser's images")
        denoised = self.denoise(noisy, deviations(sigma, noisy), self._labels(labels, noisy))
        returned = tuple(denoised.shape) if isinstance(denoised, Tensor) else type(denoised).__name__
        require(returned == tuple(noisy.shape), "denoise", returned, f"to return a tensor of shape {tuple(noisy.shape)}")
        return denoised

    def extra_repr(self) -> str:
        """What tells one function from another, so that results are not taken for another denoiser's."""
        return "" if isinstance(self.denoise, nn.Module) else f"function={fingerprint(*identity(self.denoise))[:16]}"

    def _labels(self, labels: Tensor | None, noisy: Tensor) -> Tensor | None:
        if labels is None:
            return None
        require(self.classes > 0, "labels", labels, "None: this denoiser knows no classes")
        good = isinstance(labels, Tensor) and labels.shape == (len(noisy),) and labels.dtype == torch.int64
        require(good, "labels", labels, f"int64 of shape ({len(noisy)},)")
        known = not len(labels) or (int(labels.min()) >= 0 and int(labels.max()) < self.classes)
        require(known, "labels", labels, f"from 0 to {self.classes - 1}, the denoiser's classes")
        return labels.to(noisy.device)


def deviations(sigma: float | Tensor, noisy: Tensor) -> Tensor:
    """Sigma as a tensor (N,) of the images' dtype and device.

    Raises:
        InputError: it is neither a number nor (N,), or not positive and finite.
    """
    expected = f"a number or a tensor ({len(noisy)},), above 0, in pixel values of [0, 1]"
    try:
        found = torch.as_tensor(sigma, dtype=noisy.dtype, device=noisy.device)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError("sigma", sigma, expected) from error
    require(not isinstance(sigma, bool) and found.shape in ((), (len(noisy),)), "sigma", sigma, expected)
    shown = found if isinstance(sigma, Tensor) else sigma
    require(bool((found > 0).all()) and bool(found.isfinite().all()), "sigma", shown, expected)
    return found.expand(len(noisy))


def score(denoiser: Denoiser, noisy: Tensor, sigma: float | Tensor, labels: Tensor | None = None) -> Tensor:
    """The gradient of the log density of noisy images (N, C, H, W): (D(x; sigma) - x) / sigma^2.

    Source: Karras et al. (2022), Elucidating the Design Space of Diffusion-Based Generative Models, equation 3.

    Args:
        denoiser: of images in [0, 1].
        noisy: floats (N, C, H, W).
        sigma: as the denoiser takes it.
        labels: for the score given the class; None for the unconditional one.

    Raises:
        InputError: as the denoiser.
    """
    squared = deviations(sigma, noisy).square()[:, None, None, None]
    denoised: Tensor = denoiser(noisy, sigma, labels)
    return (denoised - noisy) / squared
