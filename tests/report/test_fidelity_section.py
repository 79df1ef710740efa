"""Fidelity on the page: verdicts, the figure, every row of its tables, and names that are no HTML."""

import pytest
import torch
from torch import nn

import gradaudit as ga
from gradaudit.markup.tables import number
from gradaudit.report import write_page

NASTY = "<two>"


class Fixed(nn.Module):
    """A layer that nobody can initialise anew."""

    def __init__(self, inner):
        super().__init__()
        self.weight = nn.Parameter(inner.weight.detach().clone())

    def forward(self, values):
        return values @ self.weight.T


@pytest.fixture(name="results", scope="module")
def results_fixture():
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(0, 255, (30, 1, 8, 8), generator=generator, dtype=torch.uint8)
    images = ga.ImageSet(pixels, torch.arange(30) % 3, ("a", "b<c>", "c"))

    def network(seed):
        torch.manual_seed(seed)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 16), nn.Tanh(), nn.Linear(16, 3))

    options = {"fill": ["mean", "zero"], "controls": ("random", "edges"), "patches": 2, "device": "cpu"}
    attributions = ["logit_gradient", "loss_gradient"]
    finetuned = {
        "target": "predicted",
        "reference": images,
        "finetuned": "evaluators/fine-tune(epochs=1)",
        "store": "memory://page",
    }
    fixed = network(1)
    fixed[3] = Fixed(fixed[3])
    return {
        "one": ga.fidelity(network(0), images, attributions, **options),
        NASTY: ga.fidelity(
            fixed, images, attributions[:1], **options | finetuned | {"patches": 0, "controls": ("edges", "untrained")}
        ),
    }


@pytest.fixture(name="page", scope="module")
def page_fixture(results, tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "index.html"
    written = write_page(path, title="Used?", results=results, pictures=None, facts={}, command="c", seconds=1.0)
    return written.read_text(encoding="utf-8")


def test_verdicts_and_every_measurement_are_there(page, results):
    for result in results.values():
        assert result.verdict.label.capitalize() in page
        for row in result.table.to_dict("records"):
            for column, signed in (("top", False), ("fidelity", True)):
                assert number(row[column], signed=signed).text in page
        for row in result.orders.to_dict("records"):
            assert number(row["probability"]).text in page
    for row in results["one"].single_patches.to_dict("records"):
        assert number(row["spearman"], signed=True).text in page
    for words in ("Orders of removal", "most relevant", "With everything removed", "Single patches", "What it does not say"):
        assert words in page


def test_names_are_text(page):
    assert "<two>" not in page
    assert "&lt;two&gt;" in page
    assert "b<c>" not in page


def test_the_figure_says_its_numbers_and_greys_the_controls(page, results):
    figure = page[page.index('aria-label="fidelity = accuracy(top)') :].partition('"')[2].partition('"')[0]
    for name in ("one, logit_gradient", "one, loss_gradient", "one, edges (control)", "random (control)"):
        assert name in figure
    first = results["one"].rows().iloc[0]
    assert f"{number(first['fidelity'], signed=True).text} at 5%" in figure
    assert page.count('id="fidelity-reading"') == 1


def test_without_patches_their_table_is_left_out(results, tmp_path):
    alone = {"one": results[NASTY]}
    written = write_page(tmp_path / "i.html", title="t", results=alone, pictures=None, facts={}, command="c", seconds=None)
    text = written.read_text(encoding="utf-8")
    assert "Single patches" not in text
    assert "not the label" in text
    accuracy = float(ga.instruments.fidelity.result.unpack(results[NASTY].details["copies"]["zero"]["right"]).mean())
    assert f"zero {100 * accuracy:.4g}%" in text.replace("\n", " ")
    assert "Controls left out:</strong> untrained: " in text
    assert "Fixed: `weight` would stay" in text


def test_what_was_not_done_is_not_told(results, tmp_path):
    written = write_page(
        tmp_path / "i.html", title="t", results={"one": results["one"]}, pictures=None, facts={}, command="c", seconds=1
    )
    text = written.read_text(encoding="utf-8")
    assert "Fine-tuned copies" not in text
    assert "Controls left out" not in text
