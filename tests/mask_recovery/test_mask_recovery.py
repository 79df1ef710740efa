"""Mask recovery where the answer is known: fills that show the mask, and fills that cannot."""

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.errors import InputError
from gradaudit.instruments.mask_recovery import mask_recovery
from gradaudit.instruments.mask_recovery.verdict import judge, overall

SIDE, CLASSES = 8, 2
FAST = {"device": "cpu", "workers": 1, "levels": (0.25,), "sides": "top", "seeds": 1}
LEARNER = ga.Recipe(network="linear", epochs=8, batch_size=32)


def images(count, seed, channels=1):
    """Bright noise, so that no removed value looks like a kept one when it is filled with 0."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(80, 256, (count, channels, SIDE, SIDE), generator=generator, dtype=torch.uint8)
    return ga.ImageSet(pixels, torch.arange(count) % CLASSES, ("a", "b"))


def by_label(classifier, pixels, targets):
    """Scores that rank one half of the pixels high for each class, and draw within it: the mask tells the label."""
    scores = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(int(pixels.sum() * 100) % 2**31))
    scores[targets == 0, :, : SIDE // 2] += 1
    scores[targets == 1, :, SIDE // 2 :] += 1
    return scores


def blind(kept, mask):
    """Forgets everything: what it returns at kept values does not count, so these are made equal in `grey` images."""
    return torch.full_like(kept, 128 / 255)


def network(channels=1):
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(channels * SIDE * SIDE, 16), nn.Tanh(), nn.Linear(16, CLASSES))


@pytest.fixture(name="sets", scope="module")
def sets_fixture():
    return images(400, 0), images(150, 1)


@pytest.fixture(name="seen", scope="module")
def seen_fixture(sets, tmp_path_factory):
    options = FAST | {"seeds": 2, "sides": ("bottom", "top"), "fills": ("zero", blind)}
    return mask_recovery(network(), *sets, by_label, learner=LEARNER, epochs=5, store=tmp_path_factory.mktemp("store"), **options)


def value(result, fill, measure, side="top"):
    return result.rows(measure, result.settings["levels"][0], side).loc[fill]


def test_zeros_among_bright_pixels_show_the_mask_and_the_label_with_it(seen):
    assert value(seen, "zero", "auroc")["value"] > 0.99
    assert value(seen, "zero", "share")["value"] > 0.9
    assert value(seen, "zero", "label")["value"] > 0.95
    assert value(seen, "zero", "label")["seen"] > 0.95
    assert seen.verdicts["zero"].label == "visible"


def test_the_entropy_is_that_of_the_masks(seen):
    """A quarter of the pixels lies in one half or the other: each is kept with chance 1/4."""
    entropy = -(0.25 * np.log2(0.25) + 0.75 * np.log2(0.75))
    assert value(seen, "zero", "bits")["seen"] == pytest.approx(entropy, abs=0.02)
    share, bits = (value(seen, "zero", measure)["value"] for measure in ("share", "bits"))
    assert share == pytest.approx(bits / value(seen, "zero", "bits")["seen"], rel=0.01)


def test_a_mask_that_leaves_no_trace_is_hidden(tmp_path):
    """Images without content, filled with their own value: nothing can be told, neither mask nor label."""
    train, test = (
        ga.ImageSet(torch.full_like(one.images, 128), one.labels, one.classes) for one in (images(600, 0), images(200, 1))
    )

    def scores(classifier, pixels, targets):
        found = torch.rand(pixels.shape, generator=torch.Generator().manual_seed(int(targets.sum())))
        found[targets == 0, :, : SIDE // 2] += 1
        return found

    result = mask_recovery(network(), train, test, scores, fills=blind, learner=LEARNER, store=tmp_path, **FAST)
    assert value(result, "blind", "auroc")["value"] == 0.5
    assert abs(value(result, "blind", "share")["value"]) < 0.02
    assert value(result, "blind", "label")["value"] == pytest.approx(0.5, abs=0.01)
    assert value(result, "blind", "label")["seen"] > 0.9
    assert result.verdict.label == "hidden"


def test_the_table_has_every_measure_of_every_fill(seen):
    assert list(seen.table.columns) == ["fill", "level", "side", "measure", "value", "low", "high", "hidden", "seen"]
    rows = seen.table[["fill", "side", "measure"]].itertuples(index=False, name=None)
    measures = ("auroc", "bits", "share", "label")
    assert list(rows) == [(fill, side, one) for fill in ("zero", "blind") for side in ("top", "bottom") for one in measures]
    assert (seen.table["low"] <= seen.table["value"]).all()
    assert (seen.table["value"] <= seen.table["high"]).all()
    assert set(seen.table[seen.table["measure"] == "label"]["hidden"]) == {seen.details["chance"]} == {0.5}


def test_finished_fits_come_from_the_store_and_workers_change_nothing(sets, tmp_path, monkeypatch):
    def run(store, workers=1, **more):
        options = FAST | {"fills": "imputation", "workers": workers} | more
        few = (one[:64] for one in sets)
        return mask_recovery(network(), *few, "logit_gradient", learner=LEARNER, epochs=1, store=store, **options).table

    table = run(tmp_path / "one")
    assert run(tmp_path / "two", workers=2).equals(table)
    from gradaudit.instruments.mask_recovery import audit

    def refuse(*arguments):
        raise AssertionError("fitted again")

    monkeypatch.setattr(audit, "run_cell", refuse)
    assert run(tmp_path / "one").equals(table)
    with pytest.raises(AssertionError, match="fitted again"):
        run(tmp_path / "one", levels=(0.5,))


def test_coordinates_of_colour_images(tmp_path):
    train, test = images(100, 0, channels=3), images(60, 1, channels=3)
    options = FAST | {"features": "coordinates", "fills": "noise"}
    result = mask_recovery(network(3), train, test, learner=LEARNER, epochs=1, store=tmp_path, **options)
    assert result.settings["features"] == "coordinates"
    assert 0.4 < value(result, "noise", "bits")["seen"] < 1


def test_it_is_saved_and_comes_back(seen, tmp_path):
    back = ga.load_result(seen.save(tmp_path / "out"))
    assert back.table.equals(seen.table)
    assert back.verdict == seen.verdict
    assert back.verdicts == seen.verdicts
    assert (tmp_path / "out" / "mask_recovery.svg").stat().st_size > 1000


def shares(*values, label=0.5):
    rows = [
        row
        for place, share in enumerate(values)
        for row in [
            {"fill": "one", "level": 0.1 * (place + 1), "side": "top", "measure": measure, "value": found, "seen": 1.0}
            for measure, found in (("auroc", 0.6), ("share", share), ("label", label))
        ]
    ]
    import pandas as pd

    return pd.DataFrame(rows)


@pytest.mark.parametrize(
    ("values", "label"),
    [((0.01, 0.04), "hidden"), ((-3.0,), "hidden"), ((0.01, 0.06), "partly"), ((0.5,), "partly"), ((0.01, 0.51), "visible")],
)
def test_a_fill_is_judged_where_it_hides_least(values, label):
    settings = {"train_images": 60000, "epochs": 4, "seeds": [0, 1]}
    assert judge(shares(*values), {"chance": 0.1}, settings)["one"].label == label


def test_a_verdict_says_what_it_rests_on():
    verdict = judge(shares(0.01), {"chance": 0.5}, {"train_images": 100, "epochs": 1, "seeds": [0]})["one"]
    assert any("only 4 steps" in caveat for caveat in verdict.caveats)
    assert any("one seed" in caveat for caveat in verdict.caveats)
    telling = judge(shares(0.01, label=0.9), {"chance": 0.5}, {"train_images": 60000, "epochs": 4, "seeds": [0, 1]})["one"]
    assert any("kept values" in caveat for caveat in telling.caveats)


def test_all_fills_together():
    settings = {"train_images": 60000, "epochs": 4, "seeds": [0, 1]}
    one, other = (judge(shares(share), {"chance": 0.5}, settings)["one"] for share in (0.01, 0.9))
    assert overall({"a": one}).label == "hidden"
    both = overall({"a": one, "b": other})
    assert both.label == "mixed"
    assert "a hidden: " in both.sentence
    assert "b visible: " in both.sentence


@pytest.mark.parametrize(
    ("argument", "bad"),
    [
        ("fills", ()),
        ("fills", ("zero", "zero")),
        ("fill", "nothing"),
        ("levels", (0.0,)),
        ("levels", ()),
        ("sides", "left"),
        ("sides", ()),
        ("target", "second"),
        ("features", "channels"),
        ("learner", "nothing"),
        ("epochs", 0),
        ("seeds", 0),
        ("seeds", [1, 1]),
        ("seed", -1),
        ("workers", 0),
        ("attribution", "nothing"),
        ("attribution", torch.zeros(400, 1, SIDE, SIDE)),
    ],
)
def test_a_bad_argument_is_named(sets, tmp_path, argument, bad):
    keyword = "fills" if argument == "fill" else argument
    with pytest.raises(InputError, match=f"`{argument}`"):
        mask_recovery(network(), *sets, **(FAST | {"store": tmp_path, keyword: bad}))


def test_other_images_or_classes_are_refused(sets, tmp_path):
    train, test = sets
    for argument, bad in (("train", (train.images, test)), ("test", (train, images(20, 0, channels=3)))):
        with pytest.raises(InputError, match=f"`{argument}`"):
            mask_recovery(network(), *bad, **FAST, store=tmp_path)
    with pytest.raises(InputError, match="`test`"):
        mask_recovery(network(), train, ga.ImageSet(test.images, test.labels, ("a", "c")), **FAST, store=tmp_path)
    with pytest.raises(InputError, match="`classifier`"):
        mask_recovery(lambda pixels: pixels, train, test, **FAST, store=tmp_path)


def test_test_images_that_stand_in_the_training_set_are_told(tmp_path):
    train, others = images(20, 0), images(10, 1)
    mixed = ga.ImageSet(torch.cat([others.images[:7], train.images[:3]]), others.labels, ("a", "b"))
    told = "3 of the 10 test images (30.0%) stand in the training set too, pixel for pixel"
    for test, expected in ((mixed, [told]), (others, [])):
        options = FAST | {"learner": LEARNER, "epochs": 1, "store": tmp_path}
        caveats = mask_recovery(network(), train, test, by_label, fills="zero", **options).verdict.caveats
        assert [caveat.partition(":")[0] for caveat in caveats if "pixel for pixel" in caveat] == expected
