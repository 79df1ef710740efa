"""Intervals against scipy's t test and by simulation; the verdict on constructed tables."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from gradaudit.instruments.diffroar.measures import COLUMNS, MEASURES
from gradaudit.instruments.diffroar.statistics import image_variance, interval, summarise
from gradaudit.instruments.diffroar.verdict import conditional_verdict, disagreement, verdict

FINE = 1e-9  # a resolution too fine to matter


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=2, max_size=12).filter(lambda values: np.std(values) > 1e-3), st.integers(1, 20))
def test_intervals_are_those_of_a_t_test(values, comparisons):
    found = interval(values, comparisons, FINE)
    test = stats.ttest_1samp(values, 0)
    one, every = (test.confidence_interval(1 - 0.05 / number) for number in (1, comparisons))
    np.testing.assert_allclose((found.low, found.high), one, atol=1e-9)
    np.testing.assert_allclose((found.low_all, found.high_all), every, atol=1e-9)
    assert found.mean == pytest.approx(np.mean(values))


def test_one_seed_has_no_interval():
    found = interval([0.3], 4, 0.001)
    assert found.mean == 0.3
    assert all(np.isnan(value) for value in (found.low, found.high, found.low_all, found.high_all, found.detectable))


def test_equal_seeds_are_no_more_certain_than_one_test_image():
    found, spread = interval([0.25] * 4, 1, 0.01), 0.01 / 2 * stats.t.ppf(0.975, 3)
    assert (found.low, found.high) == pytest.approx((0.25 - spread, 0.25 + spread))


def draws(shift, seeds, runs=4000, comparisons=1):
    return np.random.default_rng(0).normal(shift, 1, (runs, comparisons, seeds))


@pytest.mark.parametrize(("seeds", "comparisons"), [(2, 1), (5, 1), (5, 4), (3, 8)])
def test_intervals_cover_the_truth_as_often_as_they_say(seeds, comparisons):
    covered = [
        all(found.low_all <= 0.3 <= found.high_all for found in (interval(values, comparisons, FINE) for values in run))
        for run in draws(0.3, seeds, 1500, comparisons)
    ]
    # Bonferroni's bound is nearly exact for independent levels: (1 - 0.05/m)^m.
    assert abs(np.mean(covered) - (1 - 0.05 / comparisons) ** comparisons) < 3.5 * np.sqrt(0.05 * 0.95 / 1500)


@pytest.mark.parametrize(("seeds", "comparisons"), [(2, 1), (2, 4), (3, 4), (5, 1), (5, 4), (10, 10)])
def test_a_detectable_difference_is_found_four_times_in_five(seeds, comparisons):
    """With the spread known, so that the only question is the shift: error = spread / sqrt(seeds)."""
    calm = np.linspace(-1, 1, seeds) / np.std(np.linspace(-1, 1, seeds), ddof=1)
    shift = interval(calm, comparisons, FINE).detectable
    values = draws(shift, seeds, runs=40_000)[:, 0]
    critical = stats.t.ppf(1 - 0.025 / comparisons, seeds - 1)
    found = values.mean(axis=1) / (values.std(axis=1, ddof=1) / np.sqrt(seeds)) > critical
    assert abs(found.mean() - 0.8) < 0.01


def crossed(rng, seeds, images, of_seeds, of_images, of_both):
    """Differences with a known spread over seeds, over images, and of both together; the true mean is 0."""
    return (
        of_seeds * rng.normal(size=(seeds, 1))
        + of_images * rng.normal(size=(1, images))
        + of_both * rng.normal(size=(seeds, images))
    )


def test_the_image_part_is_that_of_the_crossed_model():
    rng = np.random.default_rng(0)
    parts = [image_variance(crossed(rng, 4, 300, 0.02, 0.5, 0.7)) for _ in range(300)]
    assert np.mean(parts) == pytest.approx(0.5**2 / 300, rel=0.05)


def analysis_of_variance(differences):
    """Mean squares of images and of the residual, one cell at a time (Searle, Casella and McCulloch, section 4.3)."""
    seeds, images = differences.shape
    mean = differences.sum() / differences.size
    by_seed = [sum(differences[seed]) / images for seed in range(seeds)]
    by_image = [sum(differences[:, image]) / seeds for image in range(images)]
    cells = [
        (differences[seed, image] - by_seed[seed] - by_image[image] + mean) ** 2 for seed in range(seeds) for image in range(images)
    ]
    of_images = seeds * sum((one - mean) ** 2 for one in by_image) / (images - 1)
    return of_images, sum(cells) / ((seeds - 1) * (images - 1))


@pytest.mark.parametrize("shape", [(2, 3), (3, 2), (4, 7), (5, 12)])
@pytest.mark.parametrize(("of_images", "mean"), [(2.0, 0.0), (2.0, 3.0), (0.0, -1.0)])
def test_the_image_part_is_the_difference_of_mean_squares_and_never_below_0(shape, of_images, mean):
    rng = np.random.default_rng(0)
    signs = set()
    for _ in range(20):
        differences = mean + crossed(rng, *shape, 0.5, of_images, 1.0)
        images, residual = analysis_of_variance(differences)
        signs.add(images > residual)
        assert image_variance(differences) == pytest.approx(max(images - residual, 0) / differences.size, abs=1e-12)
    assert True in signs
    assert of_images or False in signs  # which a variance below 0 would show


def test_one_seed_leaves_no_residual_to_take_away():
    differences = np.array([[0.0, 1.0, 0.0, -1.0, 1.0]])
    assert image_variance(differences) == pytest.approx(np.var(differences, ddof=1) / 5)


@pytest.mark.parametrize("part", [0.0, 0.001, 0.004, 0.1])
def test_seeds_and_images_add_up_with_satterthwaites_degrees_of_freedom(part):
    values, images = [0.1, 0.25, 0.4, 0.2], 50
    of_seeds = np.var(values, ddof=1) / 4
    variance = of_seeds + part
    freedom = variance**2 / (of_seeds**2 / 3 + part**2 / (images - 1))
    found = interval(values, 6, FINE, part, images)
    for ends, comparisons in (((found.low, found.high), 1), ((found.low_all, found.high_all), 6)):
        half = stats.t.ppf(1 - 0.025 / comparisons, freedom) * np.sqrt(variance)
        assert ends == pytest.approx((np.mean(values) - half, np.mean(values) + half))


def test_the_image_part_of_images_that_do_not_differ_is_nearly_nothing():
    assert image_variance(np.ones((3, 50))) == 0
    rng = np.random.default_rng(0)
    assert np.mean([image_variance(crossed(rng, 4, 300, 0.1, 0, 0.7)) for _ in range(200)]) < 0.1 * 0.7**2 / 1200


@pytest.mark.parametrize(
    ("seeds", "of_seeds", "of_images", "of_both"), [(2, 0.001, 0.5, 0.5), (5, 0.02, 0.5, 0.5), (5, 0.05, 0.2, 0.6), (3, 0, 0.6, 0)]
)
def test_intervals_cover_the_truth_of_all_images_not_of_the_sample(seeds, of_seeds, of_images, of_both):
    rng = np.random.default_rng(1)
    covered = []
    for _ in range(800):
        differences = crossed(rng, seeds, 400, of_seeds, of_images, of_both)
        found = interval(differences.mean(axis=1), 1, FINE, image_variance(differences), 400)
        covered.append(found.low <= 0 <= found.high)
    assert 0.93 <= np.mean(covered) <= 0.985


def table_of(means, seeds=5, spread=0.002, name="ours", masks=(np.nan, np.nan), tops=0.6):
    """Rows with given mean DiffROARs, level by level, scattered evenly over the seeds by about `spread`."""
    steps = np.linspace(-1, 1, seeds) * spread if seeds > 1 else np.zeros(1)
    rows = [
        (name, level, seed, tops, tops - mean - step, mean + step, *masks)
        for level, mean in zip((0.05, 0.125, 0.4), means, strict=False)
        for seed, step in enumerate(steps)
    ]
    return pd.DataFrame(rows, columns=["attribution", "level", "seed", "top", "bottom", "diffroar", "mask_top", "mask_bottom"])


def judged(*tables, controls=(), test_images=1000, whole=1.0):
    return verdict(summary_of(pd.concat(tables), test_images), "ours", controls, chance=0.1, whole=whole)


def summary_of(table, test_images=1000):
    """As if the test images were no sample: the seeds alone decide."""
    parts = {name: [0.0] * table["level"].nunique() for name in table["attribution"]}
    return summarise(table, test_images, {f"{measure.prefix}image_variance": parts for measure in MEASURES})


@pytest.mark.parametrize(
    ("means", "label", "words"),
    [
        ((0.3, 0.2, 0.1), "holds", "top-ranked features carry more .* at 5%, 12.5%, 40%"),
        ((0.3, 0.2, 0.0), "holds", "at 5%, 12.5% "),
        ((-0.3, -0.2, -0.1), "violated", "at 5%, 12.5%, 40% the bottom-ranked"),
        ((0.0, 0.0, -0.1), "violated", "at 40% the bottom-ranked .*-0.100, "),
        ((0.3, 0.2, -0.1), "violated", "at 40% .* above 0 at 5%, 12.5%"),
        ((0.3, 0.0, 0.0), "inconclusive", "is above 0 at 5% only; this run could have detected 0.00"),
        ((0.0, 0.0, 0.0), "inconclusive", "differs from 0 at no level; this run could have detected 0.00"),
    ],
)
def test_verdicts(means, label, words):
    found = judged(table_of(means))
    assert found.label == label
    assert pd.Series([found.sentence]).str.contains(words, regex=True).all(), found.sentence
    assert found.caveats == ()


def test_half_of_the_levels_is_enough_to_hold():
    assert judged(table_of((0.3, 0.0))).label == "holds"


def test_one_seed_is_inconclusive():
    found = judged(table_of((0.3, 0.3, 0.3), seeds=1))
    assert found.label == "inconclusive"
    assert "one seed" in found.sentence


def test_a_difference_of_less_than_a_test_image_is_inconclusive_though_no_seed_differs():
    assert judged(table_of((0.0005,) * 3, spread=0)).label == "inconclusive"
    assert judged(table_of((0.05,) * 3, spread=0)).label == "holds"


def test_the_sentence_gives_the_interval_that_decides():
    table = table_of((0.3,), seeds=2, spread=0.02)
    found = judged(table, table_of((0.3, 0.3, 0.3), seeds=2, name="other"))
    row = summary_of(pd.concat([table, table_of((0.3, 0.3, 0.3), seeds=2, name="other")])).iloc[0]
    assert row["low"] > 0 > row["low_all"]
    assert found.label == "inconclusive"
    assert f"{row['detectable']:.3f}" in found.sentence


def test_a_run_that_could_detect_nothing_says_so():
    assert "any difference; use more seeds" in judged(table_of((0.1, 0.1, 0.1), seeds=2, spread=0.2)).sentence


def test_more_levels_need_more_evidence():
    one, three = judged(table_of((0.02,), seeds=3, spread=0.006)), judged(table_of((0.02,) * 3, seeds=3, spread=0.006))
    assert (one.label, three.label) == ("holds", "inconclusive")


@pytest.mark.parametrize(
    ("control", "spread", "levels"),
    [
        ((0.4, 0.1, 0.05), 0.002, "5%"),
        ((0.3, 0.2, 0.05), 0.002, "5%, 12.5%"),
        ((0.2, 0.1, 0.05), 0.002, None),  # worse
        ((0.4, 0.4, 0.4), 1.0, None),  # better by chance alone
    ],
)
def test_a_control_that_is_as_good_is_named(control, spread, levels):
    found = judged(table_of((0.3, 0.2, 0.1)), table_of(control, name="edges", spread=spread), controls=("edges",))
    assert len(found.caveats) == (levels is not None)
    if levels:
        assert found.caveats[0].startswith("the control edges")
        assert found.caveats[0].endswith(f"at {levels}")


def test_a_random_control_near_zero_is_no_caveat_of_a_violation():
    violated, noise = table_of((-0.3, -0.2, -0.1)), table_of((0.001, 0.0005, 0.001), name="random", spread=0.004)
    assert judged(violated, noise, controls=("random",)).caveats == ()


@pytest.mark.parametrize(
    ("masks", "sides"),
    [
        ((0.1, 0.1), []),
        ((0.6, 0.1), ["top"]),
        ((0.36, 0.1), ["top"]),  # just over half of what the pixels give above chance, (0.6 - 0.1) / 2
        ((0.34, 0.1), []),
        ((0.1, 0.9), ["bottom"]),
        ((0.6, 0.9), ["top", "bottom"]),
        ((np.nan, np.nan), []),
    ],
)
def test_a_mask_that_speaks_is_named(masks, sides):
    found = judged(table_of((0.1, 0.1, 0.1), masks=masks))
    assert [caveat.split()[4] for caveat in found.caveats] == sides


def test_a_part_that_says_more_than_the_whole_is_named():
    found = judged(table_of((0.1, 0.1, 0.1)), whole=0.55)
    assert len(found.caveats) == 1
    assert found.caveats[0].startswith("learners reach 0.600 from the top")
    assert "0.550 from whole images" in found.caveats[0]
    assert judged(table_of((0.1, 0.1, 0.1)), whole=0.59).caveats == ()


@pytest.mark.parametrize(("whole", "said"), [(0.15, True), (0.2, False), (0.9, False)])
def test_learners_that_hardly_learned_are_named_first(whole, said):
    found = judged(table_of((0.1, 0.1, 0.1), masks=(0.6, 0.9)), whole=whole)  # a constant answer reaches 0.1
    first = f"learners of whole images reach {whole:.3f}, a constant answer 0.100: they have hardly"
    assert found.caveats[0].startswith(first) == said
    assert any("hardly learned" in caveat for caveat in found.caveats) == said


@pytest.mark.parametrize(("side", "other"), [("top", "bottom"), ("bottom", "top")])
def test_learners_that_fall_behind_those_who_see_less_are_named(side, other):
    table = table_in_bits((OPEN,) * 3, ((0.5, 0.1),) * 3)
    table.loc[table["level"] == 0.125, f"mask_{side}"] = 0.8
    table[f"mask_{other}"] = 0.54  # and 0.5 with the pixels: within what seeds do
    found = conditional_verdict(summary_of(table), "ours", (), nothing=3.0)
    assert len(found.caveats) == 1
    assert found.caveats[0].startswith(f"learners of the {side} 12.5% and their mask reach 0.500, those of the mask alone 0.800")


def test_a_faint_mask_beside_pixels_that_say_nothing_is_no_caveat():
    assert judged(table_of((0.0, 0.0, 0.0), masks=(0.15, 0.15), tops=0.1)).caveats == ()


def test_a_table_of_before_bits_were_measured_is_summarised_without_them():
    summary = summary_of(table_of((0.3, 0.2, 0.1)))
    assert summary[["mean", "low", "high_all", "detectable"]].notna().all(axis=None)
    assert summary[["bits_mean", "conditional_mean", "conditional_low", "bits_both_top"]].isna().all(axis=None)
    assert conditional_verdict(summary, "ours", (), nothing=3.0) is None


def table_in_bits(masks, pixels, seeds=5, spread=0.002, name="ours"):
    """Rows in which masks leave (top, bottom) bits open, level by level, and the pixels then add (top, bottom) bits."""
    rows = []
    for level, mask, added in zip((0.05, 0.125, 0.4), masks, pixels, strict=False):
        for step in np.linspace(-1, 1, seeds) * spread:
            row = dict.fromkeys(COLUMNS, 0.5) | {"attribution": name, "level": level, "seed": 0}
            for side, one, more in zip(("top", "bottom"), mask, added, strict=True):
                row |= {f"bits_mask_{side}": one, f"bits_both_{side}": one - more - (step if side == "top" else 0)}
            rows.append(row | {measure.column: measure.of(row) for measure in MEASURES})
    return pd.DataFrame(rows, columns=list(COLUMNS))


OPEN, CLOSED = (1.0, 0.8), (0.01, 0.02)


@pytest.mark.parametrize(
    ("masks", "pixels", "label", "words", "caveats"),
    [
        ((OPEN,) * 3, ((0.5, 0.1),) * 3, "holds", r"beyond what the shape of the mask tells, the top-ranked .*\+0.400 bits", 0),
        ((OPEN,) * 3, ((0.1, 0.5),) * 3, "violated", r"tells, at 5%, 12.5%, 40% the bottom-ranked .*-0.400 bits", 0),
        ((OPEN,) * 3, ((0.2, 0.2),) * 3, "inconclusive", r"conditional DiffROAR differs from 0 at no level; .* bits", 0),
        ((CLOSED,) * 3, ((0.0, 0.0),) * 3, "inconclusive", r"at every level the masks alone tell .* 0.010 \(top\) and 0.020", 0),
        ((CLOSED, OPEN, CLOSED), ((0, 0), (0.5, 0.1), (0, 0)), "holds", r"at 12.5% \(", 1),
        (((1.0, 0.01),) * 3, ((0.5, 0.0),) * 3, "holds", "top-ranked", 1),
    ],
    ids=["top", "bottom", "same", "told", "told at two levels", "no room"],
)
def test_conditional_verdicts(masks, pixels, label, words, caveats):
    summary = summary_of(table_in_bits(masks, pixels))
    np.testing.assert_allclose(summary["conditional_mean"], [top - bottom for top, bottom in pixels], atol=1e-12)
    found = conditional_verdict(summary, "ours", (), nothing=3.0)
    assert found.label == label
    assert re.search(words, found.sentence), found.sentence
    assert len(found.caveats) == caveats


def test_a_control_that_is_as_good_given_the_mask_is_named():
    tables = [table_in_bits((OPEN,) * 3, ((0.5, 0.1),) * 3, name=name) for name in ("ours", "edges")]
    found = conditional_verdict(summary_of(pd.concat(tables)), "ours", ("edges",), nothing=3.0)
    assert found.caveats == (
        "the control edges, which knows no classifier, reaches the same conditional DiffROAR or more at 5%, 12.5%, 40%",
    )


def test_only_another_answer_given_the_mask_is_a_disagreement():
    raw = judged(table_of((0.3, 0.2, 0.1)))
    same, other = (
        conditional_verdict(summary_of(table_in_bits((OPEN,) * 3, (added,) * 3)), "ours", (), nothing=3.0)
        for added in ((0.5, 0.1), (0.1, 0.5))
    )
    assert disagreement(raw, None) == disagreement(raw, same) == ()
    assert disagreement(raw, other) == (f"with the mask known the answer is another, violated: {other.sentence}",)
