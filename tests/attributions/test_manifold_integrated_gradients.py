"""Manifold integrated gradients against closed forms: a flat manifold, and a sphere."""

import math
import warnings
from itertools import pairwise

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.attributions import resolve_attribution
from gradaudit.attributions._completeness import missed, promise_of
from gradaudit.attributions.integrated_gradients import integrated_gradients
from gradaudit.diffusion.attributions.manifold_integrated_gradients import manifold_integrated_gradients
from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.diffusion.geodesics import latent_path, path_energy
from gradaudit.errors import InputError

SHAPE, FEATURES = (1, 4, 4), 16


class Flat(nn.Module):
    """Projects on a plane of three dimensions through an offset; the decoder may stretch its axes."""

    def __init__(self):
        super().__init__()
        generator = torch.Generator().manual_seed(0)
        basis = torch.linalg.qr(torch.randn(FEATURES, 3, generator=generator, dtype=torch.float64)).Q
        self.register_buffer("basis", basis)
        self.register_buffer("stretch", torch.tensor([1.0, 3.0, 0.2], dtype=torch.float64))
        self.weight = nn.Parameter(torch.zeros(1, dtype=torch.float64))

    def encode(self, images):
        return (images.flatten(1) - 0.3) @ self.basis / self.stretch

    def decoder(self, latents):
        return (0.3 + (latents * self.stretch) @ self.basis.mT).reshape(-1, *SHAPE)


class Sphere(nn.Module):
    """Latitude and longitude to three pixels, a point of the unit sphere; the rest is black."""

    def encode(self, images):
        x, y, z = images.flatten(1)[:, :3].unbind(1)
        return torch.stack([torch.atan2(z, (x * x + y * y).sqrt()), torch.atan2(y, x)], dim=1)

    def decoder(self, latents):
        latitude, longitude = latents.unbind(1)
        point = torch.stack([latitude.cos() * longitude.cos(), latitude.cos() * longitude.sin(), latitude.sin()], dim=1)
        return torch.cat([point, torch.zeros(len(point), FEATURES - 3).to(point)], dim=1).reshape(-1, *SHAPE)


class Quadratic(nn.Module):
    """Logits that are quadratic forms, whose gradients are linear: any midpoint is exact on a straight line."""

    def __init__(self):
        super().__init__()
        form = torch.randn(2, FEATURES, FEATURES, generator=torch.Generator().manual_seed(2), dtype=torch.float64)
        self.form = nn.Parameter(form + form.mT)

    def forward(self, images):
        flat = images.flatten(1)
        return torch.einsum("nf,kfg,ng->nk", flat, self.form, flat) / 2


def smooth_classifier():
    torch.manual_seed(1)
    return nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 12), nn.Softplus(), nn.Linear(12, 3)).double()


def batch(count=5):
    images = torch.rand(count, *SHAPE, generator=torch.Generator().manual_seed(3), dtype=torch.float64)
    return images, torch.arange(count) % 2


def on_sphere(latitude, longitude):
    return Sphere().decoder(torch.tensor([[latitude, longitude]], dtype=torch.float64))


# --- a flat manifold ---


@pytest.mark.parametrize("sweeps", [0, 7])
def test_on_a_flat_manifold_it_is_integrated_gradients_between_the_projected_ends_and_two_straight_pieces(sweeps):
    coder, model, (images, targets) = Flat(), Quadratic(), batch()
    scores = manifold_integrated_gradients(model, images, targets, autoencoder=coder, steps=6, sweeps=sweeps, baseline=0.1)
    with torch.no_grad():
        grey = torch.full_like(images, 0.1)
        corners = [grey, coder.decoder(coder.encode(grey)), coder.decoder(coder.encode(images)), images]
        form = model.form[targets]
        expected = torch.zeros(len(images), FEATURES, dtype=torch.float64)
        for start, end in pairwise(corners):  # the gradient half-way, times the way
            expected += torch.einsum("nfg,ng->nf", form, (start + end).flatten(1) / 2) * (end - start).flatten(1)
    torch.testing.assert_close(scores.flatten(1).double(), expected, atol=1e-5, rtol=1e-5)


def test_where_the_autoencoder_keeps_everything_it_is_integrated_gradients():
    class Whole(nn.Module):
        def encode(self, images):
            return images.flatten(1)

        def decoder(self, latents):
            return latents.reshape(-1, *SHAPE)

    model, (images, targets) = smooth_classifier(), batch()
    scores = manifold_integrated_gradients(model, images, targets, autoencoder=Whole(), steps=200, sweeps=2)
    torch.testing.assert_close(scores, integrated_gradients(model, images, targets), atol=1e-5, rtol=1e-3)


