"""`gradaudit audit`, `compare` and `schema`."""

import json

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file
from torch import nn

import gradaudit as ga
from gradaudit.auditing.files import read_classifier, read_request
from gradaudit.errors import InputError
from gradaudit.instruments.contract import audited as kinds

HEAVY = (
    "diffroar",
    "counterfactual_differences",
    "counterfactual",
    "contrast",
    "fidelity",
    "trust_radius",
    "leakage",
    "manifold_robustness",
)
FAST = ("--device", "cpu", "--preset", "quick", *(word for name in HEAVY for word in ("--skip", name)))


def test_it_prints_verdicts_and_writes_a_page(cli, trained, images, tmp_path):
    found = cli("audit", f"mine={trained}", "--data", images, "--out", "report", *FAST)
    assert found.status == 0, found.err
    assert "robustness" in found.out
    assert "diffroar left out: switched off" in found.out
    assert "alignment left out: it needs a denoiser" in found.out
    result = ga.load_audit(tmp_path / "report")
    assert set(result.results["mine"]) == {"robustness"}
    assert result.results["mine"]["robustness"].verdict.label in found.out
    answer = result.answer["mine"]
    assert found.out.startswith(f"mine: {answer.label}. ")
    assert answer.sentence[1:] in found.out.partition("Verdicts")[0]
    assert ("What would settle it" in found.out) == bool(answer.settle)
    assert "gradaudit audit mine=" in (tmp_path / "report" / "index.html").read_text()


def test_json_is_the_document_and_nothing_else(cli, trained, images):
    found = cli("audit", f"mine={trained}", "--data", images, "--json", *FAST)
    data = json.loads(found.out)
    assert data["kind"] == "audit"
    assert data["settings"]["options"]["diffroar"] is None


def test_a_dry_run_says_what_it_takes_and_does_nothing(cli, trained, images, tmp_path):
    found = cli("audit", f"mine={trained}", "--data", images, "--dry-run", "--device", "cpu", "--skip", "diffroar")
    assert found.status == 0, found.err
    assert "in all" in found.out
    assert "leakage" in found.out  # the file carries its recipe
    assert not (tmp_path / "report").exists()
    assert not (tmp_path / "store" / "audits").exists()


def test_a_toml_file_says_all(cli, trained, images, tmp_path):
    (tmp_path / "audit.toml").write_text(
        f'data = "{images}"\npreset = "quick"\nseed = 3\nrobustness = {{ steps = 2, eps = [0.0, 0.1] }}\n'
        + "".join(f"{name} = false\n" for name in (*HEAVY, "alignment"))
        + f'[classifiers]\nmine = "{trained}"\nagain = {{ classifier = "{trained}" }}\n'
    )
    found = cli("audit", "audit.toml", "--device", "cpu", "--test-images", "12")
    assert found.status == 0, found.err
    result = ga.load_audit(tmp_path / "report")
    assert set(result.results) == {"mine", "again"}
    assert result.settings["seed"] == 3
    assert result.settings["test_images"] == 12
    assert result.results["mine"]["robustness"].settings["eps"] == [0.0, 0.1]


def test_two_audits_are_compared(cli, trained, images, tmp_path):
    for seed in ("0", "1"):
        assert cli("audit", f"mine={trained}", "--data", images, "--out", f"report{seed}", "--seed", seed, *FAST).status == 0
    found = cli("compare", "report0", "report1")
    assert found.status == 0, found.err
    assert "within the intervals" in found.out
    assert found.out.index("the seed differs: 0 before, 1 after") < found.out.index("accuracy under")
    assert (tmp_path / "comparison" / "index.html").exists()
    assert json.loads(cli("compare", "report0", "report1", "--json").out)[0]["instrument"] == "robustness"


def test_classifiers_that_are_compared_disagree_about_images(cli, trained, images, tmp_path):
    other = tmp_path / "other.safetensors"
    assert cli("train", images, "--out", other, "--network", "linear", "--epochs", "2", "--device", "cpu").status == 0
    for out, file in (("one", trained), ("two", other)):
        assert cli("audit", f"mine={file}", "--data", images, "--out", out, *FAST).status == 0
    asked = ("compare", "one", "two", "--data", images, "--classifier", trained)
    found = cli(*asked, "--classifier", other, "--images", "20", "--method", "apgd(steps=3)", "--device", "cpu")
    assert found.status == 0, found.err
    assert "what the one after sees and the other does not: in " in found.out
    assert (tmp_path / "comparison" / "disagreements.csv").exists()
    assert "Images on which they disagree" in (tmp_path / "comparison" / "index.html").read_text(encoding="utf-8")
    for words, said in (
        (asked, "given twice"),
        (asked[:5], "`--data`"),
        ((*asked[:3], *asked[5:], "--classifier", other), "a data set, such as mnist5k"),
        ((*asked[:5], "--classifier", other, "--classifier", trained), "audited before"),
    ):
        refused = cli(*words)
        assert (refused.status, refused.out) == (2, "")
        assert said in refused.err


