"""Flips by region of linear classifiers, whose every flip is known: what is counted, the verdict, arguments and files."""

import numpy as np
import pandas as pd
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.instruments.counterfactual import Solution
from gradaudit.instruments.region_flips import RegionFlipsResult
from gradaudit.instruments.region_flips.instrument import INSTRUMENT
from gradaudit.instruments.region_flips.options import RegionFlipsInAudit
from gradaudit.instruments.setup import Run, Setup
from gradaudit.intervals import mean_interval, paired_interval

SIDE, RADIUS, APART = 6, 0.1, 0.08
FLIP = f"apgd(radius={RADIUS}, steps=12)"
PIXELS = SIDE * SIDE


class Linear(nn.Module):
    """Two logits, minus and plus half the weighted sum of the pixels' distances from grey; `scale` changes no class."""

    def __init__(self, weights, scale=1.0):
        super().__init__()
        self.weights, self.scale = nn.Parameter(weights), nn.Parameter(torch.tensor(scale))

    def forward(self, images):
        margin = self.scale * ((images - 0.5) * self.weights).sum(dim=(1, 2, 3))
        return torch.stack([-margin, margin], dim=1) / 2


class Constant(nn.Module):
    """The same class for every image."""

    def __init__(self, index):
        super().__init__()
        self.logits = nn.Parameter(9 * torch.eye(2)[index])

    def forward(self, images):
        return self.logits + images.mean(dim=(1, 2, 3))[:, None]


def weights(seed=0):
    """Of very different sizes, so that it matters which pixels may change."""
    return torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed)) ** 3


