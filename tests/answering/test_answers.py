"""From results to answers."""

from __future__ import annotations

import json
import math
import sys
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gradaudit.answering import Answer, Reading, answers, scale
from gradaudit.answering.answers import MOST_BAD
from gradaudit.answering.planted import BAD, fit, table
from gradaudit.instruments.contract import Evidence, Score
from gradaudit.instruments.contrast import instrument as contrast_part
from gradaudit.instruments.counterfactual_differences import instrument as differences_part
from gradaudit.instruments.diffroar import instrument as diffroar_part
from gradaudit.instruments.fidelity import instrument as fidelity_part
from gradaudit.instruments.robustness import instrument as robustness_part
from gradaudit.results import Verdict

PARTS = {
    "values": ("diffroar", diffroar_part),
    "fidelity_imputation": ("fidelity", fidelity_part),
    "contrast": ("contrast", contrast_part),
}
SETTINGS = {"shape": [1, 28, 28], "classes": [*"0123456789"]}
GOOD = {"values": 0.98, "fidelity_imputation": 0.95, "contrast": 0.65}
BAD_NUMBERS = {"values": 0.0, "fidelity_imputation": 0.0, "contrast": 0.35}
REACH = 0.12  # of intervals that are too wide
MIDDLING = {"values": 0.7, "fidelity_imputation": 0.75, "contrast": 0.52}


@pytest.fixture
def audited(monkeypatch):
    """A function from numbers by attribution and measure, and the reach of their intervals, to the results of an audit."""

    def made(numbers, reach=0.0, images=200):
        results = {}
        for measure, (kind, part) in PARTS.items():
            found = [
                Evidence(measure, subject, Score(own[measure], own[measure] - reach, own[measure] + reach, 1), images)
                for subject, own in numbers.items()
                if measure in own
            ]
            if found:
                results[kind] = SimpleNamespace(found=found, verdict=Verdict("made", "for a test"))
                monkeypatch.setattr(type(part.INSTRUMENT), "evidence", lambda self, result: result.found)
        return results

    return made


def answer(results, settings=SETTINGS) -> Answer:
    return answers({"mine": results}, settings)["mine"]


def test_good_numbers_are_trusted_and_poor_ones_are_not(audited):
    assert answer(audited({"gradient": GOOD})).label == "trust"
    assert answer(audited({"gradient": BAD_NUMBERS})).label == "do not trust"
    assert answer(audited({"gradient": MIDDLING})).label == "not settled"


def test_the_sentence_names_the_numbers_and_what_became_of_such_maps(audited):
    found = answer(audited({"gradient": GOOD}))
    assert found.sentence.startswith("maps such as those by gradient were good: ")
    assert "0.98" in found.sentence
    assert "maps of known quality" in found.sentence
    assert found.settle == ""


def test_wide_intervals_leave_it_open_and_more_images_are_advised(audited):
    wide = answer(audited({"gradient": GOOD}, reach=REACH))
    assert wide.label == "not settled"
    assert "test images, instead of 200, would settle it" in wide.settle
    (advised,) = {
        int(word.replace(",", "")) for word in wide.settle.split() if word.replace(",", "").isdigit() and word != "200,"
    } - {200}
    assert advised > 200
    narrower = REACH * math.sqrt(200 / advised)
    assert answer(audited({"gradient": GOOD}, reach=narrower, images=advised)).label == "trust"


def test_numbers_in_between_are_not_settled_by_more_images(audited):
    found = answer(audited({"gradient": MIDDLING}))
    assert found.settle.startswith("More images would not settle it")


def test_what_was_not_measured_is_asked_for(audited):
    found = answer(audited({"gradient": {"values": 0.7}}))
    assert found.label == "not settled"
    assert "Run fidelity, alignment and contrast as well" in found.settle


@pytest.mark.parametrize(("other", "label"), [(0.4, "trust"), (0.0, "not settled")])
def test_bad_maps_among_the_nearest_weigh_more_than_middling_ones(audited, monkeypatch, other, label):
    generator = np.random.default_rng(0)
    rows = pd.DataFrame({name: generator.uniform(0, 1, 600) for name in PARTS}).assign(quality=0.0)
    rows.loc[rows[[*PARTS]].mean(axis=1) > 0.55, "quality"] = 1.0
    rows.loc[rows.index % 4 == 0, "quality"] = other
    monkeypatch.setattr(sys.modules[answers.__module__], "fitted", lambda measures: fit(rows, measures))
    assert answer(audited({"gradient": dict.fromkeys(PARTS, 1.0)})).label == label


def test_one_attribution_of_several_is_trusted_by_name(audited):
    found = answer(audited({"gradient": BAD_NUMBERS, "smoothgrad": GOOD}))
    assert found.label == "trust for smoothgrad"
    assert "smoothgrad" in found.sentence
    assert answer(audited({"gradient": GOOD, "smoothgrad": GOOD})).label == "trust"
    assert answer(audited({"gradient": BAD_NUMBERS, "smoothgrad": BAD_NUMBERS})).label == "do not trust"


