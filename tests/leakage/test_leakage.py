"""The leakage instrument: closed forms, invariances, what a user may pass, and the verdict with its caveats."""

import numpy as np
import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.instruments.leakage import LeakageResult, leakage, mask_from_boxes

CPU = {"device": "cpu"}
ONE = {"controls": (), "device": "cpu"}


def value(result, measure, attribution=None):
    return float(result.rows(measure)["value"][attribution or result.audited[0]])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_classifier_that_looks_at_the_signal_alone_does_not_leak(blocks, channels):
    images = blocks.images(position="top", channels=channels)
    result = leakage(blocks.looking_at("top", channels=channels), images, **ONE)
    assert value(result, "null_mass") == value(result, "null_top_0.1") == 0
    assert value(result, "pointing") == value(result, "auroc") == 1
    assert value(result, "quality_1") == 1
    assert result.verdict.label == "stays"
    other = leakage(blocks.looking_at("bottom", channels=channels), images, **ONE)
    assert value(other, "null_mass") == value(other, "null_top_0.1") == 1
    assert value(other, "pointing") == value(other, "auroc") == 0
    assert other.verdict.label == "leaks"


def test_scores_at_random_are_at_chance(blocks):
    result = leakage(blocks.network(), blocks.images(600), attribution="random", controls=(), features="coordinates", **CPU)
    rows = result.table.set_index("measure")
    wide = 2 * (rows["high"] - rows["low"]) / 2  # four standard errors
    assert ((rows["value"] - rows["chance"]).abs() < wide).all()
    chances = dict.fromkeys(rows.index, 0.5) | {"quality_1": 0.0}
    assert rows["chance"].to_dict() == pytest.approx(chances)
    assert result.verdict.label == "leaks"


def test_chance_is_the_area_outside(blocks):
    images = blocks.images(30)
    mask = mask_from_boxes([[0, 0, 3, 4]] * 15 + [[1, 1, 5, 11]] * 15, blocks.shape[1:])
    result = leakage(blocks.network(), images, signal_mask=mask, **ONE)
    area = (12 + 40) / 2 / 72
    assert value(result, "null_mass") != value(leakage(blocks.network(), images, **ONE), "null_mass")
    found = result.table.set_index("measure")["chance"].to_dict()
    assert found["null_top_0.1"] == found["null_mass"] == pytest.approx(1 - area)
    assert found["pointing"] == pytest.approx(area)


def test_permuted_images_give_permuted_measures(blocks):
    images, network = blocks.images(), blocks.network()
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    one, other = leakage(network, images, **ONE), leakage(network, images[order], **ONE)
    before, after = one.per_image("logit_gradient"), other.per_image("logit_gradient")
    np.testing.assert_allclose(after.to_numpy(float), before.iloc[order.numpy()].to_numpy(float), atol=1e-6)
    np.testing.assert_allclose(other.table["value"], one.table["value"], atol=1e-6)


def test_the_batch_size_does_not_matter_with_ties_either(blocks):
    images = blocks.images()

    def rounded(classifier, batch, targets):
        return (batch * 3).round() - 1

    options = {"attribution": [rounded, "smoothgrad(samples=2)"], "controls": ("random", "edges"), **CPU}
    one, other = (leakage(blocks.network(), images, batch_size=size, **options) for size in (7, 40))
    for name in ("rounded", "random", "edges"):
        assert one.per_image(name).equals(other.per_image(name))
    np.testing.assert_allclose(one.table["value"], other.table["value"], atol=1e-6)
    assert one.per_image("rounded")["null_top_0.1"].nunique() > 2


def test_per_image_and_table_agree(blocks):
    result = leakage(blocks.network(), blocks.images(), attribution=["logit_gradient", "loss_gradient"], top=(0.2, 0.05), **CPU)
    assert result.audited == ("logit_gradient", "loss_gradient")
    assert result.controls == ("random", "blurred_random", "edges")
    measures = ["null_mass", "null_top_0.05", "null_top_0.2", "pointing", "quality_1", "auroc"]
    assert list(result.table.columns) == ["attribution", "measure", "value", "low", "high", "chance"]
    for name in (*result.audited, *result.controls):
        found = result.per_image(name)
        assert found.columns.tolist() == ["label", *measures]
        assert found["label"].tolist() == blocks.images().labels.tolist()
        table = result.table[result.table["attribution"] == name]
        assert table["measure"].tolist() == measures
        assert table["value"].tolist() == pytest.approx(found[measures].mean().tolist())
        assert (table["low"] <= table["value"]).all()
        assert (table["value"] <= table["high"]).all()


def test_a_saved_result_comes_back_whole(blocks, tmp_path):
    result = leakage(blocks.network(), blocks.images(), **CPU)
    loaded = ga.load_result(result.save(tmp_path))
    assert isinstance(loaded, LeakageResult)
    assert loaded.table.equals(result.table)
    assert loaded.verdict == result.verdict
    assert loaded.per_image("edges").equals(result.per_image("edges"))
    assert loaded.accuracy == result.accuracy
    assert (tmp_path / "leakage.svg").read_bytes()


