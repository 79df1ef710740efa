"""`counterfactual`: rows, targets, independence of batches and order, continuing, failing alone."""

import dataclasses

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.counterfactual import Solution

METHOD = "dvce(class_strength=0.8, steps=40)"
COLUMNS = ["method", "image", "seed", "source", "target", "confidence_before", "confidence_after", "flipped", "failed"]


def test_a_row_an_image_with_what_the_classifier_makes_of_both(change, toys):
    images, classifier = toys.images(10), toys.classifier()
    result = change(classifier, images)
    assert list(result.table.columns[: len(COLUMNS)]) == COLUMNS
    before, after = (classifier(one).softmax(dim=1) for one in (images.floats(), result.images.float() / 255))
    targets = before.topk(2).indices[:, 1]
    assert result.targets.tolist() == targets.tolist()
    assert result.table["source"].tolist() == [images.classes[label] for label in images.labels]
    assert result.table["target"].tolist() == [images.classes[target] for target in targets]
    for column, found in (("confidence_before", before), ("confidence_after", after)):
        expected = found.gather(1, targets[:, None])[:, 0].detach()
        np.testing.assert_allclose(result.table[column], expected, atol=1e-6)
    assert result.table["flipped"].tolist() == (after.argmax(1) == targets).tolist()
    change_of = (result.images.double() - result.originals.double()).abs().sum(dim=(1, 2, 3)) / 255
    np.testing.assert_allclose(result.table["l1"], change_of, atol=1e-5)
    assert torch.equal(result.originals, images.images)


def test_counterfactuals_have_256_levels(change, toys):
    images = toys.images(4)
    result = change(images=images, method=lambda problem: Solution(0.3 + 0.001 * problem.images))
    assert set(result.images.unique().tolist()) <= {76, 77}


@pytest.mark.parametrize(
    ("targets", "expected"),
    [
        ("all", [(0, 1), (0, 2), (1, 0), (1, 2), (2, 0), (2, 1)]),
        ([1, 2, 0], [(0, 1), (1, 2), (2, 0)]),
        (["bottom", 0, "middle"], [(0, 2), (1, 0), (2, 1)]),
        (torch.tensor([2, 0, 1]), [(0, 2), (1, 0), (2, 1)]),
        (np.array([2, 0, 1]), [(0, 2), (1, 0), (2, 1)]),
    ],
)
def test_targets(change, toys, targets, expected):
    result = change(images=toys.images(3), targets=targets)
    assert list(zip(result.table["image"], result.targets.tolist(), strict=True)) == expected


@pytest.mark.parametrize("target", ["bottom", 2, np.int64(2)])
def test_one_target_for_all(change, toys, target):
    assert change(images=toys.images(6)[[0, 1, 3, 4]], targets=target).table["target"].tolist() == ["bottom"] * 4


def test_the_second_most_likely_is_never_the_present_class(change, toys):
    tied = nn.Sequential(nn.Flatten(), nn.Linear(36, 3))
    tied[1].weight.data *= 1e-9
    tied[1].bias.data.zero_()
    with torch.no_grad():
        tied[1].weight[:, 0] = 1e-9  # a gradient, but logits that are all alike
    result = change(tied, toys.images(5))
    assert (result.table["source"] != result.table["target"]).all()


def test_batches_and_order_change_nothing(change, toys, tmp_path):
    images, order = toys.images(9), [4, 0, 8, 2, 6, 1, 7, 3, 5]
    whole = change(images=images, batch_size=9, store=tmp_path / "a")
    for size in (1, 4):
        part = change(images=images, batch_size=size, store=tmp_path / str(size))
        assert torch.equal(part.images, whole.images)
        assert part.table.equals(whole.table)
    shuffled = change(images=images[order], store=tmp_path / "b")
    assert torch.equal(shuffled.images, whole.images[order])


def test_seeds_give_other_counterfactuals_of_the_same_image(change, toys):
    result = change(images=toys.images(4), seeds=3, seed=5)
    assert result.table["seed"].tolist() == [5, 6, 7] * 4
    alone = change(images=toys.images(4), seed=6)
    assert torch.equal(result.images[1::3], alone.images)
    assert not torch.equal(result.images[::3], result.images[1::3])
    lines = result.summary.set_index("measure")
    pixels = result.images.double().reshape(4, 3, -1) / 255
    pairs = [(pixels[:, one] - pixels[:, other]).norm(dim=1) for one, other in ((0, 1), (0, 2), (1, 2))]
    assert lines.loc["diversity_l2", "value"] == pytest.approx(float(torch.stack(pairs).mean()), abs=1e-6)


class Notes:
    """What a method writes down: of such an object only the class is a part of the method."""

    def __init__(self):
        self.seen = []


def test_a_stopped_run_continues(change, toys, tmp_path):
    images, notes, untouched = toys.images(10), Notes(), change(images=toys.images(10), batch_size=2)
    seen, notes.limit = notes.seen, 5

    def method(problem):
        notes.seen.extend(problem.keys)
        if len(notes.seen) > notes.limit:
            raise KeyboardInterrupt
        return toys.towards(problem)

    with pytest.raises(KeyboardInterrupt):
        change(images=images, method=method, batch_size=2, store=tmp_path / "other")
    assert len(seen) == 6
    done = seen[:4]
    seen.clear()
    notes.limit = 100
    result = change(images=images, method=method, batch_size=3, store=tmp_path / "other")
    assert len(seen) == 6
    assert not set(seen) & set(done)
    assert torch.equal(result.images, untouched.images)
    again = change(images=images, method=method, store=tmp_path / "other")
    assert len(seen) == 6
    assert again.to_json() == result.to_json()


