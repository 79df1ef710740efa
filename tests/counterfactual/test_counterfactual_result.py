"""The result: verdict, intervals, files, figures, animation."""

import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from scipy.stats import binomtest, ttest_1samp

import gradaudit as ga
from gradaudit.instruments.counterfactual import CounterfactualResult, Solution
from gradaudit.instruments.counterfactual.search import Counterfactual
from gradaudit.instruments.counterfactual.summary import mean_of_images, share_of_images


@pytest.fixture(name="result", scope="module")
def result_fixture(toys, tmp_path_factory):
    oracles, store = {"alike": toys.classifier(scale=1.0)}, tmp_path_factory.mktemp("store")
    options = {"method": [toys.towards, "apgd(steps=5)"], "oracles": oracles, "seeds": 2, "store": store, "device": "cpu"}
    return ga.counterfactual(toys.classifier(), toys.images(12), "second", **options)


def still(problem):
    return Solution(problem.images.clone())


@pytest.mark.parametrize(
    ("orders", "label"),
    [
        ([(0, 1, 2)], "semantic"),
        ([(1, 2, 0)], "not semantic"),
        ([(0, 1, 2), (1, 2, 0)], "inconclusive"),
        ([], "inconclusive"),
    ],
)
def test_the_verdict_is_what_the_oracles_say(change, toys, orders, label):
    oracles = {f"o{place}": toys.classifier(scale=1.0, order=order) for place, order in enumerate(orders)}
    verdict = change(images=toys.images(30), oracles=oracles).verdict
    assert verdict.label == label
    assert ("without an independent oracle" in verdict.sentence) == (not orders)


def test_few_flips_no_flips_and_few_images_are_said(change, toys):
    oracles = {"alike": toys.classifier(scale=1.0)}
    none = change(images=toys.images(30), method=still, oracles=oracles).verdict
    assert none.label == "inconclusive"
    assert "nothing for an oracle to judge" in none.sentence
    assert any("only 0.0% of the images" in caveat for caveat in none.caveats)
    few = change(images=toys.images(4), oracles=oracles).verdict
    assert few.label == "inconclusive"
    assert any("few images: 4 were flipped" in caveat for caveat in few.caveats)
    assert any("no denoiser" in caveat for caveat in few.caveats)


def test_the_helper_is_no_judge(change, toys):
    helper = toys.classifier(scale=1.0)
    verdict = change(images=toys.images(30), robust=helper, oracles={"helper": helper}).verdict
    assert verdict.label == "inconclusive"
    assert any("helper is the robust helper" in caveat for caveat in verdict.caveats)


def test_an_oracle_that_sees_other_things_in_the_originals_is_doubted(change, toys):
    caveats = change(images=toys.images(30), oracles={"other": toys.classifier(scale=1.0, order=(1, 2, 0))}).verdict.caveats
    assert any("other gives only 0.0% of the originals" in caveat for caveat in caveats)
    assert any("other saw the target in" in caveat for caveat in caveats)


def test_the_summary_has_shares_and_means_with_their_intervals(change, toys):
    images = toys.images(20)
    result = change(
        images=images, method=lambda problem: toys.towards(problem, share=0.52), oracles={"o": toys.classifier(scale=1.0)}
    )
    lines = result.summary.set_index("measure")
    flipped = result.table["flipped"]
    expected = binomtest(int(flipped.sum()), 20).proportion_ci(0.95, method="exact")
    assert tuple(lines.loc["flip_rate", ["value", "low", "high", "images"]]) == pytest.approx(
        (flipped.mean(), expected.low, expected.high, 20)
    )
    agreed = result.table["agreed_o"][flipped]
    assert lines.loc["agreed_o", "value"] == pytest.approx(agreed.mean())
    assert lines.loc["agreed_o", "images"] == flipped.sum()
    test = ttest_1samp(result.table["l2"], 0).confidence_interval(0.95)
    assert tuple(lines.loc["l2", ["value", "low", "high"]]) == pytest.approx((result.table["l2"].mean(), test.low, test.high))
    assert lines.loc["seconds", "value"] > 0


@given(st.lists(st.tuples(st.integers(0, 4), st.booleans()), min_size=1, max_size=30))
def test_several_rows_of_an_image_count_once(rows):
    frame = pd.DataFrame(rows, columns=["image", "hit"])
    shares = frame["hit"].astype(float).groupby(frame["image"]).mean()
    value, low, high, count = share_of_images(frame, "hit")
    assert (value, count) == (pytest.approx(shares.mean()), len(shares))
    assert low <= value <= high
    assert mean_of_images(frame, "hit")[0] == pytest.approx(shares.mean())


