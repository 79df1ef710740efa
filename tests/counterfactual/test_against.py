"""Counterfactuals against another classifier, which is to keep its class: closed forms, whole runs, and what is refused."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.diffusion import gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual import Solution
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull
from gradaudit.instruments.counterfactual.guidance.blended import LossPull
from gradaudit.instruments.counterfactual.guidance.walk import Point
from gradaudit.instruments.counterfactual.measures import Evidence
from gradaudit.instruments.counterfactual.measures.validity import validity
from gradaudit.instruments.counterfactual.methods.apgd import apgd
from gradaudit.instruments.counterfactual.methods.blended import blended
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.methods.svce import svce
from gradaudit.instruments.counterfactual.problem import Against, Problem, target_log_probability

SHAPE, PIXELS = (1, 6, 6), 36
MIXTURE = gaussian_mixture(classes=3, shape=SHAPE, spread=0.05, seed=1)
METHODS = {
    "dvce": (dvce, {"steps": 20, "class_strength": 0.8}),
    "dvce, none": (dvce, {"steps": 20, "class_strength": 0.8, "guidance": "none", "sampler": "ddim"}),
    "blended": (blended, {"steps": 20}),
    "svce": (svce, {"steps": 10, "radius": 3.0}),
    "apgd": (apgd, {"steps": 10, "radius": 2.0}),
}
ASCENTS = {"svce": (svce, {"p": 2, "steps": 100}), "apgd": (apgd, {"steps": 100})}


class Linear(nn.Module):
    """Logits 0 and w.(x - 1/2) + b."""

    def __init__(self, weight, bias=0.0):
        super().__init__()
        self.weight, self.bias = nn.Parameter(weight), nn.Parameter(torch.tensor(bias))

    def forward(self, images):
        found = (images - 0.5).flatten(1) @ self.weight + self.bias
        return torch.stack([torch.zeros_like(found), found], dim=1)


def weights(seed, length):
    drawn = torch.randn(PIXELS, generator=torch.Generator().manual_seed(seed))
    return length * drawn / drawn.norm()


def linear(first, second, radius, name):
    """A grey image by which the first classifier is to see class 1 and the second class 0; the change, and the objective there."""
    against = Against(second.eval(), torch.zeros(1, dtype=torch.int64))
    task = Problem(first.eval(), torch.full((1, *SHAPE), 0.5), torch.ones(1, dtype=torch.int64), (3,), against=against)
    method, options = ASCENTS[name]
    found = method(task, radius=radius, **options).images
    return (found - task.images).flatten().detach(), float(task.objective(found).detach())


@pytest.mark.parametrize("name", ASCENTS)
def test_two_linear_classifiers_part_along_the_difference_of_their_weights(name):
    """log s(a) + log s(-b) is concave and symmetric in a and -b, so at most 2 log s((a - b) / 2): with weights of one length, from
    a point where both are undecided, the best of the L2 ball is x + eps (w_A - w_B) / |w_A - w_B|.
    """
    one, other, radius = weights(1, 4.0), weights(2, 4.0), 1.0
    change, reached = linear(Linear(one), Linear(other), radius, name)
    best = radius * (one - other) / (one - other).norm()
    most = 2 * math.log(torch.sigmoid(radius * (one - other).norm() / 2))
    assert reached <= most + 1e-5
    assert reached == pytest.approx(most, abs=2e-3)
    assert torch.allclose(change, best, atol=0.02)


@pytest.mark.parametrize("name", ASCENTS)
def test_whatever_the_weights_the_best_of_the_ball_is_found(name):
    """Only a and b count, so the best lies on the circle in the plane of both weights: the plain scan of it."""
    one, other, radius = Linear(weights(3, 5.0), -1.5), Linear(weights(4, 2.0), -1.0), 1.0
    axes, _ = torch.linalg.qr(torch.stack([one.weight.detach(), other.weight.detach()], dim=1).double())
    turns = torch.linspace(0, 2 * math.pi, 20001, dtype=torch.float64)
    circle = radius * torch.stack([turns.cos(), turns.sin()], dim=1) @ axes.T
    a, b = (circle @ part.weight.detach().double() + float(part.bias.detach()) for part in (one, other))
    most = float((nn.functional.logsigmoid(a) + nn.functional.logsigmoid(-b)).max())
    assert linear(one, other, radius, name)[1] == pytest.approx(most, abs=5e-3)


def test_the_gradient_where_both_probabilities_are_equal_is_along_the_difference():
    one, other = weights(1, 4.0), weights(2, 3.0)
    images = torch.rand(1, *SHAPE, generator=torch.Generator().manual_seed(0))
    a = float((images - 0.5).flatten() @ one)
    other_bias = -a - float((images - 0.5).flatten() @ other)  # so that p_A(1) = p_B(0)
    against = Against(Linear(other, other_bias), torch.zeros(1, dtype=torch.int64))
    task = Problem(Linear(one), images, torch.ones(1, dtype=torch.int64), (0,), against=against)
    leaf = images.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(task.objective(leaf).sum(), leaf)
    expected = torch.sigmoid(torch.tensor(-a)) * (one - other)
    assert torch.allclose(gradient.flatten(), expected, atol=1e-5)


def task_of(against="same", region=None, images=6):
    originals, labels = MIXTURE.draw(images, seed=3)
    originals = (originals.clamp(0, 1) * 255).round() / 255
    classifier = MIXTURE.bayes_classifier(0.1).eval()
    other = {"same": classifier, "other": MIXTURE.bayes_classifier(0.6).eval()}.get(against)
    rival = None if other is None else Against(other, other(originals).argmax(dim=1))
    return Problem(classifier, originals, (labels + 1) % 3, tuple(range(images)), MIXTURE.denoiser(), region=region, against=rival)


@pytest.mark.parametrize("name", METHODS)
def test_against_itself_nothing_is_won(name):
    """p(t) p(y) <= 1/4 for one classifier, whatever the image, and it predicts one class: no image is ever flipped."""
    task = task_of("same")
    method, options = METHODS[name]
    found = method(task, **options)
    with torch.no_grad():
        assert (task.objective(found.images) <= math.log(0.25) + 1e-5).all()
    evidence = Evidence(task.classifier, task.images, found.images, task.against.classes, task.targets, task.keys)
    told = validity(replace(evidence, against=task.against))
    assert not told["flipped"].any()
    assert not (told["reached"] & told["kept"]).any()


@pytest.mark.parametrize("name", ASCENTS)
def test_against_itself_a_linear_classifier_ends_at_its_boundary_where_the_gradient_is_zero(name):
    weight = weights(5, 6.0)
    change, reached = linear(Linear(weight, -1.0), Linear(weight, -1.0), 1.0, name)
    assert reached == pytest.approx(math.log(0.25), abs=1e-3)
    assert float(change @ weight) == pytest.approx(1.0, abs=0.1)  # where w.x + b = 0


def test_without_another_classifier_the_objective_is_the_old_one_bit_for_bit():
    task = task_of("none")
    for views in (1, 3):
        images = task.images.repeat_interleave(views, dim=0).requires_grad_()
        old = target_log_probability(task.classifier, images, task.targets.repeat_interleave(views))
        new = task.objective(images, views)
        assert torch.equal(old, new)
        gradients = [torch.autograd.grad(values.sum(), images, retain_graph=True)[0] for values in (old, new)]
        assert torch.equal(*gradients)
    assert task.log_probabilities(task.images).shape == (6, 1)


def test_guided_methods_follow_the_sum_and_the_robust_helper_the_target_alone():
    task = replace(task_of("other"), robust=MIXTURE.bayes_classifier(0.3).eval())
    leaf = task.images.clone().requires_grad_()
    logs = task.classifier(leaf).log_softmax(1).gather(1, task.targets[:, None]).sum()
    kept = task.against.classifier(leaf).log_softmax(1).gather(1, task.against.classes[:, None]).sum()
    helper = task.robust(leaf).log_softmax(1).gather(1, task.targets[:, None]).sum()
    expected, helping = (torch.autograd.grad(values, leaf, retain_graph=True)[0] for values in (logs + kept, helper))
    found = AdaptivePull(task).gradients(task.images, task.sources())
    assert torch.allclose(found.explained, expected.float(), rtol=1e-4, atol=1e-5)
    assert torch.allclose(found.robust, helping.float(), rtol=1e-4, atol=1e-5)
    still = torch.zeros_like(task.images)
    point = Point(task.images, still, lambda gradient: gradient, task.sources(), lambda: still, 1.0)
    pull, _ = LossPull(task, 2.0, 0.0, 0.0)(point)
    assert torch.allclose(pull, 2 * expected.float(), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", METHODS)
def test_a_region_holds_and_the_other_ones_confidence_is_told_step_by_step(name):
    region = torch.zeros(6, 1, 6, 6, dtype=torch.bool)
    region[:, :, :3] = True
    task = task_of("other", region)
    method, options = METHODS[name]
    found = method(task, **options)
    outside = ~region.expand_as(found.images)
    assert torch.equal(found.images[outside], task.images[outside])
    alone = method(replace(task, against=None), **options)
    assert not torch.equal(found.images, alone.images)
    assert found.steps["confidence_kept"].shape == found.steps["confidence"].shape
    assert "confidence_kept" not in alone.steps
    if name.startswith(("dvce", "blended")):  # whose last step is the image itself
        last = task.against.classifier(found.images).softmax(1).gather(1, task.against.classes[:, None])[:, 0]
        assert torch.allclose(found.steps["confidence_kept"][:, -1], last.float(), atol=1e-3)


class Half(nn.Module):
    """The brightest bar of one half of the image, left or right."""

    def __init__(self, side, scale=3.0):
        super().__init__()
        self.register_buffer("columns", torch.arange(3) + (0 if side == "left" else 3))
        self.scale = nn.Parameter(torch.tensor(scale))

    def forward(self, images):
        bars = images[:, 0, :, self.columns].reshape(len(images), 3, 2, 3)
        return self.scale * bars.mean(dim=(2, 3))


def right(problem):
    """The target's bar in the right half alone."""
    found = problem.images.clone()
    found[:, :, :, 3:] = 0.1
    for image, target in zip(found, problem.targets, strict=True):
        image[:, 2 * target : 2 * target + 2, 3:] = 0.9
    return Solution(found)


