"""The planted maps, and the models fitted to them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from scipy import optimize

from gradaudit.answering.planted import (
    BAD,
    GOOD,
    MEASURES,
    NEAREST,
    NEAREST_CLASSIFIERS,
    OF_CLASSIFIERS,
    OF_MAPS,
    PLAIN,
    fit,
    fitted,
    scale,
    table,
)

GOOD_NUMBERS = {"values": 0.98, "fidelity_mean": 0.9, "fidelity_imputation": 0.95, "contrast": 0.65}


def made(count: int = 400, seed: int = 0) -> pd.DataFrame:
    """Planted maps whose quality follows the first measure; the second is noise, and the third its opposite."""
    generator = np.random.default_rng(seed)
    first = generator.uniform(-1, 1, count)
    return pd.DataFrame(
        {"quality": first, "values": first, "fidelity_mean": generator.normal(size=count), "contrast": -first}
    ).round(3)


def test_the_table_has_many_maps_of_several_worlds_and_kinds_and_both_good_and_bad():
    rows = table()
    assert len(rows) >= 200
    for column, least in (("world", 6), ("classifier", 8), ("map", 15)):
        assert rows[column].nunique() >= least
    for some in (rows["quality"] >= GOOD, rows["quality"] <= BAD):
        assert some.sum() >= 100
    assert rows["quality"].between(-1, 1).all()
    assert {*MEASURES} <= {*rows}
    plain = rows[rows["map"] == PLAIN]
    assert len(plain) == len(plain[["world", "classifier"]].drop_duplicates()) >= 50


def test_maps_that_are_bad_by_making_are_bad_and_true_ones_good():
    quality = table().groupby("map")["quality"].mean()
    assert abs(quality["random"]) < 0.05
    assert abs(quality["untrained"]) < 0.1
    assert quality["truth"] == pytest.approx(1)
    assert quality["truth"] > quality["truth, 50% random"] > quality["truth, 90% random"]
    assert quality["gradient"] > quality["gradient, 30% random"] > quality["gradient, 60% random"] > quality["random"]


@pytest.mark.parametrize("name", [*OF_MAPS, "quality"])
def test_every_measure_tells_good_from_bad_on_its_scale(name):
    found = scale(MEASURES[name].words)
    values, shares = zip(*found.curve, strict=True)
    assert (values[0], values[-1]) == pytest.approx((found.low, found.high))
    assert list(values) == sorted(values)
    assert shares[0] < 0.2 < 0.5 < max(shares)


@pytest.mark.parametrize("name", OF_CLASSIFIERS)
def test_measures_of_classifiers_are_read_against_their_plain_gradients(name):
    rows = table()[lambda found: found["map"] == PLAIN].dropna(subset=[name])
    for value in rows[name].quantile([0.1, 0.5, 0.9]):
        found = fitted((name,)).likes({name: value})
        apart = (rows[name] - value).abs().sort_values(kind="stable")
        near = rows.loc[apart.index[apart <= apart.iloc[NEAREST_CLASSIFIERS - 1]], "quality"]  # with all ties
        least = rows.loc[apart.index[apart < apart.iloc[NEAREST_CLASSIFIERS - 1]], "quality"]
        assert found.count == NEAREST_CLASSIFIERS
        assert (least >= GOOD).sum() <= found.good <= (near >= GOOD).sum()
        assert (least <= BAD).sum() <= found.bad <= (near <= BAD).sum()
        assert str(found).startswith("of the 15 classifiers of known gradients with the nearest number, those of ")


def test_a_measure_that_is_worth_nothing_still_finds_the_nearest_in_its_number():
    rows = made().rename(columns={"contrast": "values", "values": "contrast"})
    model = fit(rows, ("values",))
    near = rows.loc[(rows["values"] - 0.8).abs().sort_values(kind="stable").index[:NEAREST], "quality"]
    assert abs(model.likes({"values": 0.8}).bad - int((near <= BAD).sum())) <= 1


def test_a_measure_without_planted_maps_has_no_scale():
    assert scale("the price of fish") is None


def test_the_nearest_maps_are_counted():
    model = fit(made(), ("values",))
    best, worst = model.likes({"values": 2.0}), model.likes({"values": -2.0})
    assert (best.count, best.good, best.bad) == (NEAREST, NEAREST, 0)
    assert (worst.count, worst.good, worst.bad) == (NEAREST, 0, NEAREST)
    assert str(best) == f"of the {NEAREST} maps of known quality with the nearest number, {NEAREST} were good and 0 bad"


def test_the_nearest_are_those_of_the_numbers_and_not_of_their_order():
    rows = made()
    model = fit(rows, ("values",))
    near = rows.loc[(rows["values"] - 0.5).abs().sort_values(kind="stable").index[:NEAREST], "quality"]
    found = model.likes({"values": 0.5})
    assert abs(found.good - int((near >= GOOD).sum())) <= 1  # ties


def test_weights_are_those_of_least_penalised_loss():
    rows = made()
    model = fit(rows, ("values", "fidelity_mean"))
    clear = rows[(rows["quality"] >= GOOD) | (rows["quality"] <= BAD)]
    signs = np.where(clear["quality"] >= GOOD, 1, -1)
    numbers = rows[["values", "fidelity_mean"]].to_numpy()
    scaled = (clear[["values", "fidelity_mean"]].to_numpy() - numbers.mean(axis=0)) / numbers.std(axis=0)

    def loss(weights):
        return np.logaddexp(0, -signs * (scaled @ weights[:2] + weights[2])).mean() + 0.005 * (weights[:2] ** 2).sum()

    independent = optimize.minimize(
        loss, np.ones(3), method="Nelder-Mead", options={"xatol": 1e-9, "fatol": 1e-13, "maxiter": 9999}
    )
    assert loss(model.weights) == pytest.approx(independent.fun, abs=1e-7)


def test_a_larger_number_never_makes_a_map_worse():
    model = fit(made(), ("values", "contrast"))
    assert (model.weights[:-1] >= 0).all()
    assert model.weights[1] == 0  # which goes the wrong way here
    for names in (("values", "fidelity_imputation", "contrast"), OF_MAPS):
        assert (fitted(names).weights[:-1] >= 0).all()


def test_maps_without_a_number_have_no_part():
    rows = made()
    rows.loc[:199, "values"] = np.nan
    assert len(fit(rows, ("values",)).index) == 200


def test_all_measures_together_tell_good_numbers_from_those_of_a_random_map():
    names = ("values", "fidelity_imputation", "contrast")
    good = fitted(names).likes({name: GOOD_NUMBERS[name] for name in names})
    bad = fitted(names).likes({"values": 0.0, "fidelity_imputation": 0.0, "contrast": 0.35})
    assert good.good > 0.7 * NEAREST
    assert bad.good < 0.05 * NEAREST
