"""Every way to tangent spaces against a slow and plain one, and against the exact spaces of a Gaussian mixture."""

import numpy as np
import pytest
import torch
from torch import nn

from gradaudit.diffusion.autoencoder import Autoencoder
from gradaudit.diffusion.denoiser import Denoiser
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.diffusion.tangents import TANGENTS, tangent_spaces
from gradaudit.diffusion.tangents.denoiser_jacobian import Jacobian
from gradaudit.errors import InputError
from gradaudit.images import ImageSet
from gradaudit.noise import generators, normal

SHAPE = (1, 8, 8)
MIXTURE = gaussian_mixture(intrinsic_dim=5, shape=SHAPE, seed=0)


def projectors(bases):
    return bases.mT.double() @ bases.double()


def distance(first, second):
    return float((projectors(first) - projectors(second)).abs().max())


def autoencoder(latent=7):
    torch.manual_seed(0)
    return Autoencoder(SHAPE, latent=latent, width=4).eval()


class Network(nn.Module):
    """A denoiser of no particular kind; its Jacobian is not symmetric."""

    def __init__(self):
        super().__init__()
        torch.manual_seed(1)
        self.first, self.last = nn.Conv2d(1, 6, 3, padding=1), nn.Conv2d(6, 1, 3, padding=1)

    def forward(self, noisy, sigma, labels):
        return self.last(torch.tanh(3 * self.first(noisy))) / (1 + sigma[:, None, None, None])


def sources():
    cloud = MIXTURE.sample(200, seed=3)
    return {
        "autoencoder": (autoencoder(), {}),
        "denoiser": (Denoiser(Network()), {"dimensions": 4}),
        "images": (cloud, {"dimensions": 6, "neighbours": 20}),
        "mixture": (MIXTURE, {}),
    }


@pytest.fixture(name="source", params=sources())
def source_fixture(request):
    return sources()[request.param]


def jacobian(function, x):
    """One backward pass for each output coordinate."""
    x = x.clone().requires_grad_()
    outputs = function(x).flatten()
    return torch.stack([torch.autograd.grad(one, x, retain_graph=True)[0].flatten() for one in outputs])


# Every way


def test_bases_are_orthonormal_rows(source):
    kind, options = source
    images = MIXTURE.sample(9)
    bases = tangent_spaces(images, kind, device="cpu", **options)
    assert bases.shape[0] == 9
    assert bases.shape[2] == 64
    assert torch.allclose(bases @ bases.mT, torch.eye(bases.shape[1]).expand(9, -1, -1), atol=1e-5)


def test_neither_batch_nor_order_nor_company_matters(source):
    kind, options = source
    images = MIXTURE.sample(9)
    order = torch.tensor([4, 0, 8, 2])
    together = tangent_spaces(images, kind, device="cpu", **options)
    for found, expected in (
        (tangent_spaces(images, kind, device="cpu", batch_size=2, **options), together),
        (tangent_spaces(images[order], kind, device="cpu", **options), together[order]),
        (tangent_spaces(images.floats(), kind, device="cpu", **options), together),
    ):
        assert distance(found, expected) < 1e-3


def test_the_source_is_left_as_it_was():
    model = autoencoder().train()
    model.decoder[0].bias.requires_grad_(False)
    tangent_spaces(MIXTURE.sample(2), model, device="cpu")
    assert model.training
    assert [weight.requires_grad for weight in model.decoder[0].parameters()] == [True, False]


# The autoencoder


def test_the_decoders_jacobian_is_that_of_a_backward_pass_a_coordinate():
    model = autoencoder().double()
    images = MIXTURE.sample(5)
    whole, leading = (tangent_spaces(images, model, dimensions=count, device="cpu") for count in (None, 3))
    for image, basis, few in zip(images.floats().double(), whole, leading, strict=True):
        exact = jacobian(lambda z: model.decoder(z[None]), model.encode(image[None])[0].detach())
        left = torch.linalg.svd(exact, full_matrices=False).U
        assert distance(basis, left.mT) < 1e-9
        assert distance(few, left[:, :3].mT) < 1e-9