def drawn(margins, count, seed=0):
    """Grey images, whose pixels can go up and down by the radius, and of which no flip is a near thing: margins and reaches apart.

    Args:
        margins: from images to their distance (N,) from each boundary that matters, in units of the radius's reach.
    """
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(90, 166, (40 * count, 1, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    clear = (margins(pixels.float() / 255).abs() > APART).all(dim=1)
    kept = pixels[clear][:count]
    assert len(kept) == count
    return ga.ImageSet(kept, torch.arange(count) % 2, ("a", "b"))


def regions(scores, level):
    """The pixels of highest, and of lowest, magnitude, by sorting, (2, H, W)."""
    order, keep = scores.abs().flatten().argsort(descending=True), round(level * PIXELS)
    found = torch.zeros(2, PIXELS, dtype=torch.bool)
    found[0, order[:keep]], found[1, order[-keep:]] = True, True
    return found.view(2, SIDE, SIDE)


LEVELS = (0.25, 0.5)
OWN = torch.randn(1, SIDE, SIDE, generator=torch.Generator().manual_seed(5))


def reaches(used):
    """How far a change within the radius moves the margin: in either region at each level for both maps, and everywhere."""
    own, other = ([used[0][one].norm() for level in LEVELS for one in regions(map_, level)] for map_ in (used, OWN))
    return torch.stack([*own, *other, used.norm()]) * RADIUS


def flips(images, used):
    """Which of these flip in each of the cells of `reaches`, (cells, N): Cauchy and Schwarz."""
    margin = ((images.floats() - 0.5) * used).sum(dim=(1, 2, 3)).abs()
    return reaches(used)[:, None] > margin


@pytest.fixture(scope="module", name="world")
def world_fixture():
    used = weights()
    images = drawn(lambda x: ((x - 0.5) * used).sum(dim=(1, 2, 3)).abs()[:, None] / reaches(used) - 1, 32)
    return used, images


def run(images, used, oracles=None, **options):
    maps = [{"gradient": used.expand(len(images), -1, -1, -1)}, {"own": OWN.expand(len(images), -1, -1, -1)}]
    chosen = {"attribution": maps, "levels": LEVELS, "method": FLIP, "controls": (), "device": "cpu"} | options
    return ga.region_flips(Linear(used), images, oracles, **chosen)


@pytest.fixture(scope="module", name="result")
def result_fixture(world):
    used, images = world
    oracles = {"alike": Linear(used, 2.0), "stubborn": Constant(0)}
    return run(images, used, oracles, controls=("random",), store="memory://flips")


def test_a_linear_classifier_flips_where_the_radius_times_the_weights_there_exceeds_the_margin(world, result):
    used, images = world
    expected = flips(images, used).numpy()
    for place, name in enumerate(("gradient", "own")):
        found = result.per_image(name)
        for turn, level in enumerate(LEVELS):
            for side, one in enumerate(("top", "bottom")):
                cell = expected[4 * place + 2 * turn + side]
                assert found[f"flipped_{one}_{level:g}"].tolist() == cell.tolist()
                row = result.table[(result.table["attribution"] == name) & (result.table["level"] == level)].iloc[0]
                assert row[one] == pytest.approx(cell.mean())
    assert result.whole["value"][0] == pytest.approx(expected[-1].mean())
    top, bottom = expected[0], expected[1]
    assert 0.2 < bottom.mean() + top.mean() < 1.8
    assert bottom.mean() < top.mean()


def test_differences_and_leads_have_intervals_over_the_same_images(result):
    first, random = result.per_image("gradient"), result.per_image("random")
    row = result.rows("flipped").set_index(["attribution", "level"]).loc[("gradient", 0.25)]
    pair = [first[f"flipped_{side}_0.25"].to_numpy() for side in ("top", "bottom")]
    assert tuple(row[["difference", "low", "high"]]) == pytest.approx(paired_interval(*pair))
    ahead, behind = (one["flipped_top_0.25"].astype(int) - one["flipped_bottom_0.25"].astype(int) for one in (first, random))
    assert tuple(row[["lead", "lead_low", "lead_high"]]) == pytest.approx(mean_interval((ahead - behind).to_numpy(), -2, 2))
    assert result.table[result.table["attribution"] == "random"]["lead"].isna().all()


def test_an_oracle_confirms_what_it_sees_only_after_the_change(world, result):
    """One that is always of the same mind saw some of the classes wanted before: it confirms nothing, and so do all together."""
    rows = result.table.set_index(["attribution", "level", "measure"])[["top", "bottom"]]
    for name in ("gradient", "own"):
        for level in LEVELS:
            cell = rows.loc[(name, level)]
            assert cell.loc["confirmed by alike"].tolist() == cell.loc["flipped"].tolist()
            assert cell.loc["confirmed by stubborn"].tolist() == cell.loc["confirmed"].tolist() == [0, 0]
    assert result.details["oracles"]["stubborn"]["already"] > 0.2
    assert result.details["oracles"]["alike"] | {"fingerprint": ""} == {
        "agrees": 1.0,
        "already": 0.0,
        "helper": False,
        "fingerprint": "",
    }


def test_weights_of_one_size_make_every_map_the_same():
    """The reach depends on how many pixels may change, and not on which: random ranks, and any others, have a difference of 0."""
    used = torch.ones(1, SIDE, SIDE)
    images = drawn(lambda x: ((x - 0.5) * used).sum(dim=(1, 2, 3)).abs()[:, None] / reaches(used) - 1, 20)
    found = run(images, used, controls=("random", "edges"), store="memory://flips").table
    assert (found["difference"] == 0).all()
    assert ((found["low"] < 0) & (found["high"] > 0)).all()
    assert found["top"].between(0.05, 0.95).any()


def test_pixels_of_equal_magnitude_are_not_ranked_by_their_place():
    used = torch.zeros(1, SIDE, SIDE)
    used[:, :3] = 1.0
    images = drawn(lambda x: ((x - 0.5) * used).sum(dim=(1, 2, 3)).abs()[:, None], 40)
    maps = torch.ones(len(images), 1, SIDE, SIDE)
    row = run(images, used, attribution=maps, levels=0.5, store="memory://flips").table.iloc[0]
    by_place = [flips(images, used)[-1].float().mean(), 0]
    assert abs(row["difference"]) < 0.25 < by_place[0] - by_place[1]


def test_an_oracle_that_reads_the_signal_alone_confirms_nothing_elsewhere():
    """BlockMNIST in small: the classifier reads both halves, the truth the upper one; a map that ranks the lower one first."""
    used, signal = torch.ones(1, SIDE, SIDE), torch.zeros(1, SIDE, SIDE)
    signal[:, :3] = 1.0
    images = drawn(lambda x: ((x - 0.5) * used).sum(dim=(1, 2, 3)).abs()[:, None], 50)
    maps = (1 - signal).expand(len(images), -1, -1, -1)
    found = run(images, used, {"truth": Linear(signal)}, attribution=maps, levels=0.5, controls=("random",), store="memory://flips")
    row = found.rows().iloc[0]
    assert found.rows("flipped")["top"].iloc[0] > 0.4
    assert row["top"] == 0
    assert row["bottom"] > 0.2
    assert found.verdict.label == "upside down"
    turned = run(
        images, used, {"truth": Linear(signal)}, attribution=1 - maps, levels=0.5, controls=("random",), store="memory://flips"
    )
    assert turned.verdict.label == "decisive"
    assert turned.rows()["difference"].iloc[0] == pytest.approx(-row["difference"])


def test_without_an_oracle_the_verdict_is_open_however_large_the_difference(world):
    used, images = world
    found = run(images, used, store="memory://flips")
    assert found.measures == ("flipped",)
    assert found.table["low"].iloc[0] > 0
    assert found.verdict.label == "inconclusive"
    assert "without an independent oracle nobody can say" in found.verdict.sentence
    assert INSTRUMENT.scores(found) == {}


def test_flips_that_nobody_confirms_are_named(world):
    used, images = world
    found = run(images, used, {"stubborn": Constant(0)}, store="memory://flips")
    assert found.verdict.label in ("indifferent", "inconclusive")
    assert any("which others do not confirm" in caveat for caveat in found.verdict.caveats)
    assert any("within this radius there is little to compare" in caveat for caveat in found.verdict.caveats)
    assert any("no random control ran" in caveat for caveat in found.verdict.caveats)


def test_a_robust_helper_that_guides_is_no_judge(world):
    used, images = world
    robust = Linear(used, 2.0)

    def towards(problem):
        sign = (2 * problem.targets - 1).view(-1, 1, 1, 1)
        return Solution((problem.images + problem.within(0.1 * sign * used.sign())).clamp(0, 1))

    given = {"alike": robust, "other": Linear(used, 3.0)}
    found = run(images, used, given, robust=robust, method=towards, store="memory://flips")
    assert found.details["oracles"]["alike"]["helper"]
    assert found.measures == ("flipped", "confirmed by alike", "confirmed by other", "confirmed")
    assert any("no judge of it" in caveat for caveat in found.verdict.caveats)
    unasked = run(images, used, given, robust=robust, store="memory://flips")
    assert not unasked.details["oracles"]["alike"]["helper"]


def test_batches_change_nothing_and_finished_work_is_kept(world, tmp_path):
    used, images = world
    first = run(images[:8], used, {"alike": Linear(used, 2.0)}, store=tmp_path, batch_size=5)
    pd.testing.assert_frame_equal(first.table, run(images[:8], used, {"alike": Linear(used, 2.0)}, store="memory://others").table)


def test_a_result_comes_back_with_its_second_table(result, tmp_path):
    result.save(tmp_path)
    loaded = ga.load_result(tmp_path)
    assert isinstance(loaded, RegionFlipsResult)
    assert loaded.to_json() == result.to_json()
    assert (tmp_path / "whole.csv").read_text().count("\n") == 1 + len(result.measures)
    with pytest.raises(InputError, match="attribution"):
        result.per_image("none")


def test_the_score_is_the_mean_over_levels(world):
    used, images = world
    found = run(images, used, {"alike": Linear(used, 2.0)}, store="memory://flips")
    (score,) = INSTRUMENT.scores(found).values()
    assert score.value == pytest.approx(found.rows()[found.rows()["attribution"] == "gradient"]["difference"].mean())
    assert score.low < score.value < score.high
    assert score.better == 1
    assert INSTRUMENT.evidence(found) == ()


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"method": ["apgd", "svce"]}, "method"),
        ({"method": "dvce"}, "denoiser"),
        ({"levels": (0.5, 1.0)}, "levels"),
        ({"attribution": "nothing"}, "attribution"),
        ({"controls": ("gradient",)}, "controls"),
        ({"target": "second"}, "target"),
        ({"oracles": {"itself": Linear(weights())}}, r"oracles\['itself'\]"),
    ],
)
def test_a_bad_argument_is_named(world, changed, named):
    used, images = world
    with pytest.raises(InputError, match=named):
        run(images[:4], used, **({"store": "memory://flips"} | changed))


