"""A whole sweep on a Gaussian mixture: what is measured is what the instruments give, whatever the workers, and resumable."""

import numpy as np
import pytest
import torch

import gradaudit as ga
from gradaudit.devices import one_thread
from gradaudit.errors import InputError
from gradaudit.instruments.alignment import alignment
from gradaudit.instruments.manifold_robustness import manifold_robustness
from gradaudit.instruments.sweep import read_families, schedule


def test_every_number_is_what_the_instruments_give(small, swept, swept_store):
    (noise,) = read_families({"noise": small.families["noise"]})
    shared = {"device": "cpu"}
    with one_thread():
        for family, strength, recipe in (("none", 0.0, small.base), ("noise", 0.5, noise.recipe(small.base, 0.5))):
            classifier = ga.train_once(recipe, small.train, store=swept_store, **shared)
            robust = ga.robustness(classifier, small.test, norm="l2", eps=(0.0, 0.1, 0.3), store=swept_store, **shared)
            aligned = alignment(classifier, small.test, small.mixture.denoiser(), sigma=(0.1, 0.2), **shared)
            spaces = small.mixture.tangent_spaces(small.test.floats())
            moved = manifold_robustness(classifier, small.test, spaces, radius=(0.2, 0.5, 1.0), samples=2, **shared)
            own = swept.table[(swept.table["family"] == family) & (swept.table["strength"] == strength)]
            values = {name: rows[["value", "low", "high"]].to_numpy() for name, rows in own.groupby("measure")}
            expected = robust.table[["accuracy", "low", "high"]].to_numpy()
            assert values["accuracy"] == pytest.approx(expected[:1])
            assert values["pgd"] == pytest.approx(expected[1:])
            for measure, gradient in (("alignment", "logit"), ("alignment_control", "control: logit of another image")):
                rows = aligned.table[aligned.table["gradient"] == gradient][["value", "low", "high"]]
                assert values[measure] == pytest.approx(rows.to_numpy(), abs=1e-6)
            for direction in ("on", "off"):
                rows = moved.table[moved.table["direction"] == direction][["change", "low", "high"]]
                assert values[f"change_{direction}"] == pytest.approx(rows.to_numpy(), abs=1e-6)
            ratios = [*moved.ratios()[["ratio", "low", "high"]].to_numpy(), moved.ratio()]
            assert values["off_manifold_robustness"] == pytest.approx(np.array(ratios), rel=1e-4)
            confidence = classifier(small.test.floats()).softmax(1).amax(1).mean().item()
            assert values["confidence"][0, 0] == pytest.approx(confidence, abs=1e-5)


def test_the_classifiers_are_all_there_in_order(swept):
    names = [(one.family, one.strength) for one in swept.classifiers]
    assert names == [
        ("none", 0.0),
        ("gradient_penalty", 0.1),
        ("gradient_penalty", 10.0),
        *(("noise", s) for s in (0.05, 0.5, 5.0)),
    ]
    assert swept.regimes[["family", "strength"]].apply(tuple, axis=1).tolist() == names
    assert swept.regimes["regime"].iloc[0] == "weak"
    assert swept.settings["reference_radius"] == 0.5
    assert swept.correlation()["family"].tolist() == ["all", "gradient_penalty", "noise"]
    assert swept.peaks()["peak"].iloc[0] == "too few strengths"


def test_a_strong_penalty_is_robust_both_ways(swept):
    found = swept.regimes.set_index(["family", "strength"])
    assert found.loc[("gradient_penalty", 10.0), "regime"] == "excessive"
    assert found.loc[("gradient_penalty", 10.0), "off"] < 0.3


def test_several_workers_and_a_tensor_of_bases_give_the_same(small, swept, tmp_path):
    families = {"noise": small.families["noise"][:1]}
    spaces = small.mixture.tangent_spaces(small.test.floats())
    found = small.sweep(tmp_path, workers=2, tangent_spaces=spaces, families=families)
    for one, other in zip(found.classifiers, (swept.classifiers[0], swept.classifiers[3]), strict=True):
        for name in ("correct", "confidence", "alignment", "control", "changes"):
            assert np.array_equal(getattr(one, name), getattr(other, name)), name


def test_a_stopped_sweep_goes_on_and_a_finished_one_does_nothing(small, swept, tmp_path, monkeypatch):
    original, done = schedule.outcome_of, []

    def counted(recipe, description, setup):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(recipe.objective)
        return original(recipe, description, setup)

    monkeypatch.setattr(schedule, "outcome_of", counted)
    with pytest.raises(KeyboardInterrupt):
        small.sweep(tmp_path)
    before, done[:] = [*done], []
    monkeypatch.setattr(schedule, "outcome_of", lambda *arguments: done.append(arguments[0].objective) or original(*arguments))
    found = small.sweep(tmp_path)
    assert len(before) == 2
    assert len(done) == 4
    assert set(done).isdisjoint(before)
    assert found.table.equals(swept.table)
    small.sweep(tmp_path)
    assert len(done) == 4


