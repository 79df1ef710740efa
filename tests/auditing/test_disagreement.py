"""Images on which two classifiers disagree: where audits are compared, and within an audit of two."""

from dataclasses import replace

import pandas as pd
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.auditing.disagreement import DisagreementOptions, disagreements
from gradaudit.auditing.disagreement_section import disagreement_section
from gradaudit.errors import InputError
from gradaudit.instruments.contract import audited, instrument

ALONE = dict.fromkeys(audited(), False)


@pytest.fixture(name="pair", scope="module")
def pair_fixture(audited, classifiers):
    """Two audits of one classifier each, and the classifiers."""
    (result, _), names = audited, ("mlp", "bayes")
    audits = [replace(result, results={name: result.results[name]}, skipped={}, facts={}, pictures=()) for name in names]
    return audits, [classifiers[name] for name in names]


@pytest.fixture(name="compared")
def compared_fixture(pair, halves, tmp_path):
    def run(**changes):
        options = {"method": "svce(steps=6, radius=4.0)", "store": tmp_path / "store", "device": "cpu"}
        return ga.compare(*pair[0], **({"classifiers": pair[1], "images": halves[1][:10]} | options | changes))

    return run


def test_each_changes_its_mind_while_the_other_keeps_its_own(compared, pair, halves, tmp_path):
    found = compared()
    mlp, bayes = pair[1]
    assert [*found.disagreement] == ["before", "after"]
    for (who, result), (one, other) in zip(found.disagreement.items(), ((mlp, bayes), (bayes, mlp)), strict=True):
        after = result.images.float() / 255
        originals = halves[1][:10].floats()[result.table["image"].tolist()]
        with torch.no_grad():
            sees, keeps = one(after).argmax(dim=1), other(after).argmax(dim=1)
            held = other(originals).argmax(dim=1)
        assert torch.equal(torch.tensor(result.table["flipped"].to_numpy()), (sees == result.targets) & (keeps == held))
        lines = found.disagreements
        (share,) = lines[(lines["seen_by"] == who) & (lines["measure"] == "disagree_rate")]["value"]
        assert share == pytest.approx(result.table["flipped"].mean())
    page = found.write(tmp_path / "out").read_text(encoding="utf-8")
    assert page.index('id="comparison"') < page.index('id="disagreement"') < page.index('id="findings"')
    assert "before sees it, after does not" in page
    assert "after sees it, before does not" in page
    ids = pd.Series([part.split('"')[0] for part in page.split(' id="')[1:]])
    assert not ids[ids.duplicated()].tolist()  # the audits' own counterfactuals are on the page too
    kept = pd.read_csv(tmp_path / "out" / "disagreements.csv")
    assert kept["value"].tolist() == pytest.approx(found.disagreements["value"].tolist(), nan_ok=True)


def test_images_that_need_no_change_are_shown_as_they_are(tmp_path, mixture):
    class Turned(nn.Module):
        """Sees the next class where the image's first pixel is bright."""

        def __init__(self):
            super().__init__()
            self.inner = mixture.bayes_classifier(0.1).float()

        def forward(self, images):
            logits = self.inner(images)
            return torch.where(images[:, 0, 0, 0][:, None] > 0.95, logits.roll(1, dims=1), logits)

    images = mixture.sample(12, seed=4)
    pixels = images.images.clone()
    pixels[:, :, 0, 0] = 0
    pixels[[3, 7], :, 0, 0] = 255
    images = ga.ImageSet(pixels, images.labels, images.classes)
    one, other = mixture.bayes_classifier(0.1).float(), Turned()
    options = DisagreementOptions(method="apgd(steps=2)", store=tmp_path, device="cpu")
    found = disagreements((one, other), images, None, None, None, options)
    already = found["before"].details["against"]["already"]
    assert [row["image"] for row in already] == [3, 7]
    body = disagreement_section(found).body
    assert "the two see 2 of 12 images, 16.7% (95 % interval 2.1% to 48.4%) differently" in body
    assert f"Image 4, before: {already[0]['classifier']}, after: {already[0]['other']}" in body


