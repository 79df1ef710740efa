"""What mask recovery says of each fill, and of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from math import ceil
from typing import Any

import pandas as pd

from gradaudit.instruments.mask_recovery.recoverer import STEPS
from gradaudit.results import Verdict
from gradaudit.training.learners import shared_caveat

HIDDEN, VISIBLE = 0.05, 0.5  # shares of a mask's entropy
FEW = 400  # steps; on MNIST the mean fill is seen through by then
TELLING = 0.1  # accuracy above chance


def judge(table: pd.DataFrame, details: Mapping[str, Any], settings: Mapping[str, Any]) -> dict[str, Verdict]:
    """The verdict of each fill, where it hides least: at the level and side whose masks were recovered best, mean over seeds.

    `hidden`: less than 5 % of the masks' entropy, given where masks tend to lie, was recovered. `visible`: more than half.
    `partly`: between. What must be known of the classifier comes first among the caveats of each.
    """
    chance, doubts = details["chance"], details.get("doubts", ())
    return {str(name): _verdict(rows, chance, settings).with_caveats(doubts) for name, rows in table.groupby("fill", sort=False)}


def overall(verdicts: Mapping[str, Verdict]) -> Verdict:
    """One verdict for all fills: that of each where they agree, else `mixed`; with the first sentence of each and all caveats."""
    labels = {verdict.label for verdict in verdicts.values()}
    label = labels.pop() if len(labels) == 1 else "mixed"
    sentence = "; ".join(f"{name} {verdict.label}: {verdict.sentence}" for name, verdict in verdicts.items())
    caveats = dict.fromkeys(caveat for verdict in verdicts.values() for caveat in verdict.caveats)
    return Verdict(label, sentence, tuple(caveats))


def _verdict(rows: pd.DataFrame, chance: float, settings: Mapping[str, Any]) -> Verdict:
    shares = rows[rows["measure"] == "share"].reset_index(drop=True)
    level, side, share = (shares[column].tolist()[int(shares["value"].argmax())] for column in ("level", "side", "value"))
    label = "hidden" if share < HIDDEN else "visible" if share > VISIBLE else "partly"
    here = rows[(rows["level"] == level) & (rows["side"] == side)].set_index("measure")
    auroc, learned = (here["value"].to_dict()[measure] for measure in ("auroc", "label"))
    truth = here["seen"].to_dict()["label"]
    sentence = (
        f"{max(share, 0):.1%} of the masks' entropy is recovered at the {side} {100 * level:.4g} % (AUROC "
        f"{auroc:.3f}), and from it the label with accuracy {learned:.3f} (true masks {truth:.3f}, chance "
        f"{chance:.3f})"
    )
    return Verdict(label, sentence, tuple(_caveats(label, learned > chance + TELLING, settings)))


def _caveats(label: str, telling: bool, settings: Mapping[str, Any]) -> Iterator[str]:
    yield "another network, or more images, might recover more: what was not found is not shown to be hidden"
    steps = ceil(settings["train_images"] / STEPS["batch_size"]) * settings["epochs"]
    if label != "visible" and steps < FEW:
        yield f"the network had only {steps} steps to learn where to look: more images or epochs may find more"
    if label != "visible" and telling:
        yield "what is recovered may also come from the kept values, which tell of the image and so of its mask"
    if settings.get("shared_images"):
        yield shared_caveat(settings["shared_images"], settings["test_images"])
    if len(settings["seeds"]) < 2:
        yield "one seed has no interval"
