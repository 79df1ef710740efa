"""What counterfactuals change, as DiffROAR judges it, on the page."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.instruments.diffroar import CounterfactualDifferencesResult
from gradaudit.instruments.diffroar.differences import DIFFERENCES
from gradaudit.instruments.diffroar.measures import CONDITIONAL, RAW
from gradaudit.report.rendering import render
from gradaudit.report.section import Section
from gradaudit.report.sections.diffroar import findings, overview_figure, summary_table
from gradaudit.report.tables import percent


def counterfactual_differences(results: Mapping[str, CounterfactualDifferencesResult]) -> Section:
    """DiffROAR of counterfactual differences on the page: its curves beside the gradient's, the table, and how to read them."""
    given = {name: result for name, result in results.items() if result.conditional_verdicts}
    measured = [(RAW, results), *([(CONDITIONAL, given)] if given else [])]
    figures = [overview_figure(found, measure, "counterfactual-differences-") for measure, found in measured]
    return Section(
        anchor="counterfactual_differences",
        title="Counterfactual differences",
        question="Do the features that a counterfactual changes most carry more label information than those that it leaves?",
        findings=tuple(one for one in findings(results) if one.subject.startswith(DIFFERENCES)),  # the gradient is a curve beside
        overview=render("counterfactual_differences_overview.html", figures=figures),
        body=render(
            "counterfactual_differences.html",
            made={name: _made(result) for name, result in results.items()},
            given=bool(given),
            summary=summary_table(results),
        ),
    )


def _made(result: CounterfactualDifferencesResult) -> dict[str, str]:
    """How a classifier's counterfactuals came about, in words."""
    made, settings = result.settings["counterfactuals"], result.settings
    return {
        "method": made["method"],
        "left": percent(round(made["left_their_class"], 3)),
        "images": f"{settings['train_images']:,} training and {settings['test_images']:,} test images",
    }