def test_without_classifiers_nothing_is_sought(pair, tmp_path):
    found = ga.compare(*pair[0])
    assert found.disagreement == {}
    assert found.disagreements.empty
    assert 'id="disagreement"' not in found.write(tmp_path).read_text(encoding="utf-8")
    assert not (tmp_path / "disagreements.csv").exists()


@pytest.mark.parametrize(
    ("changes", "argument", "words"),
    [
        ({"classifiers": [nn.Identity()]}, "classifiers", "two modules"),
        ({"images": None}, "images", "an ImageSet"),
        ({"classifiers": "turned"}, "classifiers[before]", "audited before, with the weights that it had"),
        ({"classifiers": "untrained"}, "classifiers[after]", "audited after"),
        ({"method": "svce(steps=0)"}, "steps", "1 or more"),
        ({"method": "dvce"}, "denoiser", "dvce needs one"),
    ],
)
def test_what_can_not_be_compared_is_refused(compared, pair, changes, argument, words):
    torch.manual_seed(0)
    lists = {"turned": pair[1][::-1], "untrained": [pair[1][0], nn.Sequential(nn.Flatten(), nn.Linear(64, 3))]}
    given = changes.get("classifiers")
    with pytest.raises(InputError) as error:
        compared(**(changes | ({"classifiers": lists[given]} if isinstance(given, str) else {})))
    assert error.value.argument == argument
    assert words in str(error.value)


def test_several_classifiers_are_refused(audited, pair, halves):
    with pytest.raises(InputError, match=r"`classifiers`.*one classifier in common"):
        ga.compare(audited[0], audited[0], classifiers=pair[1], images=halves[1][:4])


def of_two(arguments, tmp_path, against, **changes):
    options = ALONE | {"counterfactual": {"images": 6, "method": "svce(steps=4)", "against": against}}
    return ga.prepare_audit(**(arguments | {"options": options, "store": tmp_path, "robust": None} | changes))


def test_in_an_audit_each_is_held_against_the_other(arguments, classifiers, tmp_path):
    ready = of_two(arguments, tmp_path, "other")
    alone = of_two(arguments, tmp_path, None)
    gradients = [one.estimate()["gradients"].tolist() for one in (ready, alone)]
    assert gradients[0] == [2 * count for count in gradients[1]]
    result = ready.run()
    marks = {name: one["counterfactual"].settings["classifier"] for name, one in result.results.items()}
    for name, other in (("bayes", "mlp"), ("mlp", "bayes")):
        found = result.results[name]["counterfactual"]
        assert found.settings["against"] == marks[other]
        assert found.details["oracles"][other]["against"]
        assert "nobody can say which of the two is right" in found.verdict.sentence
        assert instrument("counterfactual").evidence(found) == []  # no planted classifier was held against another
    page = result.write(tmp_path / "page").read_text(encoding="utf-8")
    assert "Against another classifier." in page


def test_by_name_the_others_are_held_against_one(arguments, tmp_path):
    ready = of_two(arguments, tmp_path, "bayes")
    assert "held against" in ready.skipped["bayes"]["counterfactual"]
    assert "counterfactual" not in ready.skipped["mlp"]
    other = of_two(arguments, tmp_path, "other")
    entries = [one._entry("mlp", "counterfactual", one.settings.chosen["counterfactual"]) for one in (ready, other)]
    assert entries[0] != entries[1]


def test_a_name_that_is_not_audited_is_refused_before_anything_begins(arguments, classifiers, tmp_path):
    with pytest.raises(InputError, match=r"`against`.*an audited classifier"):
        of_two(arguments, tmp_path, "lenet")
    three = classifiers | {"third": nn.Sequential(nn.Flatten(), nn.Linear(64, 3))}
    with pytest.raises(InputError, match=r"`against`.*where two are audited"):
        of_two(arguments, tmp_path, "other", classifiers=three)
    with pytest.raises(InputError, match=r"`against`.*the robust helper"):
        of_two(arguments, tmp_path, "other", robust=classifiers["bayes"], options=ALONE | {"counterfactual": {"against": "other"}})
