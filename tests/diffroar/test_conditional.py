"""Conditional DiffROAR where the answer is known: masks that tell the label, pixels that do, fills that hide."""

from __future__ import annotations

import numpy as np
import pytest
import torch

import gradaudit as ga

SIDE, CLASSES, TRAIN, TEST = 8, 4, 800, 600
RECIPE = ga.Recipe(network="linear", epochs=3, batch_size=32, learning_rate=0.1)


def labelled(count, seed, pixels):
    """Images made by `pixels(rng, labels)`, uint8 (N, 1, 8, 8)."""
    rng = np.random.default_rng(seed)
    labels = rng.permutation(np.arange(count) % CLASSES)
    return ga.ImageSet(pixels(rng, labels), labels, tuple("abcd"))


def noise(rng, labels):
    return rng.integers(60, 200, (len(labels), 1, SIDE, SIDE), dtype=np.uint8)


def grey(rng, labels):
    return np.full((len(labels), 1, SIDE, SIDE), 100, np.uint8)


def corner(rng, labels):
    """Noise, and in the first four pixels the label."""
    images = noise(rng, labels)
    images[:, 0, 0, :CLASSES] = 255 * (np.arange(CLASSES) == labels[:, None])
    return images


def confessing(images, truth, seed):
    """High in the left half at the two rows of the label, in a share `truth` of the images, else of any class; low on the right."""
    rng = np.random.default_rng(seed)
    count = len(images)
    told = np.where(rng.random(count) < truth, images.labels.numpy(), rng.integers(0, CLASSES, count))
    scores = rng.random((count, 1, SIDE, SIDE))
    scores[..., : SIDE // 2] += 1
    for row in range(2):
        scores[np.arange(count), 0, 2 * told + row, : SIDE // 2] += 1
    return torch.from_numpy(scores).float()


def run(pixels, scores, tmp_path, **options):
    sets = labelled(TRAIN, 0, pixels), labelled(TEST, 1, pixels)
    classifier = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(SIDE * SIDE, CLASSES))
    chosen = {"levels": (0.25,), "seeds": 3, "controls": (), "learner": RECIPE, "workers": 1, "device": "cpu", "store": tmp_path}
    attribution = {"ours": tuple(scores(part, seed) for seed, part in enumerate(sets))}
    return ga.diffroar(classifier, *sets, attribution, evaluate="retrain", **(chosen | options))


def test_a_mask_that_confesses_over_pixels_that_say_nothing(tmp_path):
    """Kept rows say which class was named; their pixels are noise. Raw DiffROAR is fooled, conditional DiffROAR is not."""
    result = run(noise, lambda part, seed: confessing(part, 0.6, seed), tmp_path)
    row = result.summary.iloc[0]
    assert row["mean"] > 0.15
    assert result.verdict.label == "holds"
    assert row["conditional_low_all"] < 0 < row["conditional_high_all"]
    assert abs(row["conditional_mean"]) < 0.06
    assert result.conditional_verdicts["ours"].label == "inconclusive"
    assert result.verdict.caveats[0].startswith("with the mask known the answer is another, inconclusive: conditional DiffROAR")
    # What the mask tells, in closed form: named with probability 0.6 + 0.4 / 4 = 0.7, each other class with 0.1.
    known = -(0.7 * np.log2(0.7) + 3 * 0.1 * np.log2(0.1))
    assert row["bits_mask_top"] == pytest.approx(known, abs=0.15)


def test_a_mask_that_tells_everything_leaves_nothing_to_measure(tmp_path):
    def on_both_sides(part, seed):
        scores = confessing(part, 1.0, seed)
        return 4 + scores - scores.flip(3)

    result = run(corner, on_both_sides, tmp_path)
    assert result.conditional_verdicts["ours"].label == "inconclusive"
    sentence = result.conditional_verdicts["ours"].sentence
    assert sentence.startswith("at every level the masks alone tell the label")
    assert sentence.endswith("of 2.000 bits open: nothing is left that pixels could add")


def test_pixels_that_speak_under_a_mask_that_does_not(tmp_path):
    """The same four pixels are ranked high everywhere: the mask is nearly the same for all, the pixels are the label."""

    def first_pixels(part, seed):
        scores = torch.rand(len(part), 1, SIDE, SIDE, generator=torch.Generator().manual_seed(seed))
        scores[:, 0, 0, :CLASSES] += 2
        return scores

    result = run(corner, first_pixels, tmp_path, fill="mean")
    row = result.summary.iloc[0]
    assert (result.verdict.label, result.conditional_verdicts["ours"].label) == ("holds", "holds")
    assert not any("with the mask known" in caveat for caveat in result.verdict.caveats)
    assert row["conditional_mean"] > 1.5  # of 2 bits
    assert row["bits_mask_top"] == pytest.approx(2.0, abs=0.1)


def test_a_fill_that_hides_the_mask(tmp_path):
    """All pixels are one grey, and so is the fill: the image says nothing, whatever the mask says."""
    result = run(grey, lambda part, seed: confessing(part, 1.0, seed), tmp_path, fill="mean")
    row = result.summary.iloc[0]
    assert row["bits_top"] == pytest.approx(result.details["nothing"], abs=0.02)
    assert abs(row["mean"]) < 0.03
    assert row["mask_top"] == 1.0


def test_three_times_the_networks_of_the_raw_measure(planted, tmp_path):
    arguments = (planted.classifier(), planted.images(60, 0), planted.images(30, 1))
    options = {"levels": (0.1, 0.3), "seeds": 3, "controls": ("random",), "store": tmp_path, "workers": 1, "device": "cpu"}

    def networks(**changed):
        return (
            ga.prepare_diffroar(*arguments, evaluate="retrain", **options, **changed).plan().networks - 3
        )  # those that see whole images

    assert networks() == 3 * networks(mask_only=False)
    assert networks(conditional=False) == 2 * networks(mask_only=False)


def test_runs_share_the_cells_that_they_have_in_common(planted, tmp_path):
    arguments = (planted.classifier(), planted.images(60, 0), planted.images(30, 1))
    options = {"levels": (0.2,), "seeds": 2, "controls": (), "store": tmp_path, "workers": 1, "device": "cpu"}
    options |= {"learner": planted.recipe.with_(epochs=1)}
    ga.diffroar(*arguments, evaluate="retrain", **options, conditional=False)
    full = ga.prepare_diffroar(*arguments, evaluate="retrain", **options).plan()
    assert (full.networks, full.stored) == (2 * (1 + 6), 2 * (1 + 4))
    blurred = ga.prepare_diffroar(*arguments, evaluate="retrain", **options, fill="blur").plan()
    assert (blurred.networks, blurred.stored) == (2 * (1 + 6), 2 * (1 + 2))  # whole images and masks


def test_noise_is_drawn_from_the_learners_seed(planted, tmp_path):
    tables = []
    for state in (1, 2):
        torch.manual_seed(state)
        result = ga.diffroar(
            planted.classifier(),
            planted.images(60, 0),
            planted.images(30, 1),
            evaluate="retrain",
            learner=planted.recipe.with_(epochs=1),
            levels=(0.2,),
            seeds=2,
            controls=(),
            fill="noise",
            store=tmp_path / str(state),
            workers=1,
            device="cpu",
        )
        tables.append(result.table)
    assert tables[0].equals(tables[1])


@pytest.mark.parametrize("target", ["random", "all"])
def test_class_blind_rankings(planted, tmp_path, target):
    """Of a linear classifier: the gradient of a class is a row of its weights, whatever the image."""
    classifier, sets = planted.classifier(), (planted.images(100, 0), planted.images(50, 1))
    options = {"learner": planted.recipe, "levels": (0.2,), "seeds": 2, "controls": (), "mask_only": False, "workers": 1}
    options |= {"device": "cpu", "store": tmp_path}
    result = ga.diffroar(classifier, *sets, {"ours": "logit_gradient"}, evaluate="retrain", target=target, **options)
    assert result.settings["target"] == target
    if target == "all":
        magnitude = classifier[1].weight.detach().abs().sum(0).view(1, 1, 8, 8)
        scores = tuple(magnitude.expand(part.images.shape) for part in sets)
        assert result.table.equals(ga.diffroar(classifier, *sets, {"ours": scores}, evaluate="retrain", **options).table)


class BlindToImagesWithMasks(torch.nn.Module):
    """A linear network; where it sees more channels than an image has, as learners of both do, it learns nothing."""

    def __init__(self, shape, classes):
        super().__init__()
        self.many = shape[0] > 1
        self.linear = torch.nn.Linear(int(np.prod(shape)), classes)

    def forward(self, images):
        return self.linear(images.flatten(1) * (0.0 if self.many else 1.0))


def test_a_learner_of_both_that_fails_to_learn_counts_as_one_of_the_mask(tmp_path):
    recipe = RECIPE.with_(network=f"{__name__}:BlindToImagesWithMasks")
    result = run(corner, lambda part, seed: confessing(part, 0.6, seed), tmp_path, learner=recipe)
    for side in ("top", "bottom"):
        assert (result.table[f"both_{side}"] < 0.3).all()
        np.testing.assert_allclose(result.table[f"bits_both_{side}"], result.table[f"bits_mask_{side}"], atol=0.01)
    assert result.summary.iloc[0]["conditional_mean"] == pytest.approx(0, abs=0.01)
