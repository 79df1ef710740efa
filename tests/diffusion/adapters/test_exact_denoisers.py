"""An exact denoiser, told as a network of another scaling and prediction, comes back through the adapters' core."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from gradaudit.diffusion.adapters import edm_preconditioned, read_schedule, variance_preserving
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.errors import InputError

MIXTURE = gaussian_mixture(classes=3, shape=(1, 4, 4), components=2, intrinsic_dim=3, spread=0.2, normal_std=0.02, seed=1)
SCHEDULES = {
    "linear": "linear",
    "cosine": "cosine",
    "100 steps": torch.linspace(0.999, 0.01, 100),
    "zero at the end": torch.linspace(0.999, 0.0, 50),
}
SIGMAS = torch.tensor([0.02, 0.1, 0.4, 1.2, 3.0], dtype=torch.float64)


def at(steps: Tensor, schedule: str) -> tuple[Tensor, Tensor]:
    """The shares of image and noise at a step, also between two: the definition once more."""
    kept = read_schedule(SCHEDULES[schedule]).numpy()
    sigma = np.exp(np.interp(steps.numpy(), np.arange(len(kept)), np.log(np.sqrt((1 - kept) / kept))))
    shares = np.stack([1 / np.sqrt(1 + sigma**2), sigma / np.sqrt(1 + sigma**2)])
    image, noise = torch.from_numpy(shares)[..., None, None, None]
    return image, noise


def told(prediction: str, schedule: str, black: float = -1.0, white: float = 1.0, learned: bool = False) -> object:
    """The exact denoiser of the mixture as a network of diffusion's steps."""
    width = white - black

    def network(scaled: Tensor, steps: Tensor, labels: Tensor | None) -> Tensor:
        image, noise = at(steps.double().cpu(), schedule)
        outer = (scaled.double() / image - black) / width
        clean = black + width * MIXTURE.denoised(outer, (noise / image / width).flatten(), labels)
        epsilon = (scaled - image * clean) / noise
        found = {"epsilon": epsilon, "sample": clean, "v_prediction": image * epsilon - noise * clean}[prediction]
        found = torch.cat([found, torch.full_like(found, -0.5)], dim=1) if learned else found
        return found.to(scaled.dtype)

    return network