def test_the_rank_of_the_signal(blocks):
    images = blocks.images(30)
    scores = torch.rand(images.images.shape) * 0.5
    wanted = [1 + place % 3 for place in range(30)]
    for image, mask, rank in zip(scores, images.signal_mask, wanted, strict=True):
        image.view(-1)[(~mask).flatten().nonzero()[: rank - 1]] = 2.0
        image.view(-1)[mask.flatten().nonzero()[4]] = 1.0
    result = leakage(blocks.network(), images, attribution={"ranked": scores}, **ONE)
    found = result.signal_rank("ranked")
    assert found.to_dict("list") == {"rank": [1, 2, 3], "images": [10, 10, 10], "share": [1 / 3] * 3}


def test_the_predicted_class_may_be_attributed(blocks):
    images, network = blocks.images(), blocks.network()
    with torch.no_grad():
        predicted = network(images.floats()).argmax(1)
    relabelled = ga.ImageSet(images.images, predicted, images.classes, images.signal_mask)
    of_predicted = leakage(network, images, target="predicted", **ONE).per_image("logit_gradient")
    of_relabelled = leakage(network, relabelled, **ONE).per_image("logit_gradient")
    assert of_predicted.drop(columns="label").equals(of_relabelled.drop(columns="label"))
    assert not of_predicted.equals(leakage(network, images, **ONE).per_image("logit_gradient"))


def test_the_classifier_is_left_as_it_was(blocks):
    network = nn.Sequential(blocks.network(), nn.Dropout(0.5)).train()
    before = {name: part.clone() for name, part in network.state_dict().items()}
    leakage(network, blocks.images(10), **ONE)
    assert all(module.training for module in network.modules())
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    assert all(torch.equal(part, before[name]) for name, part in network.state_dict().items())


