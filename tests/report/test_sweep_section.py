"""A sweep on the page."""

import re

import pytest

import gradaudit as ga
from gradaudit.diffusion.mixture import gaussian_mixture
from gradaudit.instruments.sweep import sweep
from gradaudit.report import write_page


@pytest.fixture(name="result", scope="module")
def result_fixture(tmp_path_factory):
    mixture = gaussian_mixture(classes=2, shape=(1, 4, 4), intrinsic_dim=3)
    return sweep(
        mixture.sample(64, 0),
        mixture.sample(20, 1),
        denoiser=mixture.denoiser(),
        tangent_spaces=mixture,
        families={"noise": (0.1, 0.5, 2.0), "gradient_penalty": (1.0,)},
        base=ga.Recipe(network="linear", epochs=1),
        radius=0.5,
        eps=0.1,
        samples=2,
        store=tmp_path_factory.mktemp("store"),
        workers=1,
        device="cpu",
    )


@pytest.fixture(name="page", scope="module")
def page_fixture(result, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    write_page(
        path,
        title="Sweep?",
        results={"<mixture>": result},
        pictures=None,
        facts={},
        command="gradaudit sweep",
        seconds=1.0,
    )
    return path.read_text(encoding="utf-8")


def test_verdict_regimes_and_every_number_are_there(page, result):
    assert result.verdict.label.capitalize() in page
    cell = r"</td><td[^>]*>"
    for row in result.regimes.to_dict("records"):
        assert re.search(cell.join((row["family"], f"{row['strength']:g}", row["regime"], f"{row['weak']:.3f}")), page), row
    for row in result.table.to_dict("records"):
        value = f"{row['value']:.4f}".replace("-", "\N{MINUS SIGN}")
        assert re.search(cell.join((f"{row['strength']:g}", row["measure"].replace("_", " "), "[^<]*", value)), page), row
    assert "<mixture>" not in page


def test_map_and_panels_are_drawn_for_wide_and_narrow_screens_and_told_in_words(page, result):
    assert page.count('class="figure"') == 4
    (label, _) = re.findall(r'aria-label="(Relative off-manifold robustness against[^"]*)"', page)
    assert all(f"{one.family} {one.strength:g}: " in label for one in result.classifiers)
