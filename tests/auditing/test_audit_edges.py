"""Audits that are legal and unusual: nothing of them may break at the very end."""

import copy
import hashlib
import json

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.auditing.keys import key_part
from gradaudit.auditing.result import folder_of
from gradaudit.errors import InputError
from gradaudit.instruments.contract import audited as kinds
from gradaudit.instruments.robustness.instrument import radii
from gradaudit.instruments.robustness.options import RobustnessInAudit

COUNTERFACTUAL = {"images": 4, "method": ["apgd(steps=3)"]}
ROBUSTNESS = {"images": 10, "steps": 2, "eps": [0.0, 0.1]}
DIFFROAR = {"levels": [0.3], "seeds": 2, "controls": [], "evaluator": {"network": "mlp(width=8)", "epochs": 1}}


def only(**options):
    return {"train_images": None, "test_images": None, **dict.fromkeys(kinds(), False), **options}


@pytest.fixture(name="small")
def small_fixture(halves, classifiers, tmp_path):
    """A small audit of the mlp with other options; its estimate is not asked for."""

    def prepare(options, **changes):
        given = {"classifiers": {"mlp": classifiers["mlp"]}, "train": halves[0], "test": halves[1], "preset": "quick"}
        given |= {"options": options, "workers": 1, "device": "cpu", "store": tmp_path / "store"} | changes
        return ga.prepare_audit(**given)

    return prepare


def test_no_classifier_judges_itself_under_whatever_name(small, classifiers):
    mlp, bayes = classifiers["mlp"], classifiers["bayes"]
    ready = small(only(counterfactual=COUNTERFACTUAL), classifiers=classifiers, oracles={"judge": mlp, "bayes": bayes})
    assert set(ready.setup.oracles_for("mlp")) == {"bayes"}
    assert set(ready.setup.oracles_for("bayes")) == {"judge"}
    twice = small(only(counterfactual=COUNTERFACTUAL), classifiers={"a": mlp, "b": copy.deepcopy(mlp), "c": bayes}, recipes={})
    assert set(twice.setup.oracles_for("a")) == {"c"}
    assert twice.run().results["a"]["counterfactual"].oracles == ("c",)


def test_other_audited_classifiers_of_more_classes_are_no_judges(small, classifiers):
    more = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    ready = small(only(counterfactual=COUNTERFACTUAL), classifiers={"mlp": classifiers["mlp"], "more": more})
    assert ready.setup.oracles_for("mlp") == {}


def test_helpers_of_other_classes_are_refused_before_any_work(small):
    more = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    for changes, named in (({"robust": more}, "robust"), ({"oracles": {"more": more}}, r"oracles\['more'\]")):
        with pytest.raises(InputError, match=f"`{named}`.*3 classes"):
            small(only(counterfactual=COUNTERFACTUAL), **changes)
    small(only(robustness=ROBUSTNESS), robust=more)  # whom nobody asks


def test_the_helper_is_no_judge_among_the_scores(small, classifiers):
    ready = small(only(counterfactual=COUNTERFACTUAL), classifiers=classifiers, robust=classifiers["bayes"])
    result = ready.run()
    assert result.results["mlp"]["counterfactual"].oracles == ("bayes",)
    assert set(result.scores["classifier"]) <= {"bayes"}


def test_an_audit_is_loaded_by_a_process_that_has_measured_nothing(small, tmp_path, run_program):
    small(only(counterfactual=COUNTERFACTUAL)).run().write(tmp_path / "report")
    code = "import sys, gradaudit as ga; print(*ga.load_audit(sys.argv[1]).results['mlp'])"
    assert run_program(code, tmp_path / "report").stdout.split() == ["counterfactual"]


def test_a_classifier_without_results_does_not_break_the_page(small, classifiers, recipe, tmp_path):
    result = small(only(leakage={"epochs": 1, "controls": []}), classifiers=classifiers, recipes={"mlp": recipe}).run()
    assert result.results["bayes"] == {}
    page = result.write(tmp_path / "report")
    assert "recipe is not known" in page.read_text()
    other = ga.compare(result, result)
    assert set(other.table["classifier"]) == {"mlp"}
    assert other.write(tmp_path / "comparison").exists()


def test_an_audit_of_nothing_is_refused_with_the_reasons(small):
    with pytest.raises(InputError, match=r"`options`.*switched off"):
        small(only()).run()