def test_a_decoder_that_ignores_part_of_the_latent_has_a_smaller_rank():
    model = autoencoder(latent=6)
    model.decoder[0].weight.data[:, 2] = 0
    with pytest.raises(InputError, match=r"`dimensions` \(=6\) must be at most 5, the rank"):
        tangent_spaces(MIXTURE.sample(3), model, device="cpu")
    assert tangent_spaces(MIXTURE.sample(3), model, dimensions=5, device="cpu").shape == (3, 5, 64)


# The denoiser


@pytest.mark.parametrize("sigma", [0.03, 0.1])
def test_the_exact_denoisers_directions_are_the_exact_tangent_space(sigma):
    images, _ = MIXTURE.draw(6)
    exact = tangent_spaces(images, MIXTURE, device="cpu")
    for iterations, close in ((1, 1e-3), (3, 1e-4)):
        found = tangent_spaces(images, MIXTURE.denoiser(), dimensions=5, sigma=sigma, iterations=iterations, device="cpu")
        assert distance(found, exact) < close


def test_directions_are_the_leading_left_singular_ones():
    images = MIXTURE.sample(4).floats().double()
    denoiser = Denoiser(Network()).double()
    found = tangent_spaces(images, denoiser, dimensions=4, sigma=0.3, iterations=12, device="cpu")
    for image, basis in zip(images, found, strict=True):
        exact = jacobian(lambda x: denoiser(x[None], 0.3), image)
        left = torch.linalg.svd(exact).U[:, :4]
        assert distance(basis, left.mT) < 1e-5


def test_products_with_the_jacobian_of_layers_without_forward_mode():
    class Layers(nn.Module):
        def __init__(self):
            super().__init__()
            torch.manual_seed(2)
            self.norm = nn.GroupNorm(2, 4)

        def forward(self, noisy, sigma, labels):
            rows = self.norm(torch.cat([noisy, noisy**2, noisy**3, noisy.sin()], dim=1).mT).flatten(2).mT
            return nn.functional.scaled_dot_product_attention(rows, rows, rows).mT[:, :1].reshape(noisy.shape) + noisy

    images, denoiser = MIXTURE.sample(2).floats().double(), Denoiser(Layers()).double()
    rows, levels = torch.eye(64, dtype=torch.float64).expand(2, 64, 64), torch.full((2,), 0.25, dtype=torch.float64)
    forward, back = (Jacobian(denoiser, images, levels).products(rows, transposed=which) for which in (False, True))
    for place, image in enumerate(images):
        exact = jacobian(lambda x: denoiser(x[None], 0.25), image)
        assert torch.allclose(forward[place].mT, exact, atol=1e-10)
        assert torch.allclose(back[place], exact, atol=1e-10)


def test_a_denoiser_that_knows_no_direction_is_refused():
    flat = Denoiser(lambda noisy, sigma, labels: 0.5 + 0 * noisy)
    with pytest.raises(InputError, match=r"`dimensions`.*rank of the denoiser's Jacobian"):
        tangent_spaces(MIXTURE.sample(2), flat, dimensions=2, device="cpu")


# Neighbours


def test_principal_directions_of_the_nearest_images():
    cloud, images = MIXTURE.sample(120, seed=3), MIXTURE.sample(6, seed=4)
    found = tangent_spaces(images, cloud, dimensions=5, neighbours=15, device="cpu")
    rows = cloud.floats().flatten(1).double().numpy()
    for image, basis in zip(images.floats().flatten(1).double().numpy(), found, strict=True):
        nearest = rows[np.argsort(((rows - image) ** 2).sum(axis=1))[:15]]
        right = np.linalg.svd(nearest - nearest.mean(axis=0))[2][:5]
        assert projectors(basis).numpy() == pytest.approx(right.T @ right, abs=1e-4)


def test_an_image_is_not_its_own_neighbour():
    cloud = MIXTURE.sample(60, seed=3)
    twice = ImageSet(torch.cat([cloud.images, cloud.images[:1]]), torch.cat([cloud.labels, cloud.labels[:1]]), cloud.classes)
    found = tangent_spaces(cloud[:1], twice, dimensions=4, neighbours=10, device="cpu")
    assert distance(found, tangent_spaces(cloud[:1], cloud[1:], dimensions=4, neighbours=10, device="cpu")) < 1e-5
    with pytest.raises(InputError, match=r"`neighbours` \(=61\) must be at most 59"):
        tangent_spaces(cloud[:1], twice, dimensions=4, neighbours=61, device="cpu")


