"""The verdict on an attribution by what the values of its top- and bottom-ranked features tell, against the controls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from gradaudit.attributions import what_lacks
from gradaudit.instruments.diffroar.unmasking import SIDES
from gradaudit.instruments.diffroar.verdict import LITTLE, levels_of, percent
from gradaudit.results import Verdict

SMALL = 0.02  # share of the label's bits below which a difference does not matter
BLIND = ("random", "blurred_random")  # in results from before these were kept
TELLING = 0.02  # bits below which what an evaluator reads from a choice, or lacks, is not named

NONE, UPSIDE_DOWN, OPEN = "not at all", "upside down", "not settled"


def values_verdict(summary: pd.DataFrame, name: str, controls: Sequence[str], details: Mapping[str, Any]) -> Verdict:
    """Whether an attribution ranks informative pixels first, and more so than the controls do.

    *Informative first*: the values of the top-ranked features tell more than those of the bottom-ranked at half of the levels or
    more. *Upside down*: they tell less at some level, and not more at half of them. *Not at all*: they differ by less than 2 % of
    the label's bits at every level. More and less mean that the interval which holds at all levels at once excludes 0. The label of
    the first says whether its lead over every control that sees the image, such as edges, is above 0 at half of the levels or more,
    and below 0 at fewer, by the paired difference; a map that is only blurred lacks nothing, and is no such control.

    Args:
        summary: from `summarise`.
        name: the attribution.
        controls: names of the controls in the summary.
        details: of the result.
    """
    rows = summary[summary["attribution"] == name]
    against, blind = details["against"][name], details.get("blind", BLIND)
    seen = {control: levels for control, levels in against.items() if control not in blind}  # nobody need beat the others by name
    lacking = {control: levels for control, levels in against.items() if what_lacks(control)}
    rivals = {control: levels for control, levels in lacking.items() if control in seen} or lacking
    label, sentence = _ruled(rows, rivals, float(details["nothing"]))
    caveats = (
        *_hardly_learned(details),
        *_below_somewhere(rows, label),
        *_behind_somewhere(seen, label),
        *_gap(details["gap"]),
        *_reads_the_choice(rows),
        *_mislead(rows),
        *_random_tells(summary, controls),
    )
    return Verdict(label, sentence, caveats)


def _ruled(rows: pd.DataFrame, rivals: Mapping[str, Sequence[Mapping[str, float]]], nothing: float) -> tuple[str, str]:
    """Label and sentence."""
    if rows["seeds"].min() < 2:
        return OPEN, "one evaluator gives no interval; use at least 2 seeds, better 3"
    above, below = rows[rows["values_low_all"] > 0], rows[rows["values_high_all"] < 0]
    if 2 * len(above) >= len(rows):
        best = above.sort_values("values_mean").iloc[-1]
        first = f"the pixels that it ranks first tell more by their values than those that it ranks last ({_spell(best)})"
        return _compared(first, rivals)
    if len(below):
        worst = below.sort_values("values_mean").iloc[0]
        less = "the pixels that it ranks first tell less by their values than those that it ranks last"
        return UPSIDE_DOWN, f"at {levels_of(below)} {less} ({_spell(worst)})"
    reach = float(np.maximum(rows["values_high_all"].abs(), rows["values_low_all"].abs()).max())
    if reach < SMALL * nothing:
        most = "the pixels that it ranks first tell as much by their values as those that it ranks last"
        return NONE, f"{most}: at every level they differ by less than {reach:.3f} of the label's {nothing:.3f} bits"
    where = f"above 0 at {levels_of(above)} only" if len(above) else "0 at no level ruled out"
    return OPEN, f"values of the first less those of the last: {where}; {_detectable(rows)}"


def _compared(first: str, rivals: Mapping[str, Sequence[Mapping[str, float]]]) -> tuple[str, str]:
    """The same for an attribution that ranks informative pixels first, with its lead over each control that knows less."""
    if not rivals:
        return "informative first", f"{first}; no control that knows less ran beside it"
    beaten = [control for control, levels in rivals.items() if _leads(levels)]
    others = [control for control in rivals if control not in beaten]
    if others:
        return f"no more than {_listed(others)}", f"{first}, but no more than those of {_and_where(others, rivals)}"
    leads = {control: max(levels, key=lambda row: row["mean"]) for control, levels in rivals.items()}
    control, row = min(leads.items(), key=lambda one: one[1]["mean"])
    lead = f"{row['mean']:+.3f} bits, 95 % interval for all levels at once [{row['low_all']:+.3f}, {row['high_all']:+.3f}]"
    return f"more than {_listed(beaten)}", f"{first}, more than those of {control} do ({lead}, at {percent(row['level'])})"


def _and_where(controls: Sequence[str], rivals: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """The controls that it does not beat, each with the levels at which it is ahead and behind."""
    words = []
    for control in controls:
        ahead, behind = _ahead_and_behind(rivals[control])
        parts = [f"{word} at {', '.join(at)}" for word, at in (("ahead", ahead), ("behind", behind)) if at]
        words.append(f"{control}, which {what_lacks(control)}" + (f" ({'; '.join(parts)})" if parts else ""))
    return _listed(words)


def _leads(levels: Sequence[Mapping[str, float]]) -> bool:
    """Whether it is ahead at half of the levels or more, and behind at fewer."""
    ahead, behind = _ahead_and_behind(levels)
    return 2 * len(ahead) >= len(levels) and len(behind) < len(ahead)


def _ahead_and_behind(levels: Sequence[Mapping[str, float]]) -> tuple[list[str], list[str]]:
    """The levels, in words, at which the interval of the lead lies above 0, and below."""
    ahead = [percent(row["level"]) for row in levels if row.get("low_all", -1.0) > 0]
    return ahead, [percent(row["level"]) for row in levels if row.get("high_all", 1.0) < 0]


def _behind_somewhere(against: Mapping[str, Sequence[Mapping[str, float]]], label: str) -> list[str]:
    """A caveat on `more than edges` where it is behind them; on any label where it is behind a control that lacks nothing."""
    named = label.startswith("more than ")
    told = (control for control in against if named or not what_lacks(control))
    behind = {control: _ahead_and_behind(against[control])[1] for control in told}
    return [f"at {', '.join(at)} {control} do better" for control, at in behind.items() if at]


def _hardly_learned(details: Mapping[str, Any]) -> list[str]:
    whole, chance = float(np.mean(details["whole"])), details["chance"]
    if whole >= chance + LITTLE * (1 - chance):
        return []
    return [
        f"from whole images the evaluators reach {whole:.3f}, a constant answer {chance:.3f}: they have hardly learned, so this"
        f" says"
        " little; give them more images or epochs, or take another evaluator"
    ]


def _below_somewhere(rows: pd.DataFrame, label: str) -> list[str]:
    below = rows[rows["values_high_all"] < 0]
    if label == UPSIDE_DOWN or not len(below):
        return []
    return [f"at {levels_of(below)} it is the other way round: the pixels that it ranks last tell more"]


def _gap(gaps: Sequence[Mapping[str, float]]) -> list[str]:
    """A caveat where a network trained for one kind of mask alone knows more: the evaluator has learned too little."""
    open_ones = [gap for gap in gaps if gap["low"] > 0 and gap["mean"] > TELLING]
    if not open_ones:
        return []
    most = max(open_ones, key=lambda gap: gap["mean"])
    return [
        f"at {percent(most['level'])} of random pixels a network trained for these alone knows {most['mean']:.3f} bits more than"
        f" the"
        f" evaluator (95 % interval [{most['low']:+.3f}, {most['high']:+.3f}], of {most['alone']:.3f}): values may be larger than"
        " they read; give the evaluator more epochs"
    ]


def _reads_the_choice(rows: pd.DataFrame) -> list[str]:
    """A caveat where the evaluator tells an image's label from its mask alone, another image's pixels under it."""
    caveats = []
    for side in SIDES:
        mean, low = rows[f"swap_{side}_mean"], rows[f"swap_{side}_low_all"]
        reading = rows[(low > 0) & (mean > TELLING)]
        if len(reading):
            most = reading.sort_values(f"swap_{side}_mean").iloc[-1]
            caveats.append(
                f"shown another image under the {side} masks, the evaluator tells {most[f'swap_{side}_mean']:.3f} bits of the"
                f" label of"
                f" the image whose masks they are, at {percent(most['level'])}: as much of the values may be read from the choice"
            )
    return caveats


def _mislead(rows: pd.DataFrame) -> list[str]:
    caveats = []
    for side in SIDES:
        mislead = rows[(rows[f"as_read_{side}_high_all"] < 0) & (rows[f"as_read_{side}_mean"] < -TELLING)]
        if len(mislead):
            most = mislead.sort_values(f"as_read_{side}_mean").iloc[0]
            caveats.append(
                f"the {side} {percent(most['level'])} mislead: who reads them as any pixels, not knowing that they were chosen by"
                f" looking, knows {-most[f'as_read_{side}_mean']:.3f} bits less than nothing at all"
            )
    return caveats


def _random_tells(summary: pd.DataFrame, controls: Sequence[str]) -> list[str]:
    """A caveat where pixels ranked at random seem to tell more or less than one another: the measurement is off by that."""
    if "random" not in controls:
        return []
    rows = summary[summary["attribution"] == "random"]
    off = rows[((rows["values_low_all"] > 0) | (rows["values_high_all"] < 0)) & (rows["values_mean"].abs() > TELLING)]
    if not len(off):
        return []
    most = off.iloc[int(off["values_mean"].abs().argmax())]
    return [
        f"the control random, whose values are 0 in truth, reads {most['values_mean']:+.3f} bits at {percent(most['level'])}: other"
        " values may be off by as much"
    ]


def _spell(row: Any) -> str:
    ends = f"[{row['values_low_all']:+.3f}, {row['values_high_all']:+.3f}]"
    return f"values {row['values_mean']:+.3f} bits, 95 % interval for all levels at once {ends}, at {percent(row['level'])}"


def _detectable(rows: pd.DataFrame) -> str:
    smallest, largest = rows["values_detectable"].min(), rows["values_detectable"].max()
    return f"this run could have detected {smallest:.3f} to {largest:.3f} bits"


def _listed(names: Sequence[str]) -> str:
    return " and ".join(names)
