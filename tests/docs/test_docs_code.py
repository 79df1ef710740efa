"""Every page's code, run as it stands but for the marks that make it smaller; what some pages' names must then be."""

import re
from pathlib import Path

import pytest
import torch
from PIL import Image

import gradaudit as ga
from gradaudit.diffusion.tangents import TANGENTS
from gradaudit.fills import resolve_fill
from gradaudit.instruments.alignment.methods import GRADIENTS, SCORES, SIMILARITIES
from gradaudit.instruments.counterfactual import METHODS, counterfactual
from gradaudit.registry import imported

ROOT = Path(__file__).parents[2]
ELSEWHERE = {"peers.md"}  # tests/integrations/test_peers_page.py, where there are the libraries that it needs
WITH_CODE = [page.name for page in sorted((ROOT / "docs").glob("*.md")) if "```python" in page.read_text(encoding="utf-8")]
PAGES = [page for page in WITH_CODE if page not in ELSEWHERE]
NEEDS = {"denoisers.md": ("elsewhere",)}


def alignment(names, folder):
    assert ga.load_result(folder / "out").to_json() == names["result"].to_json()
    assert len(names["result"].table) == 24  # a gradient and its three controls, 3 sigmas, 2 similarities
    assert names["exact"].table["value"][0] > 0.999
    assert names["exact"].verdict.label == "aligned"
    gradients = torch.tensor([1.0, -2.0, 3.0, -4.0]).reshape(1, 1, 2, 2)
    assert names["sign_agreement"](gradients, gradients.abs()).tolist() == [0.5]


def counterfactuals(names, folder):
    result = names["result"]
    assert ga.load_result(folder / "out").to_json() == result.to_json()
    assert len(result.table) == 2 * 3
    with Image.open(folder / "way.webp") as film:
        assert film.is_animated
    measured = {re.sub("convnet", "<oracle>", column) for column in result.table.columns} - {"method", "image", "seed", "failed"}
    page = (ROOT / "docs" / "counterfactuals.md").read_text(encoding="utf-8")
    assert measured <= set(re.findall(r"`([\w<>]+)`", page)) | {"source", "target"}


def denoisers(names, folder):
    own, clean = ga.load_denoiser("my_denoisers:shrinking"), 0.5 + 0.2 * torch.randn(50, 1, 28, 28)
    error = (own(clean + 0.3 * torch.randn_like(clean), 0.3) - clean).square().mean()
    assert float(error) == pytest.approx(0.2**2 * 0.3**2 / (0.2**2 + 0.3**2), rel=0.05)  # the least that any can have
    pickled = ga.load_denoiser("edm-cifar10-32x32-cond-vp.pkl", allow_pickle=True)
    converted = ga.load_denoiser("my_edm:EDM", shape=(3, 32, 32), classes=10)
    noisy, classes = torch.rand(2, 3, 32, 32), torch.tensor([3, 8])
    for labels in (None, classes):
        assert torch.allclose(converted(noisy, 0.25, labels), pickled(noisy, 0.25, labels), atol=1e-6)
    assert not torch.allclose(converted(noisy, 0.25, classes), converted(noisy, 0.25), atol=1e-3)
    assert ga.load_denoiser("mine.safetensors").description["recipe"] == ga.denoiser_recipe("mnist").model_dump()


def extend(names, folder):
    train, test = ga.load_images("my_data:my_data")
    objective = "my_objective:my_objective(smoothing=0.2)"
    recipe = ga.Recipe(network="my_network:my_network(width=8)", objective=objective, epochs=30, batch_size=32)
    classifier = ga.train(recipe, train)
    assert ga.measure_accuracy(classifier, test) > 0.9
    scores = ga.attribute_all(classifier, test, "my_attribution:my_attribution(power=2.0)")
    assert scores.shape == (len(test), *test.shape)
    assert (scores >= 0).all()
    denoiser = ga.load_denoiser("my_denoiser:my_denoiser")
    grey = torch.full((2, 1, 8, 8), 0.5)
    assert torch.equal(denoiser(grey, 0.3), grey)
    fill, kept = resolve_fill("my_fill:my_fill(grey=0.2)", train), torch.tensor([[[[0.8, 0.4, 0, 0]]], [[[0, 0, 0, 0]]]])
    expected = torch.tensor([[[[0.8, 0.4, 0.6, 0.6]]], [[[0.2, 0.2, 0.2, 0.2]]]])
    assert torch.allclose(fill(kept, kept > 0), expected)
    found = counterfactual(classifier, test[:5], "second", method="my_method:my_method(steps=40)")
    assert found.table["confidence_after"].gt(found.table["confidence_before"]).all()
    brightness = imported("brightness", "brightness_options:brightness")
    assert brightness(classifier, test, factor=4) == pytest.approx(2 * brightness(classifier, test))
    assert "factor: what the confidence is multiplied by." in brightness.__doc__
    with pytest.raises(ga.InputError, match=r"^`factor` \(=0\) must be a finite number, above 0"):
        brightness(classifier, test, factor=0)


def fidelity(names, folder):
    result = names["result"]
    assert ga.load_result(folder / "out").to_json() == result.to_json()
    page = (ROOT / "docs" / "fidelity.md").read_text(encoding="utf-8")
    assert {*result.table, *result.orders, *result.single_patches} <= set(re.findall(r"`(\w+)`", page))


def contrast(names, folder):
    result = names["result"]
    assert ga.load_result(folder / "out").to_json() == result.to_json()
    page = (ROOT / "docs" / "contrast.md").read_text(encoding="utf-8")
    assert {f"`{measure}`" for measure in result.table["measure"]} <= set(re.findall("`[^`]*`", page))