@pytest.mark.parametrize(
    ("strange", "words"),
    [
        ({"shape": [3, 224, 224]}, "images of 224x224 pixels"),
        ({"classes": ["a"] * 1000}, "1,000 classes"),
        ({"shape": [1, 4, 4]}, "4x4"),
    ],
)
def test_images_such_as_no_planted_one_settle_nothing(audited, strange, words):
    found = answer(audited({"gradient": GOOD}), SETTINGS | strange)
    assert found.label == "not settled"
    assert words in found.sentence
    assert all(math.isnan(one.good) and not one.weighs for one in found.readings)
    assert {one.label for one in found.readings} == {"unlike any known"}


def test_without_a_calibrated_instrument_nothing_is_settled():
    found = answer({})
    assert found.label == "not settled"
    assert found.settle


def test_readings_come_with_their_scales_the_weightiest_first(audited):
    readings = answer(audited({"gradient": GOOD})).readings
    assert {one.instrument for one in readings} == {"diffroar", "fidelity", "contrast"}
    assert all(scale(one.measure) is not None and one.weighs and one.good > 0.2 for one in readings)
    assert all(one.words.startswith("of the 60 maps of known quality") for one in readings)


def test_each_number_says_what_the_answer_would_be_by_it_alone(audited):
    numbers = GOOD | {"fidelity_imputation": 0.0}
    found = {one.instrument: one.label for one in answer(audited({"gradient": numbers})).readings}
    alone = {PARTS[measure][0]: answer(audited({"gradient": {measure: numbers[measure]}})).label for measure in PARTS}
    assert found == alone
    assert len({*found.values()}) > 1


def beside(monkeypatch, part, kind, *evidence):
    """A further result, with what it has to say."""
    monkeypatch.setattr(type(part.INSTRUMENT), "evidence", lambda self, result: result.found)
    return {kind: SimpleNamespace(found=evidence, verdict=Verdict("made", "for a test"))}


@pytest.mark.parametrize(("value", "more"), [(0.0, False), (0.98, True)])
def test_numbers_of_the_classifier_are_read_against_classifiers_and_do_not_weigh(audited, monkeypatch, value, more):
    score = Score(value, value, value, 1)
    robust = beside(monkeypatch, robustness_part, "robustness", Evidence("robustness", "", score, 200))
    alone, found = answer(audited({"gradient": GOOD})), answer(audited({"gradient": GOOD}) | robust)
    assert (found.label, found.sentence) == (alone.label, alone.sentence)
    (reading,) = [one for one in found.readings if one.instrument == "robustness"]
    assert reading.words.startswith("of the 15 classifiers of known gradients")
    assert not reading.weighs
    assert (reading.good > 0.5) == more


def test_maps_that_are_no_attribution_are_read_but_never_answered_for(audited, monkeypatch):
    score = Score(0.98, 0.98, 0.98, 1)
    aside = Evidence("values", "counterfactual differences", score, 200, aside=True)
    differences = beside(monkeypatch, differences_part, "counterfactual_differences", aside)
    found = answer(audited({"gradient": BAD_NUMBERS}) | differences)
    assert found.label == "do not trust"
    (reading,) = [one for one in found.readings if one.instrument == "counterfactual_differences"]
    (own,) = [one for one in answer(audited({"gradient": GOOD})).readings if one.instrument == "diffroar"]
    assert (reading.measure, reading.good, reading.label, reading.weighs) == (own.measure, own.good, own.label, False)


def test_an_answer_comes_back_from_json(audited):
    found = answer(audited({"gradient": GOOD}))
    again = Answer.from_json(json.loads(json.dumps(found.to_json(), allow_nan=False)))
    assert again == found
    lone = Answer("trust", "a", "b", (Reading("diffroar", "m", "s", 1.0, math.nan, math.nan, math.nan, "w", False),))
    assert Answer.from_json(lone.to_json()).to_json() == lone.to_json()


def test_random_maps_are_never_trusted_more_often_than_one_in_twenty(audited):
    """A thousand simulated audits of maps that know nothing: the planted random ones' numbers, with noise of 100 images."""
    rows = table()[lambda found: found["map"].isin(["random", "blurred random", "untrained"])].dropna(subset=[*PARTS])
    assert (rows["quality"] <= BAD).all()
    generator = np.random.default_rng(0)
    labels = []
    for place in generator.integers(len(rows), size=1000):
        own = {name: float(rows[name].iloc[place] + generator.normal(0, 0.05)) for name in PARTS}
        labels.append(answer(audited({"random": own}, reach=0.1)).label)
    assert labels.count("trust") <= 1000 * MOST_BAD
    assert labels.count("do not trust") > 400
