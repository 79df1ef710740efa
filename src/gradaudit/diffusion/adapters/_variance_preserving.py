"""The core of most adapters: a network trained on x_t = sqrt(abar_t) x0 + sqrt(1 - abar_t) n, as a denoiser of x0 + sigma n."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import torch
from torch import Tensor, nn

from gradaudit.diffusion.adapters._pixels import Pixels, per_image, require_sigma
from gradaudit.diffusion.adapters._schedules import read_schedule
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.errors import InputError, require
from gradaudit.files import fingerprint
from gradaudit.identity import identity

Network = Callable[[Tensor, Tensor, Tensor | None], Tensor]
Reading = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]

# The prediction p at x, where x = a x0 + s n; v = a n - s x0 (Salimans and Ho 2022, appendix D).
CLEAN: Mapping[str, Reading] = {
    "epsilon": lambda x, p, a, s: (x - s * p) / a,
    "v_prediction": lambda x, p, a, s: a * x - s * p,
    "sample": lambda x, p, a, s: p,
}
EPSILON: Mapping[str, Reading] = {
    "epsilon": lambda x, p, a, s: p,
    "v_prediction": lambda x, p, a, s: s * x + a * p,
    "sample": lambda x, p, a, s: (x - a * p) / s,
}


class VariancePreserving(nn.Module):
    """A network of diffusion's discrete steps as a function of sigma; arguments as `variance_preserving` has them.

    With abar = 1 / (1 + sigma^2), the noisy image times sqrt(abar) is what the network was trained on, for any sigma. The step
    that the network is told lies between two of the schedule's, by linear interpolation of log sigma: sinusoidal embeddings
    take fractions, so nothing is rounded.
    """

    def __init__(
        self,
        network: Network | nn.Module,
        alphas_cumprod: str | Tensor,
        *,
        prediction: str = "epsilon",
        integer_steps: bool = False,
        pixel_range: tuple[float, float] = (-1.0, 1.0),
    ) -> None:
        super().__init__()
        require(callable(network), "network", type(network).__name__, "a function or module (noisy, steps, labels) -> prediction")
        require(prediction in CLEAN, "prediction", prediction, f"one of {', '.join(CLEAN)}")
        self.network = network
        self.alphas_cumprod = read_schedule(alphas_cumprod)  # no buffer: `half()` would take its precision
        self.prediction = prediction
        self.integer_steps = integer_steps
        self.pixels = Pixels(*pixel_range)
        self._log_sigmas = ((1 - self.alphas_cumprod) / self.alphas_cumprod).log() / 2
        low, high = (self._log_sigmas[[0, -1]].exp() / self.pixels.width).tolist()
        self.sigma_range = (low, high)  # the least and the greatest deviation of the schedule, in pixel values of [0, 1]

    def extra_repr(self) -> str:
        """All that decides its output beside the network's weights."""
        network = [] if isinstance(self.network, nn.Module) else identity(self.network)
        decided = fingerprint(self.alphas_cumprod, *network)[:16]
        return f"prediction={self.prediction}, integer_steps={self.integer_steps}, {self.pixels}, schedule={decided}"

    def steps(self, sigma: Tensor) -> Tensor:
        """The steps, float64 (N,), fractions included, at deviations (N,) in pixel values of [0, 1]."""
        logs = (sigma.detach().double().cpu() * self.pixels.width).log()
        found = _interpolated(logs, self._log_sigmas, self._numbers())
        return found.round() if self.integer_steps else found

    def forward(self, noisy: Tensor, sigma: Tensor, labels: Tensor | None = None) -> Tensor:
        """The denoised images; as `Denoiser` calls it.

        Raises:
            InputError: a sigma outside the schedule, or a network that returns another shape.
        """
        require_sigma(sigma, *self.sigma_range)
        inner = sigma.detach().double().cpu() * self.pixels.width
        keep, noise = _shares(inner, noisy)
        scaled = self.pixels.inner(noisy) * keep
        prediction, _ = self._outputs(scaled, self.steps(sigma), labels)
        return self.pixels.outer(CLEAN[self.prediction](scaled, prediction, keep, noise))

    def predict(self, scaled: Tensor, steps: Tensor, labels: Tensor | None = None) -> tuple[Tensor, Tensor | None]:
        """The noise that is predicted, (N, C, H, W), and the learned variance's v likewise, or None where none was learned.

        The variance of the step is exp(v log beta + (1 - v) log beta-tilde).
        Source: Nichol and Dhariwal (2021), Improved Denoising Diffusion Probabilistic Models, equation 15.

        Args:
            scaled: x_t, floats (N, C, H, W), in the network's own scaling: sqrt(abar) x0 + sqrt(1 - abar) n.
            steps: t, numbers (N,), from 0 to T - 1.
            labels: as the network takes them.

        Raises:
            InputError: a step outside the schedule, or a network that returns another shape.
        """
        last = len(self.alphas_cumprod) - 1
        where = steps.detach().double().cpu()
        good = where.shape == (len(scaled),) and bool(((where >= 0) & (where <= last)).all())
        require(good, "steps", steps, f"({len(scaled)},), from 0 to {last}")
        inner = _interpolated(where, self._numbers(), self._log_sigmas).exp()
        keep, noise = _shares(inner, scaled)
        prediction, raw = self._outputs(scaled, where, labels)
        return EPSILON[self.prediction](scaled, prediction, keep, noise), None if raw is None else (raw + 1) / 2

    def _numbers(self) -> Tensor:
        return torch.arange(len(self._log_sigmas), dtype=torch.float64)

    def _outputs(self, scaled: Tensor, steps: Tensor, labels: Tensor | None) -> tuple[Tensor, Tensor | None]:
        dtype = torch.long if self.integer_steps else torch.promote_types(scaled.dtype, torch.float32)
        output = self.network(scaled, steps.to(scaled.device, dtype), labels)
        returned = tuple(output.shape) if isinstance(output, Tensor) else type(output).__name__
        count, channels, *sides = scaled.shape
        if returned == (count, channels, *sides):
            return output, None
        if returned == (count, 2 * channels, *sides):
            prediction, variance = output.chunk(2, dim=1)
            return prediction, variance
        expected = f"to return {tuple(scaled.shape)}, or twice as many channels where it learned a variance"
        raise InputError("network", returned, expected)