def test_a_single_pixel_is_refused():
    images = ga.ImageSet(torch.zeros(4, 1, 1, 1, dtype=torch.uint8), torch.arange(4) % 2, ("a", "b"))
    with pytest.raises(InputError, match="images"):
        ga.region_flips(Constant(0), images)


def test_an_audit_leaves_it_out_where_nobody_can_confirm(world, tmp_path):
    used, images = world
    run_ = Run(0, ga.Store(tmp_path), 1, "local", torch.device("cpu"), False)
    alone = Setup({"one": Linear(used)}, {}, images, images, None, None, {}, run_)
    assert "another classifier that confirms" in INSTRUMENT.lacks(alone, "one", RegionFlipsInAudit())
    pair = Setup({"one": Linear(used), "two": Linear(used, 2.0)}, {}, images, images, None, None, {}, run_)
    assert INSTRUMENT.lacks(pair, "one", RegionFlipsInAudit()) is None
    assert "denoiser" in INSTRUMENT.lacks(pair, "one", RegionFlipsInAudit(method="dvce"))
    cost = INSTRUMENT.cost(pair, "one", RegionFlipsInAudit(method="apgd(steps=3)", controls=("random",), images=10))
    assert cost.gradients == 10 * 5 * (3 + 1) + 10  # and one where each walk begins
    assert np.isfinite(cost.memory)
