"""Score alignment where the answer is known: Bayes classifiers, a linear one, the definition image by image; and its training."""

import sys

import pytest
import torch
from torch import nn
from torch.nn import functional as F

import gradaudit as ga
from gradaudit.classifiers import log_odds
from gradaudit.diffusion.objectives._points import Points, fresh_points, kept_points
from gradaudit.diffusion.objectives.score_alignment import _loss, score_alignment
from gradaudit.errors import InputError
from gradaudit.instruments.sweep.families import read_families
from gradaudit.training import Recipe
from gradaudit.training.objectives.standard import standard

SHAPE, CLASSES, SIGMA = (1, 4, 4), 3, 0.25


@pytest.fixture(name="mixture", scope="module")
def mixture_fixture():
    return ga.gaussian_mixture(classes=CLASSES, shape=SHAPE, intrinsic_dim=4, spread=0.15, normal_std=0.05, seed=0)


@pytest.fixture(name="batch", scope="module")
def batch_fixture(mixture):
    drawn = mixture.sample(20, 3)
    return drawn.floats().double(), drawn.labels


def network(seed=0):
    torch.manual_seed(seed)
    layers = [nn.Conv2d(1, 3, 3, padding=1), nn.SiLU(), nn.Flatten(), nn.Linear(48, CLASSES)]
    return nn.Sequential(*layers).double()


def flat_gradient(loss, model):
    return torch.cat([part.flatten() for part in torch.autograd.grad(loss, tuple(model.parameters()))])


def term(classifier, batch, **options):
    torch.manual_seed(7)
    return (score_alignment(classifier, *batch, **options) - standard(classifier, *batch)).item()


def kept(mixture, images, labels, classes=1, draws=1):
    how = {"sigma": SIGMA, "classes": classes, "draws": draws, "device": torch.device("cpu")}
    return kept_points(mixture.denoiser(), lambda at: (images[at], labels[at]), len(images), **how)


# What it is


@pytest.mark.parametrize("classes", [1, 2, 3])
@pytest.mark.parametrize("sigma", [0.1, 0.25, 1.0])
def test_a_bayes_classifier_is_aligned(mixture, batch, sigma, classes):
    bayes = mixture.bayes_classifier(sigma).double()
    assert abs(term(bayes, batch, denoiser=mixture.denoiser(), sigma=sigma, classes=classes, strength=10)) < 1e-6
    assert term(mixture.bayes_classifier(sigma * 4).double(), batch, denoiser=mixture.denoiser(), sigma=sigma) > 0.01


def test_where_a_probability_saturates_its_gradient_still_has_a_direction():
    logits = torch.tensor([[22.0, 3.0, 2.0], [-40.0, 24.0, 2.0]], requires_grad=True)
    (found,) = torch.autograd.grad(log_odds(logits, torch.tensor([0, 1])).sum(), logits)
    precise = logits.detach().double().requires_grad_()
    (expected,) = torch.autograd.grad(precise.log_softmax(1)[[0, 1], [0, 1]].sum(), precise)
    assert not torch.autograd.grad(logits.log_softmax(1)[0, 0], logits)[0][0, 0]  # in single precision nothing is left
    assert F.cosine_similarity(found.double(), 1e9 * expected).min() > 1 - 1e-6


@pytest.mark.parametrize("classes", [1, CLASSES])
def test_it_is_the_loops(mixture, batch, classes):
    images, labels = batch
    model, denoiser = network(), mixture.denoiser()
    torch.manual_seed(7)
    found = score_alignment(model, images, labels, denoiser=denoiser, strength=0.3, classes=classes)
    torch.manual_seed(7)
    noise = torch.randn_like(images)
    total = 0.0
    for image, label, one in zip(images, labels, noise, strict=True):
        point = (image + SIGMA * one)[None].requires_grad_()
        for target in range(CLASSES) if classes > 1 else [int(label)]:
            asked = torch.tensor([target])
            bayes = mixture.score(point.detach(), SIGMA, asked) - mixture.score(point.detach(), SIGMA)
            log_probability = model(point).log_softmax(1)[0, target]
            gradient = torch.autograd.grad(log_probability, point, create_graph=True)[0]
            total = total + 0.3 * (1 - F.cosine_similarity(gradient.flatten(), bayes.flatten(), dim=0)) / classes
    expected = standard(model, images, labels) + total / len(images)
    assert found.item() == pytest.approx(expected.item(), rel=1e-6)
    assert torch.allclose(flat_gradient(found, model), flat_gradient(expected, model), rtol=1e-4, atol=1e-7)