def whole(problem):
    """The target's bar in both halves."""
    found = right(problem).images
    found[:, :, :, :3] = found[:, :, :, 3:]
    return Solution(found)


@pytest.fixture(name="parted")
def parted_fixture(change):
    def run(**options):
        return change(Half("right"), **({"against": Half("left"), "method": right} | options))

    return run


def test_what_one_sees_and_the_other_does_not_is_a_disagreement(parted):
    oracles = {"sides": Half("left", 5.0), "itself": Half("left"), "shares": Half("right", 5.0)}
    result = parted(method=[right, whole], oracles=oracles)
    apart, together = result.rows("right"), result.rows("whole")
    assert apart["flipped"].all()
    assert apart["reached"].all()
    assert apart["kept"].all()
    assert (apart["other"] == apart["source"]).all()
    assert together["reached"].all()
    assert not together["kept"].any()
    assert not together["flipped"].any()
    assert (together["other"] == together["target"]).all()
    left = np.asarray(result.images[0, 0, :, :3], dtype=np.float64).reshape(3, 2, 3).mean(axis=(1, 2)) / 255
    odds = np.exp(3 * left) / np.exp(3 * left).sum()
    assert apart["confidence_kept"].iloc[0] == pytest.approx(
        odds[("top", "middle", "bottom").index(apart["source"].iloc[0])], abs=1e-5
    )
    lines = result.summary.set_index(["method", "measure"])["value"]
    assert lines["right", "disagree_rate"] == 1
    assert lines["whole", "disagree_rate"] == 0
    assert ("right", "flip_rate") not in lines.index
    assert [lines["right", f"{begin}_{name}"] for name in ("sides", "shares") for begin in ("agreed", "kept")] == [0, 1, 1, 0]
    assert [one["against"] for one in result.details["oracles"].values()] == [False, True, False]
    assert any("the oracle itself is the classifier that was to keep its class" in one for one in result.verdict.caveats)
    assert "the oracle sides sees the target in 0.0%" in result.verdict.sentence
    assert "the oracle itself sees" not in result.verdict.sentence
    gallery = "".join(text.get_text() for axes in result.gallery(2).axes for text in [axes.title])
    assert f"the other: still {apart['source'].iloc[0]}" in gallery
    assert f"the other: {together['target'].iloc[0]}, not {together['source'].iloc[0]}" in gallery