def test_images_without_the_blocks_classes_are_no_reason_to_stop(small, halves, recipe):
    without = tuple(part[part.labels != 1] for part in halves)
    ready = small(only(leakage={}, robustness=ROBUSTNESS), train=without[0], test=without[1], recipes={"mlp": recipe})
    assert "lack" in ready.skipped["mlp"]["leakage"]
    assert set(ready.run().results["mlp"]) == {"robustness"}


def test_a_denoiser_of_other_images_does_not_stop_the_estimate(small):
    other = ga.gaussian_mixture(classes=3, shape=(1, 4, 4)).denoiser()
    ready = small(only(robustness=ROBUSTNESS, alignment={}), denoiser=other)
    assert list(ready.estimate()["instrument"]) == ["robustness"]


def test_pictures_show_the_scores_of_the_test_images(small, halves):
    scores = [
        torch.rand(len(part), *part.shape, generator=torch.Generator().manual_seed(place)) for place, part in enumerate(halves)
    ]
    result = small(only(diffroar=DIFFROAR | {"attribution": tuple(scores)})).run()
    (picture,) = result.pictures
    known = {tuple(image.flatten().tolist()): place for place, image in enumerate(halves[1].floats())}
    for image, shown in zip(picture.images, picture.scores["mlp"], strict=True):
        torch.testing.assert_close(shown, scores[1][known[tuple(image.flatten().tolist())]])


def test_a_named_attribution_is_shown(small):
    result = small(only(diffroar=DIFFROAR | {"attribution": {"mine": lambda classifier, images, targets: images}})).run()
    torch.testing.assert_close(result.pictures[0].scores["mlp"], result.pictures[0].images)


ODD = ["index.html", "Results.JSON", "scores.csv", "manifest.json", "é" * 300, "猫", "../..", "a/b", "$1 =2$"]


@pytest.mark.parametrize("name", ODD)
def test_a_name_never_is_that_of_a_file(small, classifiers, tmp_path, name):
    result = small(only(robustness=ROBUSTNESS), classifiers={name: classifiers["mlp"]}).run()
    result.write(tmp_path / "report")
    assert (tmp_path / "report" / folder_of(name) / "robustness" / "results.json").exists()
    assert ga.load_audit(tmp_path / "report").to_json() == result.to_json()


@pytest.mark.parametrize("name", ["con", "NUL", "aux.txt", "com1", "Lpt9.tar.gz", "x" * 59 + ".", "..."])
def test_a_folder_is_one_that_windows_takes(name):
    found = folder_of(name)
    assert found.partition(".")[0].casefold() not in {"con", "prn", "aux", "nul", "com1", "lpt9"}
    assert found
    assert not found.endswith((".", " "))


@pytest.mark.parametrize("pair", [("model", "Model"), ("é", "e\u0301")])
def test_names_whose_folders_some_file_systems_do_not_tell_apart_are_refused(small, classifiers, pair):
    with pytest.raises(InputError, match=r"`classifiers`.*a folder of its own"):
        small(only(robustness=ROBUSTNESS), classifiers=dict.fromkeys(pair, classifiers["mlp"]))


def below(folder):
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())


def test_a_report_written_again_leaves_nothing_of_the_old_one_and_all_that_is_the_users(small, classifiers, tmp_path):
    report, mlp = tmp_path / "report", classifiers["mlp"]
    before = small(only(robustness=ROBUSTNESS), classifiers={"old": mlp, "noted": mlp, "changed": mlp}).run()
    before.write(report)
    (report / "noted" / "notes.txt").write_text("mine")
    (report / "changed" / "robustness" / "robustness.csv").write_text("mine")
    (report / "mine.csv").write_text("mine")
    after = small(only(robustness=ROBUSTNESS), classifiers={"new": mlp}).run()
    after.write(report)
    fresh = tmp_path / "fresh"
    after.write(fresh)
    assert below(report) == sorted([*below(fresh), "noted/notes.txt", "changed/robustness/robustness.csv", "mine.csv"])
    assert not (report / "old").exists()
    assert not (report / "noted" / "robustness").exists()