def noisy(dtype: torch.dtype = torch.float64) -> Tensor:
    images, _ = MIXTURE.draw(len(SIGMAS), seed=2)
    noise = torch.randn(images.shape, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return (images + SIGMAS[:, None, None, None] * noise).to(dtype)


@pytest.mark.parametrize("labels", [None, torch.tensor([0, 1, 2, 1, 0])], ids=["no class", "classes"])
@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_variance_preserving_gives_the_exact_denoiser(prediction: str, schedule: str, labels: Tensor | None) -> None:
    denoiser = variance_preserving(told(prediction, schedule), SCHEDULES[schedule], prediction=prediction, classes=3)
    sigma = SIGMAS.clamp(max=0.9 * denoiser.denoise.sigma_range[1])
    torch.testing.assert_close(denoiser(noisy(), sigma, labels), MIXTURE.denoised(noisy(), sigma, labels), atol=1e-9, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_single_precision_is_exact_to_five_digits(prediction: str) -> None:
    denoiser = variance_preserving(told(prediction, "linear"), "linear", prediction=prediction)
    images = noisy(torch.float32)
    found = denoiser(images, SIGMAS.float())
    assert found.dtype == torch.float32
    torch.testing.assert_close(found, MIXTURE.denoised(images, SIGMAS.float()), atol=1e-5, rtol=0)


def test_the_pixel_range_may_be_another() -> None:
    denoiser = variance_preserving(told("epsilon", "linear", 0.0, 255.0), "linear", pixel_range=(0.0, 255.0))
    sigma = torch.full((5,), 0.2, dtype=torch.float64)
    torch.testing.assert_close(denoiser(noisy(), sigma), MIXTURE.denoised(noisy(), sigma), atol=1e-9, rtol=0)


@pytest.mark.parametrize("prediction", ["epsilon", "v_prediction", "sample"])
def test_predict_gives_the_noise_and_the_learned_variance(prediction: str) -> None:
    core = variance_preserving(told(prediction, "linear", learned=True), "linear", prediction=prediction).denoise
    steps = torch.tensor([0, 7, 500, 700, 999])
    scaled = torch.randn(5, 1, 4, 4, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    epsilon, variance = core.predict(scaled, steps)
    expected = told("epsilon", "linear")(scaled, steps, None)
    torch.testing.assert_close(epsilon, expected, atol=1e-8, rtol=1e-8)
    assert torch.equal(variance, torch.full_like(expected, 0.25))
    assert variance_preserving(told("epsilon", "linear"), "linear").denoise.predict(scaled, steps)[1] is None


@given(st.integers(0, 999), st.floats(0.0, 0.999))
def test_the_step_of_the_schedules_own_sigma_is_that_step(step: int, more: float) -> None:
    core = variance_preserving(told("epsilon", "linear"), "linear").denoise
    kept = read_schedule("linear")[[step, min(step + 1, 999)]]
    logs = ((1 - kept) / kept).sqrt().log()
    sigma = (logs[0] + more * (logs[1] - logs[0])).exp()[None] / 2
    assert core.steps(sigma).item() == pytest.approx(step + more * (step < 999), abs=1e-6)


def test_whole_steps_are_told_as_integers() -> None:
    heard = []

    def network(scaled: Tensor, steps: Tensor, labels: Tensor | None) -> Tensor:
        heard.append(steps)
        return torch.zeros_like(scaled)

    kept = read_schedule("linear")[[100, 101]]
    sigma = ((1 - kept) / kept).sqrt() / 2
    images = torch.rand(2, 1, 4, 4)
    variance_preserving(network, "linear", integer_steps=True)(images, sigma[0] * 0.6 + sigma[1] * 0.4)
    variance_preserving(network, "linear")(images, sigma[0] * 0.6 + sigma[1] * 0.4)
    assert heard[0].tolist() == [100, 100]
    assert heard[0].dtype == torch.int64
    assert heard[1].is_floating_point()
    assert 100.3 < heard[1][0].item() < 100.5


def test_an_image_does_not_depend_on_its_batch() -> None:
    denoiser = variance_preserving(told("v_prediction", "cosine"), "cosine", prediction="v_prediction")
    images = noisy()
    alone = torch.cat([denoiser(image[None], sigma[None]) for image, sigma in zip(images, SIGMAS, strict=True)])
    torch.testing.assert_close(denoiser(images, SIGMAS), alone, atol=1e-12, rtol=0)


# torch's own, once a process, when forward mode is first used.
@pytest.mark.filterwarnings("ignore:`torch.jit.script")
def test_forward_mode_goes_through() -> None:
    denoiser = variance_preserving(lambda scaled, steps, labels: torch.sin(scaled), "linear")
    images, tangents = torch.rand(2, 1, 4, 4).double(), torch.randn(3, 2, 1, 4, 4).double()

    def product(tangent: Tensor) -> Tensor:
        return torch.func.jvp(lambda x: denoiser(x, 0.3), (images,), (tangent,))[1]

    found = torch.func.vmap(product)(tangents)
    step = 1e-6
    expected = torch.stack([(denoiser(images + step * t, 0.3) - denoiser(images - step * t, 0.3)) / (2 * step) for t in tangents])
    torch.testing.assert_close(found, expected, atol=1e-7, rtol=1e-6)


@pytest.mark.parametrize("negated", [False, True])
def test_edm_gives_the_exact_denoiser(negated: bool) -> None:
    def network(scaled: Tensor, noise: Tensor, labels: Tensor | None) -> Tensor:
        sigma = (4 * noise).exp()[:, None, None, None]
        total = (sigma**2 + 0.3**2).sqrt()
        images = scaled * total
        clean = 2 * MIXTURE.denoised((images + 1) / 2, sigma.flatten() / 2, labels) - 1
        return (clean - 0.3**2 / total**2 * images) / (sigma * 0.3 / total) * (-1 if negated else 1)

    denoiser = edm_preconditioned(network, sigma_data=0.3, negated=negated, classes=3)
    labels = torch.tensor([0, 1, 2, 1, 0])
    torch.testing.assert_close(denoiser(noisy(), SIGMAS), MIXTURE.denoised(noisy(), SIGMAS), atol=1e-9, rtol=0)
    torch.testing.assert_close(denoiser(noisy(), SIGMAS, labels), MIXTURE.denoised(noisy(), SIGMAS, labels), atol=1e-9, rtol=0)
    with pytest.raises(InputError, match=r"`sigma`.*from 0.001 to 40"):
        denoiser(noisy(), 41.0)


@pytest.mark.parametrize("sigma", [0.0049, 80.0])
def test_a_sigma_outside_the_schedule_is_refused(sigma: float) -> None:
    denoiser = variance_preserving(told("epsilon", "linear"), "linear")
    with pytest.raises(InputError, match=r"`sigma`.*from 0\.005 to 78\.\d+"):
        denoiser(noisy(), sigma)


def test_the_ends_of_the_schedule_are_within() -> None:
    denoiser = variance_preserving(told("sample", "linear"), "linear", prediction="sample")
    for sigma in denoiser.denoise.sigma_range:
        assert denoiser(noisy(torch.float32), sigma).isfinite().all()


@pytest.mark.parametrize(
    "schedule",
    ["quadratic", torch.tensor([0.5]), torch.tensor([0.5, 0.5]), torch.tensor([0.5, 0.9]), torch.tensor([1.0, 0.5]), [0.9, 0.5]],
    ids=str,
)
def test_a_bad_schedule_is_refused(schedule: object) -> None:
    with pytest.raises(InputError, match=r"`schedule`"):
        variance_preserving(told("epsilon", "linear"), schedule)


def test_bad_arguments_are_refused() -> None:
    network = told("epsilon", "linear")
    with pytest.raises(InputError, match=r"`prediction` \(='noise'\).*epsilon, v_prediction, sample"):
        variance_preserving(network, "linear", prediction="noise")
    with pytest.raises(InputError, match=r"`pixel_range`"):
        variance_preserving(network, "linear", pixel_range=(1.0, -1.0))
    with pytest.raises(InputError, match=r"`network`"):
        variance_preserving("network", "linear")
    with pytest.raises(InputError, match=r"`steps`.*from 0 to 999"):
        variance_preserving(network, "linear").denoise.predict(noisy(), torch.full((5,), 1000))
    with pytest.raises(InputError, match=r"`sigma_data`"):
        edm_preconditioned(network, sigma_data=0.0)
    with pytest.raises(InputError, match=r"`sigma_range`"):
        edm_preconditioned(network, sigma_range=(2.0, 1.0))


def test_a_network_that_returns_another_shape_is_refused() -> None:
    with pytest.raises(InputError, match=r"`network` \(=\(5, 3, 4, 4\)\).*\(5, 1, 4, 4\)"):
        variance_preserving(lambda x, steps, labels: x.repeat(1, 3, 1, 1), "linear")(noisy(), 0.3)
    with pytest.raises(InputError, match=r"`network`.*\(5, 1, 4, 4\)"):
        edm_preconditioned(lambda x, noise, labels: x[:, :, 1:])(noisy(), 0.3)
