"""The toys in an audit, with their options in its TOML file, as text and as tables."""

import json

import gradaudit as ga

TOY = "toy(strength=2)"
AUDIT = """
data = "toy(strength=2)"
denoiser = "toy:anywhere(strength=2)"
preset = "quick"
manifold_robustness = false  # it takes nothing by name

[classifiers]
one = { classifier = "toy(strength=2)", weights = "toy.safetensors" }

[diffroar]
attribution = ["toy(strength=2)", { name = "toy", strength = 3 }]
controls = ["random"]
fill = { name = "toy", strength = 2 }
evaluator = { network = "toy(strength=2)", objective = { name = "toy", strength = 2 }, optimizer = "toy(strength=2)", epochs = 1 }
levels = [0.5]
seeds = 2
gap = 0

[fidelity]
attribution = { name = "toy", strength = 2 }
fill = ["toy(strength=2)", { name = "toy", strength = 3 }]
controls = []

[leakage]
attribution = { name = "toy", strength = 2 }
controls = []

[robustness]
attack = ["toy(strength=2)", { name = "toy", strength = 1 }]
eps = [0.0, 0.1]

[alignment]
gradient = { name = "toy", strength = 2 }
score = { name = "toy", strength = 2 }
similarity = ["toy(strength=2)"]

[contrast]
neighbours = 2

[counterfactual]
method = ["toy(strength=2)", { name = "toy", strength = 3 }]
images = 4

[counterfactual_differences]
method = { name = "toy", strength = 2 }
evaluator = { network = "toy(strength=2)", epochs = 1 }
fill = "toy(strength=2)"
controls = []
levels = [0.5]
seeds = 2
gap = 0
"""


def test_an_audit(toys, cli, tmp_path):
    train, _ = ga.load_images("toy")
    recipe = ga.Recipe(network=TOY, objective=TOY, epochs=1)
    ga.save_trained(tmp_path / "toy.safetensors", ga.train(recipe, train, device="cpu"), recipe, train)
    (tmp_path / "audit.toml").write_text(AUDIT)
    found = json.loads(cli("audit", "audit.toml", "--workers", 1, "--backend", TOY, "--device", "cpu", "--json"))
    assert found["skipped"] == {"one": {"manifold_robustness": "switched off"}}
    settings = {kind: one["settings"] for kind, one in found["results"]["one"].items()}
    assert settings["diffroar"]["attributions"] == [TOY, "toy(strength=3)"]
    assert settings["diffroar"]["fill"] == TOY
    assert [settings["diffroar"]["evaluator"][field] for field in ("network", "objective", "optimizer")] == [TOY] * 3
    assert settings["fidelity"]["attributions"] == [TOY]
    assert settings["fidelity"]["fills"] == [TOY, "toy(strength=3)"]
    assert settings["leakage"]["attributions"] == [TOY]
    assert {TOY, "toy(strength=1)"} <= {*found["results"]["one"]["robustness"]["table"]["attack"]["values"]}
    assert [settings["alignment"][name] for name in ("gradients", "scores", "similarities")] == [[TOY]] * 3
    assert settings["counterfactual"]["methods"] == [TOY, "toy(strength=3)"]
    assert found["results"]["one"]["counterfactual"]["table"]["toy"]["values"] == [1.0] * 8
    assert settings["counterfactual_differences"]["fill"] == TOY
    page = (tmp_path / "report" / "index.html").read_text(encoding="utf-8")
    assert page.count(TOY) > 5
