"""What other classifiers see after an ascent, where that is known; the row of edges; results written before there were either."""

import json
import math

import numpy as np
import pytest
import torch
from scipy.stats import beta
from torch import nn

import gradaudit as ga
from gradaudit.attributions.edges import edges
from gradaudit.errors import InputError
from gradaudit.instruments.alignment import alignment
from gradaudit.instruments.alignment.instrument import INSTRUMENT
from gradaudit.instruments.alignment.rows import EDGES
from gradaudit.report import write_page

CPU = {"device": "cpu"}


class Opposite(nn.Module):
    """Sees the class that another classifier sees least."""

    def __init__(self, other):
        super().__init__()
        self.other = other

    def forward(self, images):
        return -self.other(images)


@pytest.fixture(name="result")
def result_fixture(mixture, network, linear):
    oracles = {"bayes": mixture.classifier(0.25), "linear": linear()}
    return alignment(
        network, mixture.images(), mixture.denoiser(), oracles=oracles, similarity=["cosine", "magnitude_cosine"], **CPU
    )


# Edges


def test_the_row_of_edges_is_their_similarity_with_the_scores(mixture, network, result):
    images = mixture.images()
    maps = edges(None, images.floats(), None).double().flatten(1)
    denoiser = mixture.denoiser()
    scores = ((denoiser(images.floats().double(), 0.25, images.labels) - images.floats().double()) / 0.25**2).flatten(1)
    found = result.per_image()
    found = found[found["gradient"] == EDGES].set_index("similarity")["value"]
    for name, expected in (("cosine", scores), ("magnitude_cosine", scores.abs())):
        cosines = nn.functional.cosine_similarity(maps, expected)
        np.testing.assert_allclose(found[name].to_numpy(), cosines.numpy(), atol=1e-6)
    assert result.controls[-1] == EDGES


# Transfer


def test_a_linear_classifier_climbs_to_a_known_place(mixture, linear, constant):
    """Of two classes the way is straight: along the difference of the weights, as far as the radius goes."""
    torch.manual_seed(1)
    images = ga.ImageSet(torch.full((6, 1, 4, 5), 128, dtype=torch.uint8), torch.arange(6) % 2, ("a", "b"))
    module, seen = nn.Sequential(nn.Flatten(), nn.Linear(20, 2)), []

    class Judge(nn.Module):
        def forward(self, points):
            seen.append(points.detach().clone())
            return torch.stack([-points.sum(dim=(1, 2, 3)), points.sum(dim=(1, 2, 3))], dim=1)

    found = alignment(module, images, constant(torch.ones(1, 4, 5)), oracles={"judge": Judge()}, transfer_radius=0.3, **CPU)
    targets = torch.tensor(found.details["transfer"]["targets"])
    assert torch.equal(targets, 1 - images.labels)
    difference = (module[1].weight[1] - module[1].weight[0]).detach()
    signs = (2 * targets - 1)[:, None]
    expected = 128 / 255 + signs * 0.3 * difference / difference.norm()
    assert torch.allclose(seen[-1].flatten(1), expected, atol=1e-5)


def test_an_oracle_that_agrees_sees_all_and_one_that_does_not_sees_none(mixture):
    bayes = mixture.classifier(0.25)
    images = mixture.images()
    wide = {"transfer_radius": 2.0, **CPU}
    twin = mixture.classifier(0.3)
    table = alignment(bayes, images, mixture.denoiser(), oracles={"twin": twin, "never": Opposite(bayes)}, **wide).transfer
    assert table["oracle"].tolist() == ["itself", "twin", "never"]
    assert table["value"].tolist() == [1.0, 1.0, 0.0]
    assert table["low"].tolist() == pytest.approx([beta.ppf(0.025, 30, 1)] * 2 + [0.0])
    assert table["before"][0] < 0.3
    assert (table["radius"] == 2.0).all()


