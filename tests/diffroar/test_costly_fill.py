"""Costly fills: computed once, kept whole or not at all, and the same numbers as a fill that is called for every batch."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
import torch

import gradaudit as ga
from gradaudit.fills import Fill
from gradaudit.instruments.diffroar.filled_images import FilledImages, fill_images
from gradaudit.instruments.diffroar.unmasking import Split, Unmasking
from gradaudit.training import Store

GREY = 51 / 255  # a value of uint8 images: nothing is lost where they are kept


class Painter:
    """A fill that is grey, and may break off after some calls."""

    def __init__(self, calls=None):
        self.calls = calls

    def __call__(self, kept, mask):
        if self.calls is not None:
            self.calls -= 1
            if self.calls < 0:
                raise KeyboardInterrupt
        return torch.full_like(kept, GREY)


def painted(costly, calls=None):
    return Fill(Painter(calls), ("grey",), costly=costly, name="painted")


@pytest.fixture(name="run")
def run_fixture(planted):
    def run(store, fill, **options):
        chosen = {"levels": (0.2,), "seeds": 2, "controls": (), "learner": planted.recipe.with_(epochs=1), "workers": 1}
        sets = planted.images(60, 0), planted.images(30, 1)
        return ga.prepare_diffroar(
            planted.classifier(), *sets, evaluate="retrain", fill=fill, store=store, device="cpu", **(chosen | options)
        )

    return run


def filled_in(store):
    return {path: (path.stat().st_ino, path.stat().st_mtime_ns) for path in (store / "fillings").rglob("*.npy")}


@pytest.mark.parametrize("workers", [1, 2])
def test_filled_once_or_for_every_batch_the_numbers_are_the_same(run, tmp_path, workers):
    once = run(tmp_path / "once", painted(costly=True), workers=workers).run()
    always = run(tmp_path / "always", painted(costly=False)).run()
    pd.testing.assert_frame_equal(once.table, always.table)
    assert once.settings["fill"] == "painted"
    assert len(filled_in(tmp_path / "once")) == 2 * 2  # sides, training and test images; shared by seeds, and with the mask
    assert not filled_in(tmp_path / "always")


def test_the_plan_counts_them_until_no_fit_needs_them(run, tmp_path):
    plan = run(tmp_path, painted(costly=True)).plan()
    assert (plan.networks, plan.stored, plan.to_fill) == (2 * (1 + 6), 0, 4)
    assert "and 4 sets of images to fill before: about" in str(plan)
    assert not filled_in(tmp_path)
    run(tmp_path, painted(costly=True)).run()
    for path in filled_in(tmp_path):
        path.unlink()
    done = run(tmp_path, painted(costly=True)).plan()
    assert (done.stored, done.to_fill, done.seconds) == (2 * (1 + 6), 0, 0)
    run(tmp_path, painted(costly=True, calls=1)).run()  # one call is the trial: nothing is filled again
    assert not filled_in(tmp_path)


def test_a_run_that_broke_off_while_filling_continues(run, planted, tmp_path):
    with pytest.raises(KeyboardInterrupt):
        run(tmp_path / "store", painted(costly=True, calls=3)).run()
    finished = filled_in(tmp_path / "store")
    assert len(finished) == 2
    assert not list((tmp_path / "store").rglob("*.part"))
    assert not planted.fits(tmp_path / "store")
    again = run(tmp_path / "store", painted(costly=True)).run()
    assert finished.items() <= filled_in(tmp_path / "store").items()
    pd.testing.assert_frame_equal(again.table, run(tmp_path / "whole", painted(costly=True)).run().table)


def test_damaged_images_are_filled_again_with_a_warning(run, tmp_path):
    run(tmp_path, painted(costly=True), seeds=1).run()
    before = filled_in(tmp_path)
    damaged = next(iter(before))
    damaged.write_bytes(damaged.read_bytes()[:-30])
    with pytest.warns(UserWarning, match=f"damaged images in the store, {damaged}"):
        found = run(tmp_path, painted(costly=True), seeds=2).run()
    assert {path for path, mark in filled_in(tmp_path).items() if mark != before[path]} == {damaged}
    pd.testing.assert_frame_equal(found.table, run(tmp_path / "whole", painted(costly=True)).run().table)


def test_random_controls_are_filled_anew_for_every_seed(run, tmp_path):
    plan = run(tmp_path, painted(costly=True), controls=("random", "edges"), seeds=3).plan()
    assert plan.to_fill == 4 * (1 + 1 + 3)


def test_kept_features_have_their_very_values_and_the_others_the_fills(tmp_path):
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (700, 3, 20, 20), dtype=np.uint8)  # more than one chunk
    ranks = np.stack([rng.permutation(400) - 200 for _ in range(700)]).astype(np.int16)
    split = Split(images, np.zeros(700, np.int64), ranks, ("images", "ranking"))
    wanted = FilledImages(Unmasking(100, "top", "image", painted(costly=True)), split, torch.device("cpu"))
    fill_images(wanted, Store(tmp_path))
    kept = (ranks < -100).reshape(-1, 1, 20, 20)
    np.testing.assert_array_equal(wanted.read(Store(tmp_path)).images, np.where(kept, images, 51))
