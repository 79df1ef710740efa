"""`answers`: from the results of an audit to an answer for each classifier."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.answering.answer import DO_NOT_TRUST, NOT_SETTLED, TRUST, Answer, Reading
from gradaudit.instruments.contract import audited, instrument
from gradaudit.results import Result


def answers(results: Mapping[str, Mapping[str, Result]]) -> dict[str, Answer]:
    """The answer for each classifier.

    Args:
        results: for each classifier's name, by instrument.
    """
    # PROVISIONAL
    found = {}
    for place, (name, own) in enumerate(results.items()):
        readings = tuple(
            Reading(kind, words, "logit_gradient", score.value, score.low, score.high, 0.9 - 0.4 * place, "3 of the 60 planted maps with such a number were bad", not turn)
            for turn, kind in enumerate(one for one in audited() if one in own)
            for words, score in instrument(kind).scores(own[kind]).items()
        )
        label = (TRUST, DO_NOT_TRUST, NOT_SETTLED)[place % 3]
        found[name] = Answer(label, "of the 60 planted maps with such numbers 3 were bad", "200 more test images" if place % 3 == 2 else "", readings)
    return found