def test_shares_are_means_over_the_images_and_the_radius_grows_with_the_images(result):
    kept = result.details["transfer"]
    assert result.transfer["value"].tolist() == [np.mean(hits) for hits in kept["after"].values()]
    assert result.transfer["before"].tolist() == [np.mean(hits) for hits in kept["before"].values()]
    assert result.transfer["radius"][0] == pytest.approx(0.1 * math.sqrt(20))
    labels = np.array(result.details["labels"])[kept["which"]]
    assert (labels != kept["targets"]).all()
    assert set(kept["targets"]) == {0, 1, 2}


def test_neither_batches_nor_the_images_order_change_what_is_seen(mixture, network, linear, result):
    images, oracles = mixture.images(), {"bayes": mixture.classifier(0.25), "linear": linear()}
    order = torch.arange(30).flip(0)
    parts = alignment(network, images, mixture.denoiser(), oracles=oracles, batch_size=7, **CPU)
    turned = alignment(network, images[order], mixture.denoiser(), oracles=oracles, **CPU)
    assert parts.details["transfer"] == result.details["transfer"]
    assert turned.details["transfer"]["after"]["bayes"][::-1] == result.details["transfer"]["after"]["bayes"]


def test_oracles_change_nothing_else_and_are_left_as_they_were(mixture, network, linear):
    oracle = linear().train()
    without = alignment(network, mixture.images(), mixture.denoiser(), **CPU)
    beside = alignment(network, mixture.images(), mixture.denoiser(), oracles={"one": oracle}, **CPU)
    assert oracle.training
    assert without.details == {key: value for key, value in beside.details.items() if key != "transfer"}
    assert without.verdict == beside.verdict
    assert len(without.transfer) == 0


@pytest.mark.parametrize(
    ("oracles", "words"),
    [
        ([1], "classifiers by name"),
        ({"itself": nn.Flatten()}, "none of them 'itself'"),
        ({"more": nn.Sequential(nn.Flatten(), nn.Linear(20, 4))}, "3 classes"),
        ({"same": None}, "no judge of itself"),
    ],
)
def test_oracles_that_are_none_are_refused(mixture, network, oracles, words):
    given = {"same": network} if oracles == {"same": None} else oracles
    with pytest.raises(InputError, match=words):
        alignment(network, mixture.images(), mixture.denoiser(), oracles=given, **CPU)


# Results


def older(result, folder):
    """The result as it was written before there were edges and transfer."""
    file = result.save(folder) / "results.json"
    written = json.loads(file.read_text("utf-8"))
    kept = [row for row in range(len(written["details"]["values"])) if row not in range(-2 % len(written["details"]["values"]), 99)]
    written["details"]["values"] = [written["details"]["values"][row] for row in kept]
    del written["details"]["transfer"], written["settings"]["fixed_controls"]
    file.write_text(json.dumps(written), encoding="utf-8")
    return folder


def test_a_result_written_before_there_were_edges_is_read_and_shown(result, tmp_path):
    old = ga.load_result(older(result, tmp_path / "old"))
    assert EDGES not in old.controls
    assert len(old.transfer) == 0
    assert EDGES not in set(old.per_image()["gradient"])
    assert old.per_image()["value"].tolist() == result.per_image()["value"].tolist()[: len(old.per_image())]
    assert INSTRUMENT.scores(old) == INSTRUMENT.scores(result)
    assert INSTRUMENT.evidence(old) == INSTRUMENT.evidence(result)
    page = tmp_path / "page.html"
    write_page(page, title="Both", results={"old": old, "new": result}, pictures=None, facts={}, command="", seconds=1.0)
    text = page.read_text("utf-8")
    assert text.count("control: edges") >= 2
    assert "Transfer" in text
    write_page(page, title="Old", results={"old": old}, pictures=None, facts={}, command="", seconds=1.0)
    assert "Edges" not in page.read_text("utf-8")
    assert "Transfer" not in page.read_text("utf-8")
    old.plot()


def test_files_give_transfer_back(result, tmp_path):
    found = ga.load_result(result.save(tmp_path))
    assert found.transfer.equals(result.transfer)
    assert [title for title, _ in INSTRUMENT.tables(found, "it")] == ["Alignment, it", "Transfer, it"]
