import numpy as np
import pytest
import torch

from gradaudit.diffusion import Denoiser
from gradaudit.diffusion.adapters import variance_preserving
from gradaudit.diffusion.sampling import sample
from gradaudit.errors import InputError

STD = 0.05


def gaussian(noisy, sigma, labels):
    """The exact denoiser of N(m, STD^2), m of the class: 0.3, 0.5, 0.7; without a class, of N(0.5, STD^2)."""
    mean = torch.full((len(noisy), 1, 1, 1), 0.5) if labels is None else 0.3 + 0.2 * labels[:, None, None, None]
    share = (STD**2 / (STD**2 + sigma.square()))[:, None, None, None]
    return mean + (noisy - mean) * share


EXACT = Denoiser(gaussian, shape=(1, 3, 3), classes=3)


@pytest.mark.parametrize("sampler", ["heun", "dpm2", "ddim", "heun(churn=10)"])
def test_an_image_comes_from_the_seed_and_its_place_alone(sampler):
    whole = sample(EXACT, 7, labels=1, sampler=sampler, seed=3)
    for batch_size in (1, 3):
        assert torch.equal(sample(EXACT, 7, labels=1, sampler=sampler, seed=3, batch_size=batch_size), whole)
    assert torch.equal(sample(EXACT, 4, labels=1, sampler=sampler, seed=3), whole[:4])
    assert not torch.equal(sample(EXACT, 7, labels=1, sampler=sampler, seed=4), whole)
    assert len(np.unique(whole.flatten(1)[:, 0])) == 7


def test_samples_are_of_the_class_asked_for():
    labels = torch.arange(600) % 3
    found = sample(EXACT, 600, labels=labels, steps=40)
    for label in range(3):
        pixels = found[labels == label]
        assert float(pixels.mean()) == pytest.approx(0.3 + 0.2 * label, abs=0.01)
        assert float(pixels.std()) == pytest.approx(STD, rel=0.1)
    assert torch.equal(sample(EXACT, 5, labels=2, seed=1), sample(EXACT, 5, labels=[2] * 5, seed=1))


def test_guidance_moves_samples_from_no_class_towards_the_class_and_beyond():
    # D(nothing) + w (D(class) - D(nothing)) is the exact denoiser of the mean 0.5 + w (m - 0.5).
    means = [float(sample(EXACT, 300, labels=2, guidance=weight, steps=40).mean()) for weight in (0.0, 0.5, 1.0, 2.0)]
    assert means == pytest.approx([0.5, 0.6, 0.7, 0.9], abs=0.01)
    assert float(sample(EXACT, 300, steps=40).mean()) == pytest.approx(0.5, abs=0.01)


def test_samples_stay_in_the_range_of_pixels():
    wide = Denoiser(lambda noisy, sigma, labels: noisy / (1 + sigma.square()[:, None, None, None]), shape=(1, 3, 3))
    found = sample(wide, 50)
    assert found.min() == 0
    assert found.max() == 1


def test_the_callers_random_state_is_left_alone():
    before = torch.get_rng_state()
    sample(EXACT, 2, sampler="heun(churn=10)")
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize(
    ("argument", "value"),
    [
        ("count", 0),
        ("labels", [0, 1]),
        ("labels", 3),
        ("labels", -1),
        ("labels", [0.0, 1.0, 2.0]),
        ("steps", 1),
        ("sampler", "euler"),
        ("sampler", "ddim(churn=1)"),
        ("churn", None),
        ("guidance", 2.0),
        ("sigma_min", 0.0),
        ("sigma_min", 50.0),
        ("seed", -1),
        ("batch_size", 0),
        ("device", "abacus"),
    ],
)
def test_a_bad_argument_is_named(argument, value):
    fields = {"count": 3} | ({argument: value} if argument != "churn" else {"sampler": "heun(churn=-1)"})
    with pytest.raises(InputError, match=f"^`{argument}`"):
        sample(EXACT, fields.pop("count"), **fields)


def test_a_denoiser_without_a_shape_or_classes_is_told_so():
    with pytest.raises(InputError, match=r"^`denoiser` .*known shape"):
        sample(Denoiser(gaussian), 2)
    with pytest.raises(InputError, match=r"^`labels` .*knows no classes"):
        sample(Denoiser(gaussian, shape=(1, 3, 3)), 2, labels=0)


@pytest.mark.parametrize("sampler", ["heun", "dpm2", "ddim"])
def test_the_noise_levels_stay_within_what_a_denoiser_was_trained_on(sampler):
    """Of a schedule whose least sigma, 0.05, is above the default, and whose greatest, 5, is below."""
    ends = 2 * torch.tensor([5.0, 0.05], dtype=torch.float64)  # in [-1, 1]
    alphas = 1 / (1 + torch.logspace(*ends.flip(0).log10().tolist(), 30, dtype=torch.float64).square())

    def clean(noisy, steps, labels):
        return torch.full_like(noisy, 0.2)

    denoiser = variance_preserving(clean, alphas, prediction="sample", shape=(1, 3, 3))
    found = sample(denoiser, 3, sampler=sampler, device="cpu")
    torch.testing.assert_close(found, torch.full((3, 1, 3, 3), 0.6), atol=1e-5, rtol=0)