def test_whatever_decides_a_counterfactual_decides_its_place_in_the_store(change, toys):
    notes, images = Notes(), toys.images(4)
    calls = notes.seen

    def method(problem):
        notes.seen.append(len(problem.keys))
        return toys.towards(problem)

    change(images=images, method=method)
    change(images=images, method=method)
    assert calls == [4]
    change(toys.classifier(scale=3.0), images, method=method)
    change(images=images, method=method, robust=toys.classifier(scale=4.0))
    change(images=images, method=method, denoiser=ga.load_denoiser(lambda noisy, sigma, labels: noisy))
    change(images=images, method=method, seed=1)
    change(images=images, method=method, targets=[(label + 2) % 3 for label in images.labels.tolist()])
    assert len(calls) == 6


def spoilt(toys, what):
    def method(problem):
        found = toys.towards(problem)
        keys = [place for place, key in enumerate(problem.keys) if key % 2]
        if what == "told":
            return dataclasses.replace(found, failed=tuple("lost" if at in keys else None for at in range(len(problem.keys))))
        images = found.images.clone()
        images[keys, :, 0, 0] = float("nan")
        return dataclasses.replace(found, images=images)

    return method


@pytest.mark.parametrize(("what", "reason"), [("told", "lost"), ("nan", "its pixels became NaN or infinite")])
def test_an_image_that_fails_fails_alone(change, toys, what, reason):
    images = toys.images(12)
    whole, result = change(images=images), change(images=images, method=spoilt(toys, what))
    failed = result.table["failed"] == reason
    assert 0 < failed.sum() < 12
    assert set(result.table["failed"]) == {"", reason}
    assert not result.table["flipped"][failed].any()
    assert result.table.loc[failed, ["confidence_after", "l1"]].isna().all(axis=None)
    assert result.table["confidence_before"].notna().all()
    bad = torch.tensor(failed.to_numpy().copy())
    assert torch.equal(result.images[bad], result.originals[bad])
    assert torch.equal(result.images[~bad], whole.images[~bad])
    rate = result.summary.set_index("measure").loc["flip_rate"]
    assert (rate["value"], rate["images"]) == (pytest.approx(1 - failed.mean()), 12)
    assert any(reason in caveat for caveat in result.verdict.caveats)


def test_nothing_but_failures_is_a_result_too(change):
    def method(problem):
        return Solution(problem.images, failed=("none found",) * len(problem.keys))

    result = change(method=method, oracles={"other": nn.Sequential(nn.Flatten(), nn.Linear(36, 3))})
    assert result.verdict.label == "inconclusive"
    assert result.summary.set_index("measure").loc["flip_rate", "value"] == 0
    assert len(result.plot().axes) == 1


def test_logits_that_are_nan_at_the_counterfactual_are_a_failure(change, toys):
    class Picky(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = toys.classifier()

        def forward(self, images):
            dark = images.amax(dim=(1, 2, 3)) < 0.01
            return self.inner(images) + torch.where(dark, torch.nan, 0.0)[:, None]

    result = change(Picky(), method=lambda problem: Solution(0 * problem.images))
    assert set(result.table["failed"]) == {"the classifier's logits there are NaN or infinite"}


def test_classifiers_are_left_as_they_were(change, toys):
    classifier, helper = toys.classifier().train(), toys.classifier(scale=3.0).train()
    change(classifier, robust=helper)
    for module in (classifier, helper):
        assert module.training
        assert all(weight.requires_grad for weight in module.parameters())


def test_counterfactuals_along_an_exact_denoiser_are_of_the_target(tmp_path):
    mixture = ga.gaussian_mixture(classes=3, shape=(1, 6, 6), spread=0.05, seed=1)
    result = ga.counterfactual(
        mixture.bayes_classifier(),
        mixture.sample(6),
        "second",
        mixture.denoiser(),
        method=[METHOD, "apgd(steps=10)"],
        oracles={"blurred": mixture.bayes_classifier(0.02)},
        store=tmp_path,
        device="cpu",
    )
    own = result.rows(METHOD)
    assert own["agreed_blurred"].all()
    assert "similarity" in result.details["skipped"]  # the exact classifier has no linear layer
    assert {"confidence", "distance"} <= set(result.steps[METHOD])


def test_dvce_with_a_robust_helper_and_any_denoiser(change):
    """Its options are tried on no images, of which there are no views."""
    mixture = ga.gaussian_mixture(classes=3, shape=(1, 6, 6), seed=0)
    classifier, helper = (mixture.bayes_classifier(noise).float() for noise in (0.05, 0.2))
    options = {"method": "dvce(steps=6)", "denoiser": mixture.denoiser(), "robust": helper}
    result = change(classifier, mixture.sample(2, seed=1), **options)
    assert (result.table["failed"] == "").all()
    assert "angle_before" in result.steps["dvce(steps=6)"]


def test_numbers_of_numpy_are_told_apart_in_the_store(change, toys):
    near, far = (change(images=toys.images(3), method={"name": "apgd", "radius": np.int64(size), "steps": 3}) for size in (1, 3))
    assert (far.table["l2"] > near.table["l2"] + 0.5).all()
