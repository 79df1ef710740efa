"""Mask recovery on the page."""

import pandas as pd
import pytest

from gradaudit.instruments.mask_recovery import MaskRecoveryResult
from gradaudit.instruments.mask_recovery.result import TRUE_MASK, tabulate
from gradaudit.instruments.mask_recovery.verdict import judge, overall
from gradaudit.report import write_page

NASTY = "<two>"
FILLS = ("zero", "blur(sigma=1)")


def result(seeds=2):
    """Made of outcomes, not of fits."""
    outcomes = {
        (fill, level, side): [
            {"auroc": 0.6 + 0.01 * seed, "bits": bits + 0.001 * seed, "entropy": 0.4, "label": 0.5 + 0.1 * seed}
            for seed in range(seeds)
        ]
        for fill, bits in zip(FILLS, (0.3, 0.01), strict=True)
        for level in (0.02, 0.1)
        for side in ("top", "bottom")
    }
    outcomes |= {(TRUE_MASK, level, side): [{"label": 0.97}] * seeds for level in (0.02, 0.1) for side in ("top", "bottom")}
    settings = {
        "attributions": ["logit_gradient"],
        "fills": list(FILLS),
        "levels": [0.02, 0.1],
        "sides": ["top", "bottom"],
        "seeds": list(range(seeds)),
        "train_images": 5000,
        "epochs": 4,
    }
    table = tabulate(outcomes, 0.1)
    return MaskRecoveryResult(table, overall(judge(table, {"chance": 0.1}, settings)), settings, {"chance": 0.1})


@pytest.fixture(name="results", scope="module")
def results_fixture():
    return {"one": result(), NASTY: result(seeds=1)}


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    return write_page(path, title="Hidden?", results=results, pictures=None, facts={}, command="c", seconds=1.0).read_text(
        encoding="utf-8"
    )


def test_every_fill_of_every_classifier_has_its_verdict(page, results):
    for name, one in results.items():
        assert name.replace("<", "&lt;").replace(">", "&gt;") in page
        for fill, verdict in one.verdicts.items():
            assert fill in page
            assert verdict.label.capitalize() in page
    assert NASTY not in page


def test_all_measurements_are_in_the_tables(page, results):
    for row in results["one"].table.to_dict("records"):
        assert f'"{row["value"]!r}"' in page or repr(float(row["value"])) in page
    assert page.count("one seed") >= 2 * len(results[NASTY].table)


def test_figures_say_in_words_what_they_show(page):
    assert "zero, one, top 2%: 75.12%" in page
    assert 'id="mask-recovery-wide' in page
    assert 'id="mask-recovery-narrow' in page


def test_how_it_is_read_is_explained(page):
    for words in ("less than 5% of the masks", "more than 50%", "Label's accuracy"):
        assert words in page.replace("\n", " ").replace("&#39;", "'")


def test_the_same_result_gives_the_same_page(page, results, tmp_path):
    again = write_page(tmp_path / "index.html", title="Hidden?", results=results, pictures=None, facts={}, command="c", seconds=1.0)
    assert again.read_text(encoding="utf-8") == page


def test_the_result_s_own_figure_has_every_fill(results):
    figure = results["one"].plot()
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert labels == list(FILLS)
    assert pd.unique(results["one"].table["fill"]).tolist() == labels