def test_the_verdict_says_with_whom_oracles_side(parted):
    judged = {name: parted(oracles={"judge": Half(side, 5.0)}, images=None) for name, side in (("one", "right"), ("other", "left"))}
    assert judged["one"].verdict.label == "semantic"
    assert judged["other"].verdict.label == "not semantic"
    assert "nobody can say which of the two is right" in parted().verdict.sentence


def test_images_about_which_they_disagree_already_stay_as_they_are(parted, toys):
    images = toys.images(10)
    pixels = images.images.clone()
    pixels[[2, 5], :, :, :3] = pixels[[1, 1], :, :, :3]  # left halves of the class middle
    mixed = ga.ImageSet(pixels, images.labels, images.classes)
    result = parted(images=mixed)
    assert result.table["image"].tolist() == [0, 1, 3, 4, 6, 7, 8, 9]
    already = [(one["image"], one["classifier"], one["other"]) for one in result.details["against"]["already"]]
    assert already == [(2, "bottom", "middle"), (5, "bottom", "middle")]
    assert result.settings["against"]
    assert result.verdict.caveats[0].startswith("the two disagree about 2 images as they are (3, 6)")
    assert torch.equal(result.originals, pixels[[0, 1, 3, 4, 6, 7, 8, 9]])
    assert ga.CounterfactualResult.from_json(result.to_json()).verdict == result.verdict
    with pytest.raises(InputError, match=r"`against`.*disagrees about all 1 already"):
        parted(images=mixed[2:3])


