"""Alignment on the page."""

import re

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.diffusion import Denoiser
from gradaudit.instruments.alignment import alignment
from gradaudit.report import write_page


def towards(noisy, sigma, labels):
    """Denoised towards a grey that depends on the class."""
    grey = 0.5 if labels is None else (0.3 + 0.2 * labels.to(noisy))[:, None, None, None]
    return noisy + sigma.square()[:, None, None, None] * (grey - noisy) * 4


@pytest.fixture(name="results", scope="module")
def results_fixture():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (20, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images, denoiser = ga.ImageSet(pixels, torch.arange(20) % 3, ("a", "b", "c")), Denoiser(towards, classes=3)
    classifiers = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        classifiers.append(nn.Sequential(nn.Flatten(), nn.Linear(64, 3)))
    options = {"sigma": (0.2, 0.4), "device": "cpu"}
    wide = {"gradient": ["logit", "logit_sum"], "score": ["bayes", "unconditional"], "similarity": ["cosine", "ssim"]}
    return {
        "one": alignment(classifiers[0], images, denoiser, **wide, **options),
        "<two>": alignment(classifiers[1], images, denoiser, **wide, **options),
        "three": alignment(classifiers[1], images[10:], denoiser, noise="matched", **options),
    }


def text(results, folder):
    path = folder / "index.html"
    write_page(path, title="Aligned?", results=results, pictures=None, facts={}, command="gradaudit alignment", seconds=1.0)
    return path.read_text(encoding="utf-8")


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    return text(results, tmp_path_factory.mktemp("page"))


def escaped(name):
    return name.replace("<", "&lt;").replace(">", "&gt;")


def test_verdicts_caveats_and_every_row_of_the_table_are_there(page, results):
    for name, result in results.items():
        assert f"</span> {result.verdict.label.capitalize()}</span>" in page
        for caveat in result.verdict.caveats:
            assert caveat[1:].split("%")[0] in page
        for row in result.table.to_dict("records"):
            value = f"{row['value']:.3f}".replace("-0.000", "0.000").replace("-", "\N{MINUS SIGN}")
            shown = [row["gradient"], row["score"], f"{row['sigma']:.3f}", row["similarity"], value]
            cells = r"</td><td[^>]*>".join(re.escape(word) for word in shown)
            assert re.search(rf"{re.escape(escaped(name))}</th><td[^>]*>{cells}", page), (name, shown)
    assert "<two>" not in page


def test_every_audited_curve_is_drawn_and_told_in_words(page, results):
    label = re.search(r'aria-label="(Similarity of gradients[^"]*)"', page).group(1)
    for name, result in results.items():
        for gradient in result.gradients:
            for score in result.settings["scores"]:
                assert f"{escaped(name)}, {gradient} against {score}: " in label
    assert page.count('class="figure"') == 2


def test_controls_that_classifiers_share_are_drawn_once(page):
    label = re.search(r'aria-label="(Similarity of gradients[^"]*)"', page).group(1)
    assert label.count("control: random, against bayes (one and &lt;two&gt;): ") == 1
    assert label.count("control: logit of another image, against bayes (one): ") == 1


def test_pictures_of_the_same_images_stand_side_by_side(page):
    grids = re.findall(r'<table class="pictures">.*?</table>', page, re.DOTALL)
    assert len(grids) == 2  # the third classifier saw other images
    first, second = grids
    heads = re.findall(r'<th scope="col">(.*?)</th>', first)
    assert [re.sub(r"<.*?>", "", head) for head in heads] == [
        "Label",
        "Image",
        "one logit gradient",
        "one logit_sum gradient",
        "&lt;two&gt; logit gradient",
        "&lt;two&gt; logit_sum gradient",
        "bayes score sigma 0.2",
        "unconditional score sigma 0.2",
    ]
    assert first.count("<img") == 8 * 7
    assert second.count("<img") == 8 * 3
    assert 'alt="one, logit gradient, at image 1, labelled ' in first


def test_the_reading_follows_what_was_measured(page, results, tmp_path):
    assert all(
        words in page for words in ("The Bayes score is", "as in the paper", "where denoisers learn", "Perceptual similarities")
    )
    alone = text({"three": results["three"]}, tmp_path)
    assert "where denoisers learn" in alone
    assert not any(words in alone for words in ("The Bayes score is", "as in the paper", "Perceptual similarities"))
