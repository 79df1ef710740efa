from dataclasses import replace

import pytest

import gradaudit as ga
from gradaudit.answering import Answer
from gradaudit.errors import InputError


def only(result, name, **changes):
    """The audit of one classifier alone."""
    kept = {name: result.results[name]}
    return replace(result, results=kept, skipped={}, facts={}, pictures=(), **changes)


def test_an_audit_does_not_differ_from_itself(audited):
    found = ga.compare(audited[0], audited[0])
    assert (found.table["difference"] == 0).all()
    assert (found.table["change"] == "within the intervals").all()
    assert (found.verdicts["before"] == found.verdicts["after"]).all()
    assert found.caveats == ()
    assert (found.answers["before"] == found.answers["after"]).all()
    assert [*found.answers["classifier"]] == [*audited[0].results]
    assert len(found.table) == len(audited[0].scores)


def test_single_classifiers_are_compared_whatever_their_names(audited, tmp_path):
    result, _ = audited
    found = ga.compare(only(result, "mlp"), only(result, "bayes"))
    scores = result.scores.set_index(["classifier", "measure"])["value"]
    for row in found.table.to_dict("records"):
        assert row["classifier"] == "mlp / bayes"
        assert row["before"] == scores["mlp", row["measure"]]
        assert row["after"] == scores["bayes", row["measure"]]
        assert row["difference"] == pytest.approx(row["after"] - row["before"])
        shown = row["difference_low"] > 0 or row["difference_high"] < 0
        assert (row["change"] in ("better", "worse")) == shown
    page = found.write(tmp_path)
    assert "before: mlp" in page.read_text()
    assert (tmp_path / "comparison.csv").exists()


def test_an_answer_that_changed_is_said_first(audited, tmp_path):
    result = only(audited[0], "mlp")
    before, after = (replace(result, stored={"mlp": Answer(label, f"so says {label}")}) for label in ("not settled", "trust"))
    found = ga.compare(before, after)
    assert found.answers.to_dict("records") == [
        {
            "classifier": "mlp",
            "before": "not settled",
            "after": "trust",
            "before_sentence": "so says not settled",
            "after_sentence": "so says trust",
        }
    ]
    page = found.write(tmp_path).read_text()
    assert "The answer was not settled and is trust: so says trust; before, so says not settled." in page
    assert "not settled" in (tmp_path / "answers.csv").read_text()


def test_better_and_worse_know_which_way_is_up(audited):
    result, _ = audited
    there = ga.compare(only(result, "mlp"), only(result, "bayes")).table.set_index("measure")["change"]
    back = ga.compare(only(result, "bayes"), only(result, "mlp")).table.set_index("measure")["change"]
    turned = {"better": "worse", "worse": "better", "within the intervals": "within the intervals"}
    assert [turned[change] for change in there] == [*back]


def test_saved_audits_are_compared(audited, written):
    found = ga.compare(written, written)
    assert len(found.table) == len(audited[0].scores)


def test_the_interval_of_a_difference_is_that_of_two_independent_means(audited):
    """Symmetric intervals add as standard errors do; others by the sides that the difference meets."""
    bare = only(audited[0], "mlp")
    one, other = (replace(bare) for _ in range(2))
    columns = {"value": (0.5, 0.7), "low": (0.4, 0.4), "high": (0.6, 0.74)}
    for place, audit in enumerate((one, other)):
        audit.__dict__["scores"] = bare.scores.head(1).assign(**{name: values[place] for name, values in columns.items()})
    row = ga.compare(one, other).table.iloc[0]
    assert row["difference"] == pytest.approx(0.2)
    assert row["difference_low"] == pytest.approx(0.2 - (0.3**2 + 0.1**2) ** 0.5)
    assert row["difference_high"] == pytest.approx(0.2 + (0.04**2 + 0.1**2) ** 0.5)


def test_what_audits_do_not_share_is_said(audited, tmp_path):
    result, _ = audited
    options = {**result.settings["options"], "robustness": {**result.settings["options"]["robustness"], "steps": 9}}
    changed = {"seed": 3, "test_fingerprint": "x", "test_images": 50, "options": options}
    other = replace(result, settings={**result.settings, **changed})
    found = ga.compare(result, other)
    assert found.caveats == (
        "the test images are others: 60 before, 50 after",
        "the seed differs: 0 before, 3 after",
        "robustness was run with other options: steps",
    )
    assert set(found.settings["setting"]) == {"test images", "test images' fingerprint", "seed", "robustness: steps"}
    page = found.write(tmp_path).read_text()
    assert page.index("The seed differs: 0 before, 3 after") < page.index("<svg")
    assert page.index("Before you read on") < page.index('id="findings-heading"')


def test_what_only_one_audit_has_is_said(audited):
    result, _ = audited
    fewer = {kind: one for kind, one in result.results["mlp"].items() if kind != "alignment"}
    found = ga.compare(result, replace(result, results={"mlp": fewer}))
    assert "only the audit before has bayes" in found.caveats
    assert "of mlp, only the audit before has alignment" in found.caveats
    renamed = replace(result)
    measure = result.scores["measure"].iloc[0]
    renamed.__dict__["scores"] = result.scores.replace({"measure": {measure: "by another name"}})
    assert any("a number under another name, by another name" in one for one in ga.compare(result, renamed).caveats)


def test_other_versions_are_said(audited):
    result = only(audited[0], "mlp")
    older = {
        kind: replace(one, versions={**one.versions, "torch": "1.0"}) if kind == "robustness" else one
        for kind, one in result.results["mlp"].items()
    }
    (said,) = ga.compare(replace(result, results={"mlp": older}), result).caveats
    assert said.startswith("they were computed by other software: torch ")


def test_verdicts_that_changed_come_first_and_stand_on_the_first_screen(audited, tmp_path):
    result = only(audited[0], "mlp")
    last = [*result.results["mlp"]][-1]
    turned = dict(result.results["mlp"])
    turned[last] = replace(turned[last], verdict=replace(turned[last].verdict, label="turned"))
    found = ga.compare(result, replace(result, results={"mlp": turned}))
    assert [*found.changed["instrument"]] == [last]
    assert found.verdicts["instrument"].iloc[0] == last
    page = found.write(tmp_path).read_text()
    assert f"from {result.results['mlp'][last].verdict.label} to turned" in page
    assert page.index('id="comparison"') < page.index('id="findings"')
    assert f"1 of {len(turned)} verdicts changed" in page
    same = ga.compare(result, result)
    assert not len(same.changed)
    text = same.write(tmp_path / "same").read_text()
    assert "Before you read on" not in text
    assert "Both audits have the same settings" in text


def test_audits_with_nothing_in_common_are_refused(audited, tmp_path):
    result, _ = audited
    renamed = replace(result, results={f"other {name}": one for name, one in result.results.items()})
    with pytest.raises(InputError, match="in common"):
        ga.compare(result, renamed)
    with pytest.raises(InputError, match="folder"):
        ga.compare(tmp_path / "nothing", result)
    result.results["mlp"]["robustness"].save(tmp_path / "single")
    with pytest.raises(InputError, match="audit"):
        ga.compare(tmp_path / "single", result)


def test_without_intervals_nothing_is_said_to_be_within_them(audited):
    result = only(audited[0], "mlp")
    bare = replace(result)
    bare.__dict__["scores"] = result.scores.assign(low=float("nan"), high=float("nan"))
    assert set(ga.compare(bare, result).table["change"]) == {"no intervals"}
