"""What counterfactuals change, as DiffROAR judges it, on the page."""

from __future__ import annotations

from collections.abc import Mapping

from gradaudit.instruments.counterfactual_differences.options import ABOUT
from gradaudit.instruments.counterfactual_differences.result import DIFFERENCES, CounterfactualDifferencesResult
from gradaudit.instruments.diffroar.section import by_protocol, findings, overview_figures, summary_table, values_table
from gradaudit.markup.rendering import templates
from gradaudit.markup.section import Section
from gradaudit.markup.tables import percent

render = templates(__file__)


def differences_section(results: Mapping[str, CounterfactualDifferencesResult]) -> Section:
    """DiffROAR of counterfactual differences on the page: its curves beside the gradient's, the table, and how to read them."""
    read, retrained = by_protocol(results)
    figures = overview_figures(results, "counterfactual-differences-")
    return Section(
        anchor="counterfactual_differences",
        title="Counterfactual differences",
        question=ABOUT.question,
        findings=tuple(one for one in findings(results) if one.subject.startswith(DIFFERENCES)),  # the gradient is a curve beside
        overview=render("overview.html", figures=figures),
        body=render(
            "section.html",
            made={name: _made(result) for name, result in results.items()},
            given=any(result.conditional_verdicts for result in retrained.values()),
            read=bool(read),
            tables=[table(found) for table, found in ((values_table, read), (summary_table, retrained)) if found],
        ),
    )


def _made(result: CounterfactualDifferencesResult) -> dict[str, str]:
    """How a classifier's counterfactuals came about, in words."""
    made, settings = result.settings["counterfactuals"], result.settings
    trained = "" if result.of_values else f"{settings['train_images']:,} training and "
    return {
        "method": made["method"],
        "left": percent(round(made["left_their_class"], 3)),
        "images": f"{trained}{settings['test_images']:,} test images",
    }