def test_sweeps_leave_a_straight_path_where_it_is():
    coder = Flat()
    start, end = torch.randn(2, 4, 3, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    straight, swept = (latent_path(coder.decoder, start, end, steps=8, sweeps=sweeps) for sweeps in (0, 9))
    torch.testing.assert_close(swept, straight)
    length = (coder.decoder(end) - coder.decoder(start)).flatten(1).square().sum(1)
    torch.testing.assert_close(path_energy(coder.decoder, straight), length)


# --- a sphere ---


def test_on_a_sphere_the_path_becomes_the_great_circle():
    start, end = on_sphere(0.7, -1.1), on_sphere(0.9, 1.2)
    coder, steps = Sphere(), 16
    ends = [coder.encode(one) for one in (start, end)]
    path = latent_path(coder.decoder, *ends, steps=steps, sweeps=120)
    found = coder.decoder(path[0]).flatten(1)[:, :3]
    a, b = start.flatten()[:3], end.flatten()[:3]
    angle = torch.acos(a @ b)
    share = torch.linspace(0, 1, steps + 1, dtype=torch.float64)[:, None]
    circle = (torch.sin((1 - share) * angle) * a + torch.sin(share * angle) * b) / torch.sin(angle)
    straight = coder.decoder(latent_path(coder.decoder, *ends, steps=steps, sweeps=0)[0]).flatten(1)[:, :3]
    assert (found - circle).abs().max() < 1e-4
    assert (straight - circle).abs().max() > 0.1
    chords = (steps * 2 * math.sin(float(angle) / steps / 2)) ** 2
    assert float(path_energy(coder.decoder, path)) == pytest.approx(chords, rel=1e-6)


def test_the_energy_never_rises_and_the_ends_stay():
    torch.manual_seed(5)
    rough = nn.Sequential(nn.Linear(2, 30), nn.Tanh(), nn.Linear(30, FEATURES)).double()
    with torch.no_grad():
        rough[0].weight.mul_(6)
    rough.requires_grad_(False)
    start, end = torch.randn(2, 6, 2, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    paths = [latent_path(rough, start, end, steps=10, sweeps=sweeps) for sweeps in range(25)]
    energies = torch.stack([path_energy(rough, path) for path in paths])
    assert (energies.diff(dim=0) <= 0).all()
    assert (energies[-1] < 0.9 * energies[0]).all()
    for path in paths:
        assert torch.equal(path[:, 0], start)
        assert torch.equal(path[:, -1], end)
    alone = latent_path(rough, start[3:4], end[3:4], steps=10, sweeps=24)
    torch.testing.assert_close(alone[0], paths[-1][3])


# --- completeness ---


@pytest.mark.parametrize("coder", [Flat(), Sphere()])
@pytest.mark.parametrize("of", ["logit", "loss", "softmax"])
@pytest.mark.parametrize("sweeps", [0, 5])
def test_the_scores_of_the_image_itself_add_up_whatever_the_path(coder, of, sweeps):
    model, (images, targets) = smooth_classifier(), batch()
    options = {"autoencoder": coder, "sweeps": sweeps, "of": of, "baseline": 0.2}
    scores = manifold_integrated_gradients(model, images, targets, **options)
    found = resolve_attribution({"name": "manifold_integrated_gradients", **options})
    assert missed(scores, promise_of(found)(model, images, targets).total) < 0.005


def test_of_a_linear_classifier_one_step_adds_up_to_rounding():
    torch.manual_seed(0)
    model, (images, targets) = nn.Sequential(nn.Flatten(), nn.Linear(FEATURES, 3)).double(), batch()
    scores = manifold_integrated_gradients(model, images, targets, autoencoder=Sphere(), steps=1)
    weight, bias = model[1].weight[targets], model[1].bias[targets]
    with torch.no_grad():
        expected = model(images).gather(1, targets[:, None])[:, 0] - bias
    torch.testing.assert_close(scores.flatten(1).sum(1).double(), expected, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(scores.flatten(1).double(), weight.detach() * images.flatten(1), atol=1e-6, rtol=1e-5)


def test_it_is_found_by_name_and_too_few_steps_are_named(tmp_path):
    torch.manual_seed(0)
    file = str(ga.save_autoencoder(tmp_path / "it.safetensors", Autoencoder(SHAPE, latent=3, width=4)))
    images = ga.ImageSet((batch(6)[0] * 255).to(torch.uint8), torch.zeros(6, dtype=torch.int64), ("a", "b"))
    name = f"manifold_integrated_gradients(autoencoder='{file}')"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scores = ga.attribute_all(smooth_classifier().float(), images, name, device="cpu", batch_size=4)
    own = manifold_integrated_gradients(
        smooth_classifier().float(), images.floats(), images.labels, autoencoder=ga.load_autoencoder(file)
    )
    torch.testing.assert_close(scores, own)

    class Steep(nn.Module):
        def forward(self, pixels):
            return torch.stack([(90 * pixels.flatten(1).mean(1) - 20).sigmoid(), pixels.flatten(1).mean(1)], 1)

    with pytest.warns(ga.CompletenessWarning, match="less that at the baseline.*take more steps"):
        ga.attribute_all(Steep(), images, f"manifold_integrated_gradients(autoencoder='{file}', steps=1)", device="cpu")


def test_a_file_that_was_written_anew_is_another_attribution(tmp_path):
    marks = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        file = str(ga.save_autoencoder(tmp_path / "it.safetensors", Autoencoder(SHAPE, latent=3, width=4)))
        marks.append(resolve_attribution(f"manifold_integrated_gradients(autoencoder='{file}')").fingerprint)
        given = {"name": "manifold_integrated_gradients", "autoencoder": ga.load_autoencoder(file)}
        marks.append(resolve_attribution(given).fingerprint)
    assert len(set(marks)) == 4


@pytest.mark.parametrize(
    ("options", "argument"),
    [
        ({"steps": 0}, "steps"),
        ({"sweeps": -1}, "sweeps"),
        ({"sweeps": 1.5}, "sweeps"),
        ({"baseline": float("nan")}, "baseline"),
        ({"of": "margin"}, "of"),
        ({"autoencoder": nn.Identity()}, "autoencoder"),
        ({"autoencoder": "missing.safetensors"}, "path"),
        ({"autoencoder": Autoencoder((1, 8, 8), latent=3, width=4)}, "images"),
    ],
)
def test_a_bad_option_is_named(options, argument):
    with pytest.raises(InputError, match=f"`{argument}`"):
        manifold_integrated_gradients(smooth_classifier(), *batch(), **{"autoencoder": Flat()} | options)


def test_an_autoencoder_must_be_given():
    with pytest.raises(InputError, match=r"`attribution`.*no default: autoencoder"):
        resolve_attribution("manifold_integrated_gradients")
