"""DVCE with the denoiser's own class evidence as helper, on mixtures where all is exact."""

import pytest
import torch

from gradaudit.diffusion import gaussian_mixture
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.problem import Problem

QUICK = {"steps": 40, "class_strength": 0.8}


def problem(classes=2, classifier=None, denoiser=None, spread=0.05):
    mixture = gaussian_mixture(classes=classes, shape=(1, 6, 6), spread=spread, seed=1)
    originals, labels = mixture.draw(8, seed=3)
    bayes = mixture.bayes_classifier(0.0).eval()
    return Problem(
        classifier or bayes, originals.clamp(0, 1).double(), (labels + 1) % classes, tuple(range(8)), denoiser or mixture.denoiser()
    )


@pytest.mark.parametrize("join", ["cone", "consensus"])
@pytest.mark.parametrize("guidance", ["exact", "combined", "none"])
def test_of_two_gaussians_the_evidence_is_the_bayes_gradient_and_changes_nothing(join, guidance):
    """Between two isotropic Gaussians every such gradient lies along the difference of the means.

    They overlap so much that the classifier is never so sure that its own gradient is rounded away.
    """
    task = problem(spread=0.3)
    alone = dvce(task, **QUICK, guidance=guidance, helper="none")
    helped = dvce(task, **QUICK, guidance=guidance, helper="denoiser", join=join)
    angles = helped.steps["angle_before"]
    assert float(angles[~angles.isnan()].max()) < 0.1
    assert torch.allclose(helped.images, alone.images, atol=1e-4)
    if join == "consensus":
        assert float(helped.steps["consensus"].nan_to_num(1.0).min()) == 1


class Other(torch.nn.Module):
    """A linear classifier that has nothing to do with the mixture."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = torch.randn(36, 2, generator=torch.Generator().manual_seed(5), dtype=torch.float64)

    def forward(self, images):
        return images.flatten(1) @ self.weight


def test_a_classifier_that_knows_nothing_is_at_right_angles_and_half_of_the_places_go():
    """At x0_hat, as the denoiser's Jacobian would turn any gradient towards the classes."""
    found = dvce(problem(classifier=Other()), **QUICK, guidance="none", helper="denoiser", join="consensus")
    angles, kept = (found.steps[name] for name in ("angle_before", "consensus"))
    assert 60 < float(angles.nanmean()) < 120
    assert 0.3 < float(kept.nanmean()) < 0.7


def test_the_cone_turns_to_the_evidence():
    found = dvce(problem(classifier=Other()), **QUICK, helper="denoiser", cone=30.0)
    before, after = (found.steps[name] for name in ("angle_before", "angle_after"))
    outside = before > 31  # NaN, and so not here, where the denoiser takes the target for granted
    assert outside.float().mean() > 0.5
    assert torch.allclose(after[outside], torch.tensor(30.0), atol=0.1)


def test_the_robust_classifier_is_left_out_where_another_helps_or_none():
    task = problem(classes=3)
    robust = Problem(task.classifier, task.images, task.targets, task.keys, task.denoiser, Wrong())
    for helper in ("none", "denoiser"):
        one, other = (dvce(asked, **QUICK, helper=helper) for asked in (task, robust))
        assert torch.equal(one.images, other.images)
    assert not torch.equal(dvce(robust, **QUICK).images, dvce(task, **QUICK).images)


class Wrong(torch.nn.Module):
    def forward(self, images):
        return images.flatten(1)[:, :3] * 100


def test_a_denoiser_that_knows_no_classes_is_refused():
    from gradaudit.diffusion import Denoiser

    exact = problem().denoiser
    blind = Denoiser(lambda noisy, sigma, labels: exact(noisy, float(sigma[0]), None), shape=(1, 6, 6))
    with pytest.raises(InputError, match=r"`helper` \(='denoiser'\) must be robust or none: the denoiser knows no classes"):
        dvce(problem(denoiser=blind), **QUICK, helper="denoiser")