@pytest.mark.parametrize("name", ["../outside.txt", "link/outside.txt", "/etc/hostname", "..", ""])
def test_a_manifest_of_somebody_elses_reaches_nothing_outside(small, tmp_path, name):
    report = tmp_path / "report"
    result = small(only(robustness=ROBUSTNESS)).run()
    result.write(report)
    outside = tmp_path / "outside.txt"
    outside.write_text("mine")
    (report / "link").symlink_to(tmp_path)
    digest = hashlib.sha256(b"mine").hexdigest()
    (report / "manifest.json").write_text(json.dumps({"files": {name: digest}}))
    result.write(report)
    assert outside.read_text() == "mine"
    assert (report / "link").is_symlink()


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"files": 3}', '{"files": ["a"]}', '{"files": {"a": null}}'])
def test_a_damaged_manifest_counts_as_none(small, tmp_path, text):
    report = tmp_path / "report"
    report.mkdir()
    (report / "manifest.json").write_text(text)
    small(only(robustness=ROBUSTNESS)).run().write(report)
    assert json.loads((report / "manifest.json").read_text())["files"].keys() == {*below(report)} - {"manifest.json"}


@pytest.mark.parametrize("count", ["ten", 0, -3, 2.5, True])
def test_a_number_of_images_that_is_none_is_named(small, count):
    with pytest.raises(InputError, match=r"^`robustness.images` .* a whole number, 1 or more"):
        small(only(robustness=ROBUSTNESS | {"images": count}))


def test_sets_that_do_not_go_together_are_refused(small, halves):
    other = ga.gaussian_mixture(classes=3, shape=(1, 4, 4)).sample(20, seed=0)
    for changes, named in (
        ({"train": other}, "test"),
        ({"test": halves[1][:1]}, "test_images"),
        ({"robust": "zoo:mnist"}, "robust"),
    ):
        with pytest.raises(InputError, match=named):
            small(only(robustness=ROBUSTNESS), **changes)


def scaled(scale):
    return lambda classifier, images, targets: scale * images


def test_options_that_differ_have_other_keys(tmp_path):
    """Long arrays print alike, functions by where they lie in memory, and files and modules by name alone."""
    one, other = np.zeros((2, 2000), np.float32), np.zeros((2, 2000), np.float32)
    other[:, 1000] = 1
    pairs = [(one, other), (torch.from_numpy(one), torch.from_numpy(other)), (scaled(1), scaled(2)), (np.int64(1), np.int64(2))]
    pairs += [(nn.Linear(2, 1), nn.Linear(2, 1)), (ga.Recipe(epochs=1), ga.Recipe(epochs=2)), (float("inf"), 1.0)]
    for first, second in pairs:
        assert key_part({"a": [first]}) != key_part({"a": [second]})
        assert key_part({"a": [first]}) == key_part({"a": [copy.deepcopy(first)]})


def test_a_file_that_was_written_again_is_another_option(tmp_path):
    file = tmp_path / "autoencoder.safetensors"
    keys = []
    for content in (b"one", b"two", b"one"):
        file.write_bytes(content)
        keys.append([key_part(str(file)), key_part(f"generative(denoiser={str(file)!r})"), key_part(file)])
    assert keys[0] == keys[2]
    assert all(first != second for first, second in zip(*keys[:2], strict=True))


def test_a_function_that_was_changed_is_another_option(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    for module, body in (("own_first", "return images"), ("own_second", "return -images")):
        (tmp_path / f"{module}.py").write_text(f"def mine(classifier, images, targets):\n    {body}\n")
    found = [key_part(f"{module}:mine")[1] for module in ("own_first", "own_second")]
    assert found[0] != found[1]
    assert key_part("logit_gradient") == "logit_gradient"
    assert key_part("zoo:mnist") == "zoo:mnist"


def test_a_classifier_of_more_classes_than_the_denoiser_is_aligned_without_a_class(small, mixture):
    more = nn.Sequential(nn.Flatten(), nn.Linear(64, 5))
    given = {"classifiers": {"more": more}, "denoiser": mixture.denoiser()}
    found = small(only(alignment={"images": 10}), **given).run().results["more"]["alignment"]
    assert found.settings["scores"] == ["unconditional"]


@pytest.mark.parametrize(("norm", "channels", "largest"), [("linf", 1, 0.3), ("linf", 3, 8 / 255), ("l2", 1, 2.0), ("l2", 3, 1.0)])
def test_radii_are_those_usual_for_the_norm_and_the_images(norm, channels, largest):
    images = ga.ImageSet(torch.zeros(2, channels, 4, 4, dtype=torch.uint8), torch.tensor([0, 1]), ("a", "b"))
    assert max(radii(images, RobustnessInAudit(norm=norm))) == largest
    assert radii(images, RobustnessInAudit(norm=norm, eps=0.07)) == (0.07,)