def test_files_give_all_of_it_back(result, tmp_path):
    found = ga.load_result(result.save(tmp_path / "out"))
    assert isinstance(found, CounterfactualResult)
    assert found.to_json() == result.to_json()
    assert torch.equal(found.images, result.images)
    assert found.frames.keys() == result.frames.keys()
    assert all(torch.equal(found.frames[row], frames) for row, frames in result.frames.items())
    for method in result.methods:
        assert found.steps[method].keys() == result.steps[method].keys()
    assert {"counterfactual.csv", "counterfactual.svg", "counterfactual_gallery.svg", "results.json"} == {
        file.name for file in (tmp_path / "out").iterdir()
    }


def test_frames_and_steps_belong_to_their_rows(result):
    assert set(result.frames) == set(range(len(result.table)))
    for row, frames in result.frames.items():
        assert torch.equal(frames[-1], result.images[row]) or result.table["method"][row] != "towards"
    distances = result.steps["towards"]["distance"]
    expected = (result.images[:24].float() - result.originals[:24].float()).abs().sum(dim=(1, 2, 3)) / 255
    np.testing.assert_allclose(distances[:, -1], expected, atol=36 * 0.5 / 255 + 1e-4)


def test_what_the_store_holds_is_what_was_found():
    rng = np.random.default_rng(0)
    image, frames = rng.integers(0, 255, (3, 4, 5), np.uint8), rng.integers(0, 255, (2, 3, 4, 5), np.uint8)
    one = Counterfactual(image, {"angle": np.array([1.0, np.nan], np.float32)}, frames, "why", 1.5)
    back = Counterfactual.from_json(one.to_json())
    assert np.array_equal(back.image, image)
    assert np.array_equal(back.frames, frames)
    assert np.array_equal(back.steps["angle"], one.steps["angle"], equal_nan=True)
    assert (back.failed, back.seconds) == ("why", 1.5)


def test_examples_differ_before_they_repeat(result):
    shown = result.examples(6)
    pairs = [(result.table["source"][one["towards"]], result.table["target"][one["towards"]]) for one in shown]
    every = result.rows("towards")[["source", "target"]].drop_duplicates()
    assert len(set(pairs)) == min(6, len(every))
    for one in shown:
        assert {result.table["method"][row] for row in one.values()} == set(result.methods)
        assert len({result.table["image"][row] for row in one.values()}) == 1


def test_figures_show_every_method_and_example(result):
    figure = result.plot()
    assert [axes.get_title() for axes in figure.axes[1:]][:2] == ["confidence in the target", "L1 distance to the original"]
    assert len(figure.axes[0].containers) == 2
    gallery = result.gallery(3)
    assert len(gallery.axes) == 3 * 5
    shown = gallery.axes[1].images[0].get_array()
    assert np.array_equal(shown, result.images[result.examples(3)[0]["towards"]][0])


@pytest.mark.parametrize("name", ["way.webp", "way.gif"])
def test_the_animation_begins_at_the_originals_and_ends_at_the_counterfactuals(result, tmp_path, name):
    from gradaudit.instruments.counterfactual.animation import sheets

    with Image.open(result.animation(tmp_path / name, 4)) as film:
        assert film.n_frames > 3  # of the 24, those that differ
        assert film.size == (4 * 8 * 14, 2 * 8 * 14)
    first, last = sheets(result, 4)[[0, -1], :, 14 * 1 + 7, 14 * 1 + 7]
    row = result.examples(4)[0]["towards"]
    assert (int(first), int(last)) == (int(result.originals[row, 0, 0, 0]), int(result.images[row, 0, 0, 0]))


def test_an_animation_needs_frames_and_a_known_ending(change, result, tmp_path):
    with pytest.raises(ga.InputError, match="`path`"):
        result.animation(tmp_path / "way.mp4")
    with pytest.raises(ga.InputError, match="keeps frames"):
        change(method=still).animation(tmp_path / "way.gif")
    assert list(tmp_path.glob("way*")) == []


def test_images_as_files(result, tmp_path):
    folder = result.write_images(tmp_path / "images")
    assert len(list(folder.iterdir())) == 12 + len(result.table)
    row = result.table.iloc[5]
    with Image.open(folder / f"{row['image']:04d}_{row['source']}_to_{row['target']}_towards_seed{row['seed']}.png") as file:
        assert np.array_equal(np.array(file), result.images[5, 0])


def test_an_unknown_method_is_named(result):
    with pytest.raises(ga.InputError, match="one of towards, apgd"):
        result.rows("svce")
