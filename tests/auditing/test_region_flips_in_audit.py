"""Flips by region in an audit: only where asked for, with the other classifiers as oracles; its number stands in the comparison."""

import pytest

import gradaudit as ga
from gradaudit.auditing.settings import resolve_settings
from gradaudit.instruments.contract import about, audited

ASKED = {"images": 4, "method": "apgd(steps=2)", "controls": ["random"]}
OFF = dict.fromkeys((name for name in audited() if name != "region_flips"), False)


def test_it_is_there_only_where_the_preset_or_the_user_asks_for_it():
    assert about("region_flips").asked_for
    assert "region_flips" not in resolve_settings("quick", {}).chosen
    assert resolve_settings("quick", {"region_flips": False}).chosen["region_flips"] is None
    assert resolve_settings("quick", {"region_flips": {}}).chosen["region_flips"].levels == (0.2,)
    assert resolve_settings("quick", {"region_flips": True}).chosen["region_flips"].images is None
    assert resolve_settings("standard", {}).chosen["region_flips"].images == 100
    assert resolve_settings("standard", {"region_flips": False}).chosen["region_flips"] is None


def test_two_classifiers_confirm_for_each_other_and_are_compared(arguments, tmp_path):
    given = arguments | {"options": OFF | {"test_images": 20, "region_flips": ASKED}, "store": tmp_path / "store"}
    ready = ga.prepare_audit(**given)
    assert ready.estimate()["gradients"].tolist() == [4 * (5 * (2 + 1) + 1)] * 2
    result = ready.run()
    for name, other in (("bayes", "mlp"), ("mlp", "bayes")):
        assert result.results[name]["region_flips"].oracles == (other,)
        assert result.results[name]["region_flips"].settings["images"] == 4
    folder = result.write(tmp_path / "report").parent
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert "Flips by region" in page
    assert (folder / "mlp" / "region_flips" / "region_flips.csv").exists()
    assert set(result.scores["measure"]) == {"confirmed flips, top less bottom, mean over levels"}
    assert ga.load_audit(folder).to_json() == result.to_json()
    assert "not tried on maps of known quality" in page


def test_alone_a_classifier_lacks_who_confirms(arguments, tmp_path):
    alone = {"bayes": arguments["classifiers"]["bayes"]}
    options = OFF | {"region_flips": ASKED, "robustness": {"images": 4, "steps": 1, "eps": [0.1]}}
    ready = ga.prepare_audit(**arguments | {"classifiers": alone, "recipes": {}, "options": options, "store": tmp_path})
    assert ready.skipped["bayes"]["region_flips"].startswith("it needs another classifier that confirms flips")


@pytest.mark.parametrize("preset", ["quick", "standard", "paper"])
def test_a_preset_says_it_of_known_instruments_alone(preset):
    assert set(resolve_settings(preset, {}).options) <= set(audited())