def test_its_gradient_is_the_finite_difference(mixture, batch):
    def loss(model):
        torch.manual_seed(7)
        return score_alignment(model, *batch, denoiser=mixture.denoiser(), classes=2, strength=2.0)

    model = network()
    gradient = flat_gradient(loss(model), model)
    direction = torch.randn(len(gradient), generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    moved = []
    for sign in (1, -1):
        copy = network()
        vector = nn.utils.parameters_to_vector(copy.parameters())
        nn.utils.vector_to_parameters(vector + sign * 1e-5 * direction, copy.parameters())
        moved.append(loss(copy).item())
    assert (moved[0] - moved[1]) / 2e-5 == pytest.approx(float(gradient @ direction), rel=1e-4)


def test_of_two_classes_a_linear_classifier_finds_the_bayes_direction():
    """Isotropic classes of one width: the Bayes gradient is the difference of the means, and so is what the term alone wants."""
    mixture = ga.gaussian_mixture(classes=2, shape=SHAPE, normal_std=0.1, seed=1)
    wanted = (mixture.means[1] - mixture.means[0]).float()
    torch.manual_seed(0)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    images, labels = mixture.draw(64, 0)

    def cosine():
        return F.cosine_similarity(model[1].weight[1] - model[1].weight[0], wanted, dim=0).item()

    before = cosine()
    optimizer = torch.optim.Adam(model.parameters(), lr=0.02)
    for _ in range(150):
        optimizer.zero_grad()
        score_alignment(model, images, labels, denoiser=mixture.denoiser(), strength=100).backward()
        optimizer.step()
    assert before < 0.5
    assert cosine() > 0.999


def test_an_opposite_gradient_costs_two_and_no_gradient_nothing(batch):
    images, labels = batch
    direction = torch.linspace(-1, 1, 16, dtype=torch.float64).reshape(SHAPE)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, CLASSES).double())
    for scale, expected in ((1e-30, 0.0), (-1e-30, 2.0), (0.0, 0.0)):
        with torch.no_grad():
            model[1].weight.zero_()
            model[1].weight[0] = scale * direction.flatten()
        points = Points(
            torch.zeros_like(images), torch.zeros(len(images), 1, dtype=torch.int64), direction.expand(len(images), 1, *SHAPE)
        )
        loss = _loss(model, images, labels, points, SIGMA, 1.0)
        assert (loss - standard(model, images, labels)).item() == pytest.approx(expected)
        assert bool(flat_gradient(loss, model).isfinite().all())


def test_other_classes_are_drawn_evenly_and_never_twice(mixture):
    images, labels = mixture.draw(600, 0)
    for points in (*kept(mixture, images, labels, 2, draws=2), fresh_points(mixture.denoiser(), images, labels, SIGMA, 2)):
        assert torch.equal(points.targets[:, 0], labels)
        counts = ((points.targets[:, 1] - labels) % CLASSES).bincount(minlength=CLASSES)
        assert counts[0] == 0
        assert counts[1:].min() > 250


# In a training


OWN = f"""
import gradaudit as ga
from gradaudit.diffusion import Denoiser
mixture = ga.gaussian_mixture(classes={CLASSES}, shape=(1, 8, 8), intrinsic_dim=4, spread=0.15, normal_std=0.05, seed=0)
exact = mixture.denoiser()
plain = Denoiser(lambda noisy, sigma, labels: noisy)
two = Denoiser(lambda noisy, sigma, labels: noisy, classes=2)
other = Denoiser(lambda noisy, sigma, labels: noisy, classes={CLASSES}, shape=(1, 9, 9))
"""


@pytest.fixture(name="recipe")
def recipe_fixture(tmp_path, monkeypatch):
    """A function from options of the objective and fields to a recipe, whose denoiser is in a module of the user's."""
    (tmp_path / "own_denoisers.py").write_text(OWN)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "own_denoisers", raising=False)

    def made(denoiser="exact", augment="none", **options):
        objective = {"name": "score_alignment", "denoiser": f"own_denoisers:{denoiser}", **options}
        how = {"epochs": 2, "batch_size": 16, "precision": "fp32", "learning_rate": 0.02, "augment": augment}
        return Recipe(network="mlp(width=8, activation=silu)", objective=objective, **how)

    yield made
    sys.modules.pop("own_denoisers", None)


@pytest.fixture(name="images", scope="module")
def images_fixture():
    known = ga.gaussian_mixture(classes=CLASSES, shape=(1, 8, 8), intrinsic_dim=4, spread=0.15, normal_std=0.05, seed=0)
    return known.sample(48, 1)


def weights(recipe, images, **how):
    return nn.utils.parameters_to_vector(ga.train(recipe, images, device="cpu", **how).parameters())


