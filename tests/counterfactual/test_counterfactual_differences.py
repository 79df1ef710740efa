"""Counterfactual differences: what a counterfactual changes, as scores for other instruments."""

from types import SimpleNamespace

import pytest
import torch

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual import Solution, counterfactual_differences


@pytest.fixture(name="differ")
def differ_fixture(toys, tmp_path):
    """`counterfactual_differences` of ten bars by the stand-in method."""

    def run(images=None, targets="second", **options):
        given = toys.images(10) if images is None else images
        options = {"method": toys.towards, "device": "cpu", "store": tmp_path / "differences"} | options
        return counterfactual_differences(options.pop("classifier", toys.classifier()), given, targets, **options)

    return run


@pytest.mark.parametrize("method", ["towards", "svce(steps=4)", "apgd(steps=4)"])
def test_they_are_counterfactual_less_image(toys, change, differ, method):
    images, method = toys.images(10), toys.towards if method == "towards" else method
    found = change(images=images, method=method, seed=3)
    expected = (found.images.float() - found.originals.float()) / 255
    torch.testing.assert_close(differ(images, method=method, seed=3), expected)


def test_seeds_draw_anew_and_batches_do_not(differ):
    one = differ(method="svce(steps=4)", seed=0, batch_size=10)
    assert not torch.equal(one, differ(method="svce(steps=4)", seed=1))
    torch.testing.assert_close(one, differ(method="svce(steps=4)", seed=0, batch_size=3, store=None), atol=1 / 255, rtol=0)


def test_an_image_without_a_counterfactual_has_none(toys, differ):
    def half(problem):
        images = toys.towards(problem).images
        images[::2] = float("nan")
        return Solution(images)

    found = differ(method=half, batch_size=10)
    assert (found[::2] == 0).all()
    assert (found[1::2].flatten(1).abs().amax(dim=1) > 0.5).all()


def test_a_run_that_stopped_continues(toys, differ):
    seen = SimpleNamespace(batches=[], broken=True)  # whose class alone counts for the store

    def counted(problem):
        if seen.broken and len(seen.batches) == 2:
            raise KeyboardInterrupt
        seen.batches.append(len(problem.images))
        return toys.towards(problem)

    with pytest.raises(KeyboardInterrupt):
        differ(method=counted, batch_size=4)
    seen.broken = False
    again = differ(method=counted, batch_size=4)
    torch.testing.assert_close(again, differ())
    assert seen.batches == [4, 4, 2]


def test_the_way_there_is_not_kept(differ, tmp_path):
    differ()
    kept = [file.read_text() for file in (tmp_path / "differences").rglob("*.json")]
    assert len(kept) == 10
    assert all('"frames": null' in text and '"steps": {}' in text for text in kept)


def test_helpers_that_a_method_does_not_ask_change_no_key(toys, differ, tmp_path):
    differ(method="apgd(steps=2)")
    before = {*(tmp_path / "differences").rglob("*.json")}
    differ(method="apgd(steps=2)", robust=toys.classifier(3.0), denoiser=ga.gaussian_mixture(classes=3, shape=(1, 6, 6)).denoiser())
    assert {*(tmp_path / "differences").rglob("*.json")} == before


def test_they_are_an_attribution_of_diffroar(toys, differ, tmp_path):
    train, test = toys.images(90), toys.images(30, seed=1)
    scores = differ(train), differ(test)
    learner = ga.Recipe(network="mlp(width=16)", epochs=8, learning_rate=0.1)
    result = ga.diffroar(
        toys.classifier(),
        train,
        test,
        {"differences": scores},
        evaluate="retrain",
        learner=learner,
        levels=(0.3,),
        seeds=2,
        controls=(),
        mask_only=False,
        workers=1,
        device="cpu",
        store=tmp_path / "store",
    )
    row = result.summary.iloc[0]
    # Bars are bright or dark: what changes most is all that tells the class, and the rest is noise.
    assert row["top"] > 0.9
    assert row["mean"] > 0.3


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"targets": "all"}, "targets"),
        ({"targets": [0] * 10}, "targets"),
        ({"method": ["svce", "apgd"]}, "method"),
        ({"method": "svc"}, "method"),
        ({"method": "dvce"}, "denoiser"),
        ({"images": torch.rand(2, 1, 6, 6)}, "images"),
        ({"seed": -1}, "seed"),
        ({"batch_size": 0}, "batch_size"),
        ({"classifier": torch.nn.Linear(5, 3)}, "classifier"),
        ({"robust": torch.nn.Linear(6, 2)}, "robust"),
        ({"device": "nowhere"}, "device"),
    ],
)
def test_bad_arguments_are_named(differ, changes, named):
    with pytest.raises(InputError, match=named):
        differ(**changes)