def test_another_radius_trains_nothing(small, tmp_path, monkeypatch):
    from gradaudit.training import once

    families = {"noise": (0.5,)}
    small.sweep(tmp_path, families=families)
    monkeypatch.setattr(once, "train", None)  # calling it would raise
    assert small.sweep(tmp_path, families=families, radius=2.0).settings["radius"] == [2.0]


def test_save_and_load(swept, tmp_path):
    folder = swept.save(tmp_path / "out")
    assert sorted(path.name for path in folder.iterdir()) == ["map.svg", "results.json", "sweep.csv", "sweep.svg"]
    found = ga.load_result(folder)
    assert found.to_json() == swept.to_json()
    assert found.regimes.equals(swept.regimes)
    assert found.peaks().equals(swept.peaks())
    assert found.correlation().equals(swept.correlation())


def test_the_regimes_at_another_radius_and_share(swept):
    base = swept.rows("change_on", 1.0)["value"].iloc[0]
    found = swept.regimes_at(1.0, 0.2)
    assert found["on"].tolist() == pytest.approx((swept.rows("change_on", 1.0)["value"] / base).tolist(), rel=1e-6)
    lenient = swept.regimes_at(1.0, 0.9)
    assert (lenient["excessive"] >= found["excessive"]).all()
    with pytest.raises(InputError, match="radius"):
        swept.regimes_at(0.3)
    with pytest.raises(InputError, match="share"):
        swept.regimes_at(share=1.0)


def test_the_figures_show_every_classifier(swept):
    figure = swept.plot()
    titles = [axes.get_title() for axes in figure.axes]
    assert [title for title in titles if title] == ["gradient_penalty", "noise"]
    lines = {line.get_label(): line for line in figure.axes[1].get_lines()}  # the accuracies of the second family
    assert lines["accuracy"].get_ydata().tolist() == pytest.approx(swept.rows("accuracy")["value"].tolist()[3:])
    across = {round(float(line.get_xdata()[0]), 6) for line in swept.map().axes[0].get_lines() if len(line.get_xdata()) == 1}
    assert {round(value, 6) for value in swept.off_manifold_robustness} <= across


def test_a_family_of_one_strength_can_be_drawn(small, tmp_path):
    found = small.sweep(tmp_path, families={"noise": (0.5,)})
    found.save(tmp_path / "out")
    assert found.verdict.label in ("not confirmed", "mixed")
    assert any("three strengths" in text for text in found.verdict.caveats)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"base": "mlp"}, "`base`"),
        ({"base": ga.Recipe(objective="noise")}, "`base`"),
        ({"base": ga.Recipe(normalisation="cifar10")}, "`base`"),
        ({"families": {"noise": (1.0, 0.5)}}, "families"),
        ({"denoiser": 3}, "`denoiser`"),
        ({"tangent_spaces": 3}, "`tangent_spaces`"),
        ({"tangent_spaces": torch.zeros(40, 4, 36)}, "`tangent_spaces`"),
        ({"tangent_spaces": torch.eye(36)[None, :4].repeat(39, 1, 1)}, "`tangent_spaces`"),
        ({"sigma": (0.2, 0.1)}, "`sigma`"),
        ({"similarity": "cosin"}, "`similarity`"),
        ({"similarity": ["cosine", "rank_correlation"]}, "a single similarity"),
        ({"gradient": "logits"}, "`gradient`"),
        ({"score": "bays"}, "`score`"),
        ({"radius": 0.0}, "`radius`"),
        ({"samples": 0}, "`samples`"),
        ({"norm": "l1"}, "`norm`"),
        ({"eps": (0.0, 0.1)}, "`eps`"),
        ({"eps": ()}, "`eps`"),
        ({"seed": -1}, "`seed`"),
        ({"workers": 0}, "`workers`"),
        ({"device": "abacus"}, "`device`"),
        ({"test": 3}, "`test`"),
        ({"train": 3}, "`train`"),
    ],
)
def test_bad_input_names_the_argument(small, tmp_path, options, words):
    with pytest.raises(InputError, match=words):
        small.sweep(tmp_path, **options)
    assert not list(tmp_path.rglob("*.safetensors"))


def test_other_images_for_testing_are_refused(small, tmp_path):
    test = small.test
    with pytest.raises(InputError, match="`test`"):
        small.sweep(tmp_path, test=ga.ImageSet(test.images[:, :, :5], test.labels, test.classes))
    with pytest.raises(InputError, match="`test`"):
        small.sweep(tmp_path, test=ga.ImageSet(test.images, test.labels, ("x", "y", "z")))
    with pytest.raises(InputError, match="`images`"):
        small.sweep(tmp_path, test=test[:1])


def test_a_function_gives_the_tangent_spaces_of_a_sweep(small, swept, swept_store):
    found = small.sweep(swept_store, tangent_spaces=small.mixture.tangent_spaces)
    assert found.settings == swept.settings
    assert found.table.equals(swept.table)