@pytest.mark.parametrize("draws", [0, 2])
def test_without_strength_a_training_is_standard_bit_for_bit(recipe, images, draws):
    none = recipe(strength=0.0, draws=draws)
    assert torch.equal(weights(none, images), weights(none.with_(objective="standard"), images))
    assert not torch.equal(weights(none, images), weights(recipe(draws=draws), images))


@pytest.mark.parametrize("draws", [0, 1, 2])
def test_a_training_that_was_stopped_ends_bit_for_bit_as_one_that_was_not(recipe, images, tmp_path, draws):
    def stop(epoch):
        if epoch.number == 1:
            raise KeyboardInterrupt

    asked = recipe(draws=draws, classes=2).with_(ramp=0.4)
    expected = weights(asked, images)
    with pytest.raises(KeyboardInterrupt):
        ga.train(asked, images, device="cpu", checkpoint=tmp_path / "run.checkpoint", on_epoch=stop, checkpoint_seconds=0)
    assert torch.equal(weights(asked, images, checkpoint=tmp_path / "run.checkpoint"), expected)


def test_kept_points_are_an_images_own_whatever_else_is_trained_on(mixture):
    images, labels = mixture.draw(200, 0)
    torch.manual_seed(3)
    whole = kept(mixture, images, labels, classes=2)[0]
    torch.manual_seed(3)
    part = kept(mixture, images[50:], labels[50:], classes=2)[0]
    assert torch.equal(part.noise, whole.noise[50:])
    assert torch.equal(part.targets, whole.targets[50:])
    assert torch.allclose(part.directions.float(), whole.directions[50:].float(), atol=1e-3)
    torch.manual_seed(4)
    assert not torch.equal(kept(mixture, images, labels, classes=2)[0].noise, whole.noise)


def test_kept_scores_are_those_of_their_points(mixture):
    images, labels = mixture.draw(30, 0)
    first, second = kept(mixture, images, labels, draws=2)
    assert not torch.equal(first.noise, second.noise)
    for points in (first, second):
        at = images + SIGMA * points.noise.float()
        bayes = mixture.score(at, SIGMA, labels) - mixture.score(at, SIGMA)
        cosines = F.cosine_similarity(points.directions[:, 0].float().flatten(1), bayes.flatten(1))
        assert cosines.min() > 0.9999
    assert points.noise.std().item() == pytest.approx(1, abs=0.1)


def test_the_key_tells_denoisers_of_one_name_apart(recipe, tmp_path):
    place = torch.device("cpu")
    before = recipe().key(place)
    assert before == recipe().key(place)
    sys.modules.pop("own_denoisers")
    (tmp_path / "own_denoisers.py").write_text(OWN.replace("spread=0.15", "spread=0.2500"))
    assert recipe().key(place) != before
    assert "objective_needs" not in Recipe().key(place)


def test_a_recipe_takes_a_scripts_denoiser_along(recipe, monkeypatch):
    asked = recipe().with_(objective={"name": "score_alignment", "denoiser": "__main__:own_denoise"})
    monkeypatch.setattr(sys.modules["__main__"], "own_denoise", denoise, raising=False)
    assert asked.__getstate__()["carried"] == {"__main__:own_denoise": denoise}


def denoise(noisy, sigma, labels):
    return noisy


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"denoiser": "plain"}, "denoiser", "knows classes"),
        ({"denoiser": "two"}, "denoiser", "3 classes"),
        ({"denoiser": "other"}, "denoiser", r"\(1, 8, 8\)"),
        ({"denoiser": "none"}, "denoiser", "load_denoiser"),
        ({"strength": -1.0}, "strength", "0 or more"),
        ({"sigma": 0}, "sigma", "above 0"),
        ({"classes": 0}, "classes", "1 or more"),
        ({"classes": 4}, "classes", "at most 3"),
        ({"draws": -1}, "draws", "0 or more"),
        ({"draws": 1, "augment": "flip"}, "draws", "augmented"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_first_step(recipe, images, changes, argument, words):
    with pytest.raises(InputError, match=words) as caught:
        recipe(**changes).build(images.shape, CLASSES)
    assert caught.value.argument == argument


def test_a_recipe_without_a_denoiser_is_refused():
    with pytest.raises(InputError, match="no default: denoiser"):
        Recipe(objective="score_alignment(strength=2)")


def test_it_makes_a_family_with_strengths_of_the_users():
    (family,) = read_families({"score_alignment(denoiser='zoo:mnist', draws=1)": (0.5, 2.0)})
    assert family.option == "strength"
    assert family.recipe(Recipe(), 2.0).objective == "score_alignment(denoiser='zoo:mnist', draws=1, strength=2.0)"
