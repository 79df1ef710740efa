"""Counterfactuals of one image that repel each other, where the target class lies in two places at the same distance."""

from dataclasses import replace

import pytest
import torch

import gradaudit as ga
from gradaudit.diffusion.mixture import GaussianMixture
from gradaudit.instruments.counterfactual.arguments import resolve_methods
from gradaudit.instruments.counterfactual.guidance.adaptive import AdaptivePull
from gradaudit.instruments.counterfactual.guidance.repulsion import away_from_found
from gradaudit.instruments.counterfactual.instrument import cost_of
from gradaudit.instruments.counterfactual.methods.blended import blended
from gradaudit.instruments.counterfactual.methods.dvce import dvce
from gradaudit.instruments.counterfactual.problem import Problem

SHAPE, FEATURES, IMAGES = (1, 6, 6), 36, 6
WAY = torch.ones(FEATURES, dtype=torch.float64)
WAY[::2] = -1
WAY *= 0.25 / WAY.norm() * 2
CENTRE = torch.full((FEATURES,), 0.5, dtype=torch.float64)
# Class 0 in the middle, class 1 on both sides of it: clusters that mirror each other.
MIXTURE = GaussianMixture(
    torch.stack([CENTRE, CENTRE, CENTRE + WAY, CENTRE - WAY]), torch.zeros(4, 0, FEATURES).double(), SHAPE, 2, 0.03, 0.03
)
DVCE = "dvce(steps=40, class_strength=0.8)"
QUICK = {"steps": 40, "class_strength": 0.8}
WAYS = [(dvce, QUICK | {"guidance": guidance}, 1.0) for guidance in ("exact", "combined", "none")]
WAYS += [(blended, {"steps": 40, "class_strength": 0.05, "l2_strength": 0.0}, 0.5)]  # its gradients are not rescaled


def images(count=IMAGES):
    pixels = torch.full((count, *SHAPE), 128, dtype=torch.uint8) + torch.arange(count, dtype=torch.uint8)[:, None, None, None]
    return ga.ImageSet(pixels, torch.zeros(count, dtype=torch.int64), ("middle", "sides"))


def problem(**given):
    originals = images().floats()
    keys = tuple(range(IMAGES))
    targets = torch.ones(IMAGES, dtype=torch.int64)
    return Problem(MIXTURE.bayes_classifier().eval(), originals, targets, keys, MIXTURE.denoiser(), **given)


def sides(found):
    """+1 or -1: in which cluster of the class; 0 in none."""
    flat = found.flatten(1).double()
    near = torch.cdist(flat, MIXTURE.means[2:])
    return torch.where(near.min(dim=1).values < WAY.norm() / 2, 1 - 2 * near.argmin(dim=1), 0)


@pytest.mark.parametrize(("function", "options", "repulsion"), WAYS)
def test_the_second_goes_to_the_other_cluster(function, options, repulsion):
    first = function(problem(), **options).images
    assert (sides(first) != 0).all()
    again = replace(problem(), keys=tuple(range(100, 100 + IMAGES)))
    alone = function(again, **options).images
    repelled = function(replace(again, found=first[:, None], repulsion=repulsion), **options).images
    assert (sides(repelled) == -sides(first)).all()
    assert (sides(alone) == sides(first)).any()  # which another seed alone does not do


def found_by(tmp_path, count=IMAGES, **options):
    given = {"method": DVCE, "seeds": 2, "device": "cpu", "store": tmp_path} | options
    classifier, denoiser = MIXTURE.bayes_classifier(), MIXTURE.denoiser()
    return ga.counterfactual(classifier, images(count), 1, denoiser, **given)


def members(result, turn, size=2):
    return result.images[turn::size]