def test_the_schema_is_json(cli):
    schema = json.loads(cli("schema").out)
    assert schema["title"] == "gradaudit audit"
    assert "results" in schema["properties"]
    assert set(schema["$defs"]["AnswerDocument"]["required"]) == {"label", "sentence", "settle", "readings"}


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["mine=zoo:mnist/standard"], "--data"),
        (["mine=zoo:mnist/standard", "mine=zoo:mnist/robust", "--data", "x.npz"], "mine"),
        (["=zoo:mnist/standard", "--data", "x.npz"], "classifiers"),
        (["mine=nothing", "--data", "IMAGES"], "mine"),
        (["mine=TRAINED", "--data", "IMAGES", "--preset", "quik"], "preset"),
        (["mine=TRAINED", "--data", "IMAGES", "--skip", "roar"], "roar"),
        (["mine=TRAINED", "--data", "IMAGES", "--denoiser", "zoo:nothing"], "zoo:nothing"),
        (["missing.toml"], "missing.toml"),
        (["empty.toml"], "classifiers"),
        (["empty.toml", "--data", "x.npz"], "--data"),
    ],
)
def test_mistakes_are_one_line(cli, trained, images, tmp_path, words, named):
    (tmp_path / "empty.toml").write_text("")
    words = [word.replace("TRAINED", str(trained)).replace("IMAGES", str(images)) for word in words]
    found = cli("audit", *words, "--device", "cpu")
    assert found.status == 2
    assert named in found.err
    assert len(found.err.strip().splitlines()) == 1


@pytest.fixture(name="theirs")
def theirs_fixture(cli, tmp_path):
    """A user's file with a classifier of bright and dark images, whose outputs are not in the alphabet's order, and such images."""
    rng = np.random.default_rng(0)
    for label, name in enumerate(("dark", "light")):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for place in range(20):
            pixels = rng.integers(0, 60, (10, 10)).astype(np.uint8) + np.uint8(150 * label)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{place}.png")
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 2))
    network[1].weight.data = torch.stack([torch.ones(64), -torch.ones(64)])  # light, dark
    network[1].bias.data = torch.tensor([-32.0, 32.0])
    torch.save(
        {"epoch": 3, "state_dict": {f"module.{key}": value for key, value in network.state_dict().items()}}, "theirs.pth.tar"
    )
    np.savez("theirs.npz", **{"dense/kernel": network[1].weight.detach().numpy().T, "dense/bias": network[1].bias.detach().numpy()})
    (tmp_path / "their_file.py").write_text(
        "from torch import nn\n\n\ndef network():\n    return nn.Sequential(nn.Flatten(), nn.Linear(64, 2))\n"
    )
    return "photos(size=8,channels=1)"


def test_a_wrong_order_of_classes_is_found_before_any_work(cli, theirs):
    mine = "mine=their_file:network(weights='theirs.pth.tar')"
    words = ("--dry-run", "--device", "cpu", "--preset", "quick")
    wrong = cli("audit", mine, "--data", theirs, *words)
    assert wrong.status == 0, wrong.err
    assert "mine gives 0.0 % of the test images their label" in wrong.out
    assert "were its outputs light, dark in this order, 100 %" in wrong.out
    right = cli("audit", mine, "--data", theirs, "--classes", "light, dark", *words)
    assert "mine gives 100.0 % of the test images their label" in right.out
    assert "Look into this first" not in right.out
    other = cli("audit", mine, "--data", theirs, "--classes", "light,drak", *words)
    assert other.status == 2
    assert "`classes`" in other.err


def test_the_page_begins_with_the_doubt(cli, theirs, tmp_path):
    mine = "mine=their_file:network(weights='theirs.pth.tar')"
    found = cli("audit", mine, "--data", theirs, "--device", "cpu", "--preset", "quick", *FAST)
    assert found.status == 0, found.err
    page = (tmp_path / "report" / "index.html").read_text()
    assert page.index("Mine gives 0 % of the test images") < page.index('id="answers-heading"')


@pytest.mark.parametrize(
    ("classifier", "hint"),
    [
        ("theirs.npz", "a function that makes the module"),
        ("their_file:network(weights='theirs.npz')", "another framework's arrays"),
        ("their_file.py:network", "named without .py: their_file:network"),
        ("their_file:network(weights='kernels.safetensors')", "Kernels are another framework's"),
        ("theirs.pth", "NETWORK(weights='theirs.pth')"),
    ],
)
def test_what_usually_is_meant_is_said(cli, theirs, tmp_path, classifier, hint):
    save_file({"dense/kernel": torch.ones(64, 2), "dense/bias": torch.ones(2)}, tmp_path / "kernels.safetensors")
    (tmp_path / "theirs.pth.tar").rename(tmp_path / "theirs.pth")
    found = cli("audit", f"mine={classifier}", "--data", theirs, "--device", "cpu")
    assert found.status == 2
    assert hint in found.err


def test_a_request_refuses_keys_that_mean_nothing(tmp_path):
    (tmp_path / "audit.toml").write_text('data = "mnist5k"\ndenoisr = "zoo:mnist"\n[classifiers]\na = "zoo:mnist/standard"\n')
    with pytest.raises(InputError, match="denoisr"):
        read_request(tmp_path / "audit.toml", set(kinds()))


def test_a_classifier_may_carry_its_weights_and_its_recipe(trained, images):
    _, test = ga.load_images(images)
    classifier, recipe = read_classifier("a", str(trained), test)
    assert recipe is not None
    from safetensors.torch import save_file

    save_file(classifier.state_dict(), images.parent / "plain.safetensors")
    loaded, none = read_classifier(
        "b", f"{recipe.network.partition('(')[0]}(weights='{images.parent / 'plain.safetensors'}')", test
    )
    assert none is None
    assert (loaded(test.floats()) == classifier(test.floats())).all()
    with pytest.raises(InputError, match="weight"):
        read_classifier("c", {"classifier": "mlp", "weight": "x"}, test)
    with pytest.raises(InputError, match="classifier"):
        read_classifier("d", {"weights": "x"}, test)