def test_labels_do_not_matter_only_what_the_other_one_sees(parted, toys):
    images = toys.images(6)
    wrong = ga.ImageSet(images.images, (images.labels + 1) % 3, images.classes)
    assert parted(images=wrong).table["kept"].all()
    assert parted(images=wrong).table["source"].tolist() == parted(images=images).table["source"].tolist()


def test_batches_change_nothing_and_another_rival_is_another_entry_of_the_store(parted, tmp_path):
    options = {"method": "svce(steps=6)", "store": tmp_path / "kept"}
    found = parted(**options)
    assert np.array_equal(parted(method="svce(steps=6)", batch_size=3).images, found.images)
    assert np.array_equal(parted(**options).images, found.images)
    alone, other = (parted(**options | {"against": rival}) for rival in (None, Half("left", 0.5)))
    assert not np.array_equal(alone.images, found.images)
    assert not np.array_equal(other.images, found.images)
    assert "other" not in alone.table
    assert not alone.against
    assert "against" not in alone.settings


def test_a_failed_image_has_no_view_of_the_other_one(parted):
    def broken(problem):
        return Solution(right(problem).images, failed=("no", *[None] * (len(problem.images) - 1)) if len(problem.images) else ())

    result = parted(method=broken, batch_size=10)
    assert result.table["other"].tolist()[0] == ""
    assert not result.table["flipped"].iloc[0]
    assert result.summary.set_index("measure").loc["disagree_rate", "value"] == pytest.approx(0.9)


@pytest.mark.parametrize(
    ("against", "words"),
    [
        (nn.Sequential(nn.Flatten(), nn.Linear(36, 5)), "of 3 classes"),
        (nn.Sequential(nn.Flatten(), nn.Linear(49, 3)), "able to take images of shape (2, 1, 6, 6)"),
        ("zoo:mnist/robust", "an nn.Module"),
        (Half("right"), "can't disagree with itself"),
    ],
)
def test_a_bad_rival_is_refused(parted, against, words):
    with pytest.raises(InputError, match="`against`") as error:
        parted(against=against)
    assert words in str(error.value)


def test_a_rival_that_is_the_helper_is_refused_by_methods_that_ask_it(parted):
    with pytest.raises(InputError, match=r"`against`.*pulls towards the target in right"):
        parted(robust=Half("left"))
    assert len(parted(robust=Half("left"), method="svce(steps=2)").table) == 10