def variance_preserving(
    network: Network | nn.Module,
    alphas_cumprod: str | Tensor,
    *,
    prediction: str = "epsilon",
    integer_steps: bool = False,
    pixel_range: tuple[float, float] = (-1.0, 1.0),
    shape: tuple[int, int, int] | None = None,
    classes: int = 0,
    description: dict[str, object] | None = None,
) -> Denoiser:
    """A denoiser of images in [0, 1] from a network that was trained on sqrt(abar_t) x0 + sqrt(1 - abar_t) n.

    Source: Ho et al. (2020), Denoising Diffusion Probabilistic Models, equation 4; Karras et al. (2022), table 1, column VP.

    Args:
        network: `(noisy, steps, labels) -> prediction`: floats (N, C, H, W), steps t (N,), and int64 (N,) or None. A prediction
            of 2C channels has a learned variance in its second half, which `denoiser.denoise.predict` gives.
        alphas_cumprod: abar_t, floats (T,), or the name of a schedule, as `read_schedule` takes it.
        prediction: what the network returns: "epsilon", "v_prediction" or "sample".
        integer_steps: tell the network the nearest whole step, int64, where it can't take fractions.
        pixel_range: what the network was trained to see as black and white.
        shape: (C, H, W) of its images; None where any will do.
        classes: the number of classes; 0 for none.
        description: what it is, in JSON values.

    Raises:
        InputError: a bad schedule, prediction or range.
    """
    core = VariancePreserving(network, alphas_cumprod, prediction=prediction, integer_steps=integer_steps, pixel_range=pixel_range)
    return Denoiser(core, shape=shape, classes=classes, description=description)


def _shares(inner: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
    """sqrt(abar) and sqrt(1 - abar) at the network's own sigma, (N, 1, 1, 1), without the cancellation in 1 - abar."""
    keep = (1 + inner.square()).rsqrt()
    return per_image(keep, like), per_image(inner * keep, like)


def _interpolated(where: Tensor, known: Tensor, values: Tensor) -> Tensor:
    """The values (T,) at `known` (T,), which rises, linearly in between; held beyond the ends."""
    above = torch.searchsorted(known, where).clamp(1, len(known) - 1)
    share = (where - known[above - 1]) / (known[above] - known[above - 1])
    return torch.lerp(values[above - 1], values[above], share.clamp(0, 1))