@pytest.mark.parametrize(("outside", "label"), [([1], "stays"), ([2], "leaks"), ([1, 1, 1, 2], "inconclusive")])
def test_the_verdict_turns_at_half_of_chance(blocks, outside, label):
    images = blocks.images(100)
    keep = 5
    scores = blocks.scores_with(outside * (100 // len(outside)), images, keep)
    result = leakage(blocks.network(), images, attribution={"mine": scores}, top=(0.01, keep / 72, 0.5), **ONE)
    assert result.level == keep / 72
    assert value(result, result.deciding_measure) == pytest.approx(np.mean(outside) / keep)
    assert result.verdict.label == label
    assert "by mine lie outside the signal; at random it would be 50.0%" in result.verdict.sentence


def test_a_single_image_is_inconclusive_and_has_no_interval(blocks):
    result = leakage(blocks.network(), blocks.images(1), **ONE)
    assert result.verdict.label == "inconclusive"
    assert "one has no interval" in " ".join(result.verdict.caveats)
    assert result.rows("null_mass")["low"].isna().all()
    assert result.plot().axes


def caveats(*arguments, **options):
    return " | ".join(leakage(*arguments, **(CPU | options)).verdict.caveats)


def test_caveats_about_the_classifier(blocks):
    images, classifier = blocks.images(120), blocks.network()
    classifier[-1].bias.data -= classifier(images.floats()).mean(0).detach()  # so that every class occurs
    with torch.no_grad():
        own = classifier(images.floats()).argmax(1)

    def found(wrong):
        labels = torch.where(torch.arange(120) < wrong, (own + 1) % 3, own)
        return caveats(classifier, ga.ImageSet(images.images, labels, images.classes, images.signal_mask))

    assert "their label" not in found(0)
    assert "gives 60.0% of these images their label: where it is wrong" in found(48)
    assert "no more than always giving the most frequent one" in found(84)


def test_caveats_about_controls(blocks):
    images = blocks.images(60)
    same = ga.ImageSet(
        images.images[:1].repeat(60, 1, 1, 1), images.labels, images.classes, images.signal_mask[:1].repeat(60, 1, 1)
    )
    assert "control random is off chance" in caveats(blocks.network(), same)
    assert "control random" not in caveats(blocks.network(), images)
    blank = images.images.clone()
    blank[~images.signal_mask[:, None]] = 0
    blank[:, :, [0, 5, 6, 11]] = 0  # the block's own edges lie inside it
    on_signal = ga.ImageSet(blank, images.labels, images.classes, images.signal_mask)
    assert "control edges, which knows no classifier, stays on the signal" in caveats(blocks.network(), on_signal)
    focused = blocks.images(60, position="top")
    assert "control blurred(sigma=0) stays on the signal" in caveats(
        blocks.looking_at("top"), focused, controls=("blurred(sigma=0)",)
    )


def test_caveats_about_maps(blocks):
    images = blocks.images(60)
    scores = torch.rand(images.images.shape)
    scores[:6] = 0
    scores[6:18].flatten(1)[:, 3:] = 0
    scores[6:18].view(12, -1)[:, 3:] = 0
    found = caveats(blocks.network(), images, attribution={"mine": scores})
    assert "10.0% of the images are zero everywhere" in found
    assert "20.0% of the images have fewer scores other than zero than the top 10 % holds" in found
    assert "equal that of an earlier image" not in found
    assert "95.0% of the maps equal that of an earlier image" in caveats(blocks.looking_at("both"), images)


def test_maps_of_zeros_show_nothing(blocks):
    images = blocks.images(60)
    verdict = ga.leakage(blocks.network(), images, attribution={"mine": torch.zeros(images.images.shape)}, device="cpu").verdict
    assert verdict.label == "inconclusive"
    assert "100.0% of the images are zero everywhere" in " ".join(verdict.caveats)


def test_caveats_about_masks_and_sample(blocks):
    images, network = blocks.images(60), blocks.network()
    small = mask_from_boxes([[0, 0, 1, 3]] * 60, blocks.shape[1:])
    found = caveats(network, images, signal_mask=small)
    assert "in 100.0% of the images the signal mask covers less than 5% of the pixels" in found
    assert "even a perfect map would have 57.1% outside" in found  # 3 of the top 7
    assert "covers more than 95%" in caveats(network, images, signal_mask=~small)
    assert "25 images are few" in caveats(network, images[:25])
    assert "% wide" in caveats(network, blocks.images(4))


IMAGES = torch.zeros(4, 1, 12, 6, dtype=torch.uint8)
HALF = torch.zeros(4, 12, 6, dtype=torch.bool)
HALF[:, :6] = True
NO_MASK = ga.ImageSet(IMAGES, [0, 1, 2, 0], ("a", "b", "c"))


@pytest.mark.parametrize(
    ("argument", "words", "changes"),
    [
        ("signal_mask", "blocks", {"signal_mask": None}),
        ("signal_mask", "boolean", {"signal_mask": HALF.float()}),
        ("signal_mask", "shape", {"signal_mask": HALF[:3]}),
        (
            "signal_mask",
            "covers nothing of 2 of them: 1, 3",
            {"signal_mask": HALF & torch.tensor([1, 0, 1, 0]).bool()[:, None, None]},
        ),
        ("signal_mask", "covers all of 1 of them: 2", {"signal_mask": HALF | torch.tensor([0, 0, 1, 0]).bool()[:, None, None]}),
        ("top", "share", {"top": (0.1, 1.0)}),
        ("top", "share", {"top": ()}),
        ("top", "share", {"top": 0}),
        ("seed", "whole number", {"seed": -1}),
        ("features", "pixels", {"features": "voxels"}),
        ("target", "predicted", {"target": "second"}),
        ("attribution", "did you mean", {"attribution": "logit_gradiant"}),
        ("attribution", "at least one", {"attribution": []}),
        ("attribution", "differently", {"attribution": ["edges", "edges"]}),
        ("attribution", "scores of shape", {"attribution": torch.zeros(3, 1, 12, 6)}),
        ("controls", "the name of a control", {"controls": ("logit_gradient",)}),
        ("controls", "other attributions", {"attribution": "edges", "controls": ("edges",)}),
        ("batch_size", "whole number", {"batch_size": 0}),
        ("device", "works here", {"device": "nowhere"}),
    ],
)
def test_bad_arguments_are_named(blocks, argument, words, changes):
    with pytest.raises(ga.InputError, match=rf"^`{argument}`.*{words}"):
        leakage(blocks.network(), NO_MASK, **({"signal_mask": HALF, "device": "cpu"} | changes))


def test_what_is_no_image_set_or_no_classifier_is_refused(blocks):
    with pytest.raises(ga.InputError, match=r"^`images`"):
        leakage(blocks.network(), IMAGES, signal_mask=HALF)
    with pytest.raises(ga.InputError, match=r"^`classifier`"):
        leakage(len, NO_MASK, signal_mask=HALF)
    with pytest.raises(ga.InputError, match=r"^`attribution`.*one of logit_gradient"):
        leakage(blocks.network(), blocks.images(4), **ONE).per_image("edges")


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16], ids=str)
def test_a_classifier_in_another_precision_is_measured_as_in_single(blocks, dtype):
    images = blocks.images()
    single = leakage(blocks.network(), images, controls=(), device="cpu")
    other = leakage(blocks.network().to(dtype), images, controls=(), device="cpu")
    assert other.accuracy == pytest.approx(single.accuracy, abs=0.03)
    assert other.table["value"].to_numpy() == pytest.approx(single.table["value"].to_numpy(), abs=0.06)