def leakage(names, folder):
    assert names["result"].accuracy > 0.9
    assert names["one_coordinate"].accuracy > 0.9


def manifold(names, folder):
    assert ga.load_result(folder / "out").to_json() == names["result"].to_json()
    spaces, test = names["spaces"], names["test"]
    assert spaces.shape == (len(test), 32, 784)
    assert torch.allclose(spaces @ spaces.mT, torch.eye(32).expand(len(test), -1, -1), atol=1e-4)
    again = ga.tangent_spaces(test, ga.load_autoencoder("autoencoder.safetensors"))
    assert torch.allclose(again.mT @ again, spaces.mT @ spaces, atol=1e-3)
    by_batch = ga.manifold_robustness(names["classifier"], test, lambda floats: ga.tangent_spaces(floats, names["autoencoder"]))
    assert by_batch.ratio() == pytest.approx(names["result"].ratio(), rel=1e-3)
    assert ga.load_result(folder / "sweep").to_json() == names["swept"].to_json()
    assert list(names["swept"].regimes["family"]) == ["none", *["gradient_penalty"] * 3, "noise"]


def region_flips(names, folder):
    result = names["result"]
    assert ga.load_result(folder / "out").to_json() == result.to_json()
    page = (ROOT / "docs" / "region_flips.md").read_text(encoding="utf-8")
    assert {*result.table, *result.measures, *result.settings["controls"]} <= set(re.findall(r"[a-z_]+", page))


def trust_radius(names, folder):
    result = names["result"]
    assert ga.load_result(folder / "out").to_json() == result.to_json()
    page = (ROOT / "docs" / "trust_radius.md").read_text(encoding="utf-8")
    assert {*result.table} <= set(re.findall(r"`(\w+)`", page))


def own_model(names, folder):
    assert names["train"].classes == ("cat", "dog")
    # The order of classes is the names', not the labels'.
    reordered, test = names["reordered"], names["test"]
    assert all(reordered.classes[new] == test.classes[old] for new, old in zip(reordered.labels, test.labels, strict=True))
    # The other framework's network, as plain sums over its own arrangement of the arrays.
    arrays = {name: torch.from_numpy(array) for name, array in names["np"].load("weights.npz").items()}
    x = torch.rand(2, 32, 32, 3, dtype=torch.float64)
    patches = x.unfold(1, 5, 2).unfold(2, 5, 2)  # (N, 14, 14, in, height, width)
    hidden = torch.einsum("nabchw,hwco->nabo", patches, arrays["conv_kernel"]) + arrays["conv_bias"]
    expected = hidden.clamp_min(0).flatten(1) @ arrays["dense_kernel"] + arrays["dense_bias"]
    assert torch.allclose(names["converted"]().double()(x.permute(0, 3, 1, 2)), expected, rtol=1e-5)
    probabilities = names["Theirs"]()
    images = test.floats()
    assert torch.allclose(names["Logits"](probabilities)(images).softmax(1), probabilities(images)["probabilities"], atol=1e-6)
    assert set(names["result"].table["attribution"]) == {"ours", "random"}
    report = names["report"]
    assert set(report.results) == {"converted", "theirs"}
    whole = {"diffroar", "contrast", "counterfactual_differences", "fidelity", "trust_radius", "robustness", "counterfactual"}
    assert set(report.results["theirs"]) == whole
    assert set(report.skipped["theirs"]) == {"leakage", "alignment", "manifold_robustness"}
    assert names["ready"].accuracies["theirs"] == pytest.approx(ga.measure_accuracy(names["theirs"], names["test"]))
    assert ga.load_audit(folder / "report").to_json() == report.to_json()


def robustness(names, folder):
    assert set(names["result"].table["attack"]) == {"pgd", "autoattack", "worst"}


def start(names, folder):
    assert names["again"].to_json() == names["result"].to_json()
    assert "it needs a denoiser" in names["audit"].skipped["mine"]["alignment"]


def training(names, folder):
    assert ga.load_classifier("robust.safetensors")(names["test"].floats()).shape == (len(names["test"]), 10)


CHECKS = {check.__name__: check for check in (alignment, contrast, counterfactuals, denoisers, extend, fidelity, leakage, manifold)}
CHECKS |= {check.__name__: check for check in (own_model, region_flips, robustness, start, training, trust_radius)}


@pytest.mark.slow
@pytest.mark.parametrize("page", PAGES)
@pytest.mark.filterwarnings("ignore:.*seems to return probabilities")
def test_the_code_of_a_page_runs(page, run_page, user, request):
    for name in NEEDS.get(page, ()):
        request.getfixturevalue(name)
    names = run_page(f"docs/{page}")
    check = CHECKS.get(page.removesuffix(".md"))
    if check:
        check(names, user)


@pytest.mark.parametrize(
    ("page", "registry"),
    [("alignment", GRADIENTS), ("alignment", SCORES), ("alignment", SIMILARITIES), ("counterfactuals", METHODS)],
    ids=lambda value: getattr(value, "kind", value),
)
def test_a_page_has_everything_of_its_kind(page, registry):
    text = (ROOT / "docs" / f"{page}.md").read_text(encoding="utf-8")
    rows = re.findall(r"^\| `(\w+)[`(]", text, flags=re.MULTILINE)
    assert set(registry.names()) <= set(rows)


def test_the_page_on_the_manifold_has_every_source():
    text = (ROOT / "docs" / "manifold.md").read_text(encoding="utf-8")
    sources = {TANGENTS.function("source", name).__annotations__["source"] for name in TANGENTS.names()}
    assert sources <= set(re.findall(r"^\| `(\w+)` \| ", text, flags=re.MULTILINE))
