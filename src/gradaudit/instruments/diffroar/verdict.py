"""The verdicts: what the intervals say of an attribution, and what a reader must know before relying on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from gradaudit.attributions import what_lacks
from gradaudit.instruments.diffroar.measures import CONDITIONAL, RAW, Measure
from gradaudit.instruments.diffroar.unmasking import SIDES, Side
from gradaudit.results import Verdict

MORE = 0.02  # by how much a part of the image must beat the whole to count
LITTLE = 0.1  # share of what a constant answer gets wrong, below which learners of whole images have hardly learned
BEHIND = 0.05  # by how much who sees more must fall behind who sees less to have failed
LEFT = 0.02  # share of the label's bits below which a mask leaves nothing for the pixels to say


@dataclass(frozen=True)
class Wording:
    """How a measure is spoken of.

    Args:
        measure: what is judged.
        name: the measure's.
        given: what the comparison takes as known.
        unit: of its numbers.
        most: no difference is larger.
    """

    measure: Measure
    name: str
    given: str
    unit: str
    most: float


def verdict(summary: pd.DataFrame, name: str, controls: Sequence[str], chance: float, whole: float) -> Verdict:
    """What DiffROAR says of one attribution: does it rank discriminative features high?

    `violated` if DiffROAR is below 0 at some level; `holds` if it is above 0 at half of the levels or more, and below 0 at
    none; otherwise `inconclusive`. Above and below mean that the interval which holds at all levels at once excludes 0.

    Args:
        summary: from `summarise`.
        name: the attribution.
        controls: names of the controls in the summary.
        chance: accuracy of a constant answer.
        whole: mean accuracy of learners that see whole images.
    """
    wording = Wording(RAW, "DiffROAR", "", "", 1.0)
    rows = summary[summary["attribution"] == name]
    label, sentence = _ruled(rows, wording)
    caveats = (
        *_hardly_learned(whole, chance),
        *_against_controls(summary, rows, controls, wording),
        *_mask_speaks(rows, chance),
        *_more_than_whole(rows, whole),
    )
    return Verdict(label, sentence, caveats)


def conditional_verdict(summary: pd.DataFrame, name: str, controls: Sequence[str], nothing: float) -> Verdict | None:
    """What conditional DiffROAR says of one attribution, by the same rule; None where it was not measured.

    Levels at which the masks of both sides alone leave less than 2 % of the label's bits open count neither way: there is
    nothing left that pixels could add.

    Args:
        summary: from `summarise`.
        name: the attribution.
        controls: names of the controls in the summary.
        nothing: bits of a learner that sees nothing.
    """
    rows = summary[summary["attribution"] == name]
    if rows["conditional_mean"].isna().any():
        return None
    wording = Wording(CONDITIONAL, "conditional DiffROAR", "beyond what the shape of the mask tells, ", " bits", nothing)
    closed = {side: rows[f"bits_mask_{side}"] < LEFT * nothing for side in SIDES}
    silent = closed["top"] & closed["bottom"]
    if silent.all():
        return Verdict("inconclusive", f"at every level {_told(rows, nothing)}")
    left = rows[~silent]
    caveats = [f"at {levels_of(rows[silent])} {_told(rows[silent], nothing)}"] if silent.any() else []
    caveats += [*_fell_behind(left), *_no_room(rows, closed, nothing), *_against_controls(summary, left, controls, wording)]
    return Verdict(*_ruled(left, wording), tuple(caveats))


def disagreement(raw: Verdict, conditional: Verdict | None) -> tuple[str, ...]:
    """A caveat on the raw verdict where the conditional one is another."""
    if conditional is None or conditional.label == raw.label:
        return ()
    return (f"with the mask known the answer is another, {conditional.label}: {conditional.sentence}",)


def _ruled(rows: pd.DataFrame, wording: Wording) -> tuple[str, str]:
    """Label and sentence."""
    if rows["seeds"].min() < 2:
        return "inconclusive", "one seed gives no interval; use at least 2 seeds, better 5"
    prefix = wording.measure.prefix
    above, below = rows[rows[f"{prefix}low_all"] > 0], rows[rows[f"{prefix}high_all"] < 0]
    if len(below):
        worst = below.sort_values(f"{prefix}mean").iloc[0]
        mixed = f", though it is above 0 at {levels_of(above)}" if len(above) else ""
        more = "the bottom-ranked features carry more label information than the top-ranked ones"
        return "violated", f"{wording.given}at {levels_of(below)} {more} ({_spell(worst, wording)}){mixed}"
    if 2 * len(above) >= len(rows):
        best = above.sort_values(f"{prefix}mean").iloc[-1]
        more = "the top-ranked features carry more label information than the bottom-ranked ones"
        return "holds", f"{wording.given}{more} at {levels_of(above)} ({_spell(best, wording)})"
    where = f"is above 0 at {levels_of(above)} only" if len(above) else "differs from 0 at no level"
    return "inconclusive", f"{wording.name} {where}; {_detectable(rows, wording)}"


def _against_controls(summary: pd.DataFrame, rows: pd.DataFrame, controls: Sequence[str], wording: Wording) -> list[str]:
    """A caveat for each control that is above 0, by the interval for all levels, and not below the audited attribution."""
    caveats = []
    prefix = wording.measure.prefix
    ours = rows.set_index("level")[f"{prefix}mean"]
    for control in controls:
        theirs = summary[summary["attribution"] == control].set_index("level").loc[ours.index]
        as_good = theirs[(theirs[f"{prefix}mean"] >= ours) & (theirs[f"{prefix}low_all"] > 0)]
        if len(as_good):
            lacks = what_lacks(control)
            which = f", which {lacks}," if lacks else ""
            caveats.append(
                f"the control {control}{which} reaches the same {wording.name} or more at"
                f" {', '.join(percent(level) for level in as_good.index)}"
            )
    return caveats


def _hardly_learned(whole: float, chance: float) -> list[str]:
    """A caveat where learners get little out of whole images: what they get out of parts then says little of the parts."""
    if whole >= chance + LITTLE * (1 - chance):
        return []
    return [
        f"learners of whole images reach {whole:.3f}, a constant answer {chance:.3f}: they have hardly learned, so this says"
        " little; give them more images or epochs, or take another learner"
    ]


def _fell_behind(rows: pd.DataFrame) -> list[str]:
    """A caveat where a learner of pixels and mask gets less than one of the mask alone: it has failed to learn from it."""
    caveats = []
    for side in SIDES:
        behind = rows[f"mask_{side}"] - rows[f"both_{side}"]
        if (behind > BEHIND).any():
            most = rows.iloc[int(behind.argmax())]
            caveats.append(
                f"learners of the {side} {percent(most['level'])} and their mask reach {most[f'both_{side}']:.3f}, those of the"
                f" mask alone {most[f'mask_{side}']:.3f}: they have failed to learn what they were shown, so the pixels may tell"
                " more than was found; take more epochs or another learner"
            )
    return caveats


def _mask_speaks(rows: pd.DataFrame, chance: float) -> list[str]:
    """A caveat where a learner that sees no pixel gets at least half of what the kept pixels give above chance."""
    caveats = []
    for side in ("top", "bottom"):
        share = (rows[f"mask_{side}"] - chance) / (rows[side] - chance).clip(lower=0.02)
        speaking = rows[(share >= 0.5) & (rows[f"mask_{side}"] > chance + 0.1)]
        if len(speaking):
            most = speaking.sort_values(f"mask_{side}").iloc[-1]
            caveats.append(
                f"the shape of the {side} mask alone, without the image, lets a learner reach"
                f" {most[f'mask_{side}']:.3f} at {percent(most['level'])} (kept pixels: {most[side]:.3f})"
            )
    return caveats


def _more_than_whole(rows: pd.DataFrame, whole: float) -> list[str]:
    """A caveat where a part of the image seems to say more than all of it: only the mask can have told the label."""
    caveats = []
    for side in ("top", "bottom"):
        more = rows[rows[side] > whole + MORE]
        if len(more):
            most = more.sort_values(side).iloc[-1]
            caveats.append(
                f"learners reach {most[side]:.3f} from the {side} {percent(most['level'])}, more than the {whole:.3f} from whole"
                " images: no choice of pixels can do that, so the shape of the mask tells the label"
            )
    return caveats


def _told(rows: pd.DataFrame, nothing: float) -> str:
    open_bits = " and ".join(f"{rows[f'bits_mask_{side}'].max():.3f} ({side})" for side in SIDES)
    return (
        f"the masks alone tell the label, for they leave at most {open_bits} of {nothing:.3f} bits open:"
        " nothing is left that pixels could add"
    )


def _no_room(rows: pd.DataFrame, closed: Mapping[Side, pd.Series], nothing: float) -> list[str]:
    """A caveat where the mask of one side alone tells the label: its pixels can add no more, whatever they show."""
    caveats = []
    for side, other in (SIDES, SIDES[::-1]):
        alone = rows[closed[side] & ~closed[other]]
        if len(alone):
            most = alone[f"bits_mask_{side}"].max()
            caveats.append(
                f"at {levels_of(alone)} the {side} mask alone leaves at most {most:.3f} of {nothing:.3f} bits open, so the {side}"
                " pixels have no room to add more, whatever they show"
            )
    return caveats


def levels_of(rows: pd.DataFrame) -> str:
    """The levels of these rows, in words."""
    return ", ".join(percent(level) for level in rows["level"])


def percent(level: float) -> str:
    """A level, in words."""
    return f"{100 * level:.4g}%"


def _spell(row: Any, wording: Wording) -> str:
    prefix = wording.measure.prefix
    corrected = f"[{row[f'{prefix}low_all']:+.3f}, {row[f'{prefix}high_all']:+.3f}]"
    mean = f"{row[f'{prefix}mean']:+.3f}{wording.unit}"
    return f"{wording.name} {mean}, 95 % interval for all levels at once {corrected}, at {percent(row['level'])}"


def _detectable(rows: pd.DataFrame, wording: Wording) -> str:
    found = rows[f"{wording.measure.prefix}detectable"]
    smallest, largest = found.min(), found.max()
    if smallest > wording.most:
        return "its seeds differ too much for this run to have detected any difference; use more seeds"
    none = f" (above {wording.most:.4g}: none)" if largest > wording.most else ""
    least = f"{smallest:.3f}" if smallest == largest else f"{smallest:.3f} to {largest:.3f}"
    return f"this run could have detected {least}{wording.unit}{none}"