def test_a_large_cloud_is_searched_in_parts(monkeypatch):
    cloud, images = MIXTURE.sample(150, seed=3), MIXTURE.sample(4, seed=4)
    expected = tangent_spaces(images, cloud, dimensions=4, neighbours=12, device="cpu")
    monkeypatch.setattr("gradaudit.diffusion.tangents.local_pca.CHUNK", 31)
    assert distance(tangent_spaces(images, cloud, dimensions=4, neighbours=12, device="cpu"), expected) < 1e-5


def test_a_dense_cloud_shows_the_exact_tangent_space():
    mixture = gaussian_mixture(intrinsic_dim=2, normal_std=0.002, seed=1)
    images = mixture.sample(5)
    found = tangent_spaces(images, mixture.sample(900, seed=2), dimensions=2, neighbours=50, device="cpu")
    shared = (found @ tangent_spaces(images, mixture, device="cpu").mT).square().sum(dim=(1, 2)) / 2
    assert shared.min() > 0.97


def test_copies_span_nothing():
    copies = ImageSet(torch.full((30, *SHAPE), 7, dtype=torch.uint8), torch.zeros(30, dtype=torch.int64), ("a",))
    with pytest.raises(InputError, match=r"`dimensions`.*rank of the neighbours' spread"):
        tangent_spaces(MIXTURE.sample(2), copies, dimensions=2, neighbours=10, device="cpu")


# Bad input


@pytest.mark.parametrize(
    ("source", "options", "words"),
    [
        ("autoencoder", {"dimensions": 8}, "`dimensions`"),
        ("autoencoder", {"dimensions": 0}, "`dimensions`"),
        ("autoencoder", {"sigma": 0.1}, "`source`.*sigma"),
        ("denoiser", {"dimensions": 65}, "`dimensions`"),
        ("denoiser", {"sigma": 0.0}, "`sigma`"),
        ("denoiser", {"iterations": 0}, "`iterations`"),
        ("images", {"dimensions": 20}, "`dimensions`"),
        ("images", {"neighbours": 201}, "`neighbours`"),
        ("mixture", {"dimensions": 3}, "`dimensions`"),
        ("mixture", {"neighbours": 3}, "`source`.*neighbours"),
        ("mixture", {"batch_size": 0}, "`batch_size`"),
        ("mixture", {"device": "abacus"}, "`device`"),
    ],
)
def test_bad_options_are_named(source, options, words):
    kind, usual = sources()[source]
    with pytest.raises(InputError, match=words):
        tangent_spaces(MIXTURE.sample(2), kind, **{"device": "cpu"} | usual | options)


def test_bad_images_and_sources_are_named():
    with pytest.raises(
        InputError, match=r"`source` \(='Linear'\) must be one of: Autoencoder, Denoiser, GaussianMixture, ImageSet"
    ):
        tangent_spaces(MIXTURE.sample(2), nn.Linear(2, 2))
    for images in (torch.rand(64), torch.zeros(2, *SHAPE, dtype=torch.uint8), torch.rand(0, *SHAPE), [0.5]):
        with pytest.raises(InputError, match="`images`"):
            tangent_spaces(images, MIXTURE)
    for kind in (autoencoder(), MIXTURE.sample(60), MIXTURE):
        with pytest.raises(InputError, match=r"of shape|images"):
            tangent_spaces(torch.rand(2, 1, 4, 4), kind, device="cpu")


def test_every_way_is_found_by_what_it_takes():
    assert TANGENTS.names() == ("decoder_jacobian", "denoiser_jacobian", "exact", "local_pca")


def test_the_start_is_independent_of_noise_of_the_same_seed():
    """Else the first noise of manifold robustness, which shares the seed, would lie more within the spaces than chance has it."""
    images = torch.rand(200, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    flat = Denoiser(lambda noisy, sigma, labels: noisy, shape=(1, 8, 8))  # every direction is as good: the spaces are the start's
    spaces = tangent_spaces(images, flat, dimensions=4, sigma=0.25, seed=3)
    noise = normal(generators(images, 3), images).flatten(1)
    inside = (spaces @ noise[:, :, None]).square().sum(dim=(1, 2)) / noise.square().sum(dim=1)
    assert float(inside.mean()) == pytest.approx(4 / 64, abs=3 * float(inside.std()) / 200**0.5)