def test_a_set_shows_both_ways_its_diversity_says_so_and_the_gallery_shows_it(tmp_path):
    plain, repelled = found_by(tmp_path), found_by(tmp_path, repulsion=1.0)
    assert (sides(members(repelled, 0)) == -sides(members(repelled, 1))).all()
    assert torch.equal(members(repelled, 0), members(plain, 0))
    assert not torch.equal(members(repelled, 1), members(plain, 1))
    diversity = [one.summary.set_index("measure").loc["diversity_l2", "value"] for one in (plain, repelled)]
    assert diversity[1] == pytest.approx(2 * float(WAY.norm()), rel=0.2)
    assert diversity[1] > 1.1 * diversity[0]
    assert (plain.settings["repulsion"], repelled.settings["repulsion"]) == (0, 1.0)
    titles = [axes.get_title() for axes in repelled.gallery(1).axes]
    assert [title.partition("\n")[0] for title in titles] == [titles[0], *["dvce(class_strength=0.8, steps=40)", "difference"] * 2]
    assert len(plain.gallery(1).axes) == 3


def test_a_repelled_set_is_kept_by_what_repelled_it_and_read_back(tmp_path, monkeypatch):
    whole = found_by(tmp_path, seeds=3, repulsion=1.0)
    monkeypatch.setattr("gradaudit.instruments.counterfactual.search.Search._batch", None)  # nothing is left to find
    again = found_by(tmp_path, seeds=3, repulsion=1.0)
    assert torch.equal(again.images, whole.images)
    with pytest.raises(TypeError):
        found_by(tmp_path, seeds=3, repulsion=0.4)


def test_a_batch_changes_nothing(tmp_path):
    one, all_ = (found_by(tmp_path / str(size), 3, seeds=3, repulsion=1.0, batch_size=size).images for size in (1, 16))
    assert (one.int() - all_.int()).abs().max() <= 1


def test_the_page_shows_every_member(tmp_path):
    from gradaudit.instruments.counterfactual.section import counterfactual_section

    body = str(counterfactual_section({"bayes": found_by(tmp_path, 1, repulsion=1.0)}).body)
    assert "1 of 2" in body
    assert "2 of 2" in body
    assert "pushed away from the nearest" in body
    assert "pushed away from the nearest" not in str(counterfactual_section({"bayes": found_by(tmp_path, 1)}).body)


def test_without_strength_what_was_found_changes_nothing_bit_for_bit():
    task = problem()
    found = dvce(replace(task, found=torch.rand(IMAGES, 2, *SHAPE)), **QUICK)
    assert torch.equal(found.images, dvce(task, **QUICK).images)


def test_the_direction_is_away_from_the_nearest_that_did_not_fail():
    task = problem()
    near, far, failed = task.images + 0.1, task.images - 0.3, torch.full_like(task.images, torch.nan)
    found = torch.stack([far, failed, near], dim=1)
    away = away_from_found(replace(task, found=found, repulsion=1.0), task.images)
    assert torch.allclose(away, torch.full_like(away, -0.1), atol=1e-6)
    alone = away_from_found(replace(task, found=failed[:, None], repulsion=1.0), task.images)
    assert (alone == 0).all()
    assert away_from_found(replace(task, found=found), task.images) is None


def test_a_repulsion_of_one_is_as_long_as_the_noise():
    from tests.counterfactual.test_tangent_guidance import point

    task = problem(found=torch.rand(IMAGES, 1, *SHAPE), repulsion=0.7)
    place = point(task)
    pull, _ = AdaptivePull(task, 0.0, 0.0, guidance="none")(place)
    assert torch.allclose(pull.flatten(1).norm(dim=1), 0.7 * place.noise.flatten(1).norm(dim=1), rtol=1e-4)
    assert ((pull * (place.images - task.found[:, 0])).flatten(1).sum(1) > 0).all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"repulsion": -1}, "`repulsion`.*0 or more"),
        ({"repulsion": 0.5, "seeds": 1}, "`repulsion`.*seeds=2"),
        ({"repulsion": 0.5, "method": [DVCE, "svce"]}, "`repulsion`.*0 with svce"),
    ],
)
def test_what_cannot_repel_is_refused(tmp_path, options, message):
    with pytest.raises(ga.InputError, match=message):
        found_by(tmp_path, **options)


def test_the_fourth_way_back_is_counted():
    def denoised(text, repelled):
        (method,) = resolve_methods(text).values()
        return cost_of(method, 10, images(), repelled).denoised

    assert denoised("dvce(steps=40)", 5) == denoised("dvce(steps=40)", 0) + 5 * 20
    assert denoised("dvce(steps=40, guidance=none)", 5) == denoised("dvce(steps=40, guidance=none)", 0)
