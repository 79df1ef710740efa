"""What counterfactuals change, on the page."""

import re

import pytest

from gradaudit.instruments.counterfactual_differences.result import DIFFERENCES, of_differences

MADE = {"method": "svce(steps=8)", "targets": "second", "left_their_class": 0.815}


@pytest.fixture(name="results")
def results_fixture(make_result):
    """A DiffROAR result of two classifiers, and that of their counterfactual differences beside the gradient."""

    def make(conditional=True):
        both = {}
        for kind in ("standard", "robust"):
            differences = make_result(kind, conditional=conditional, attributions=(DIFFERENCES, "logit_gradient"))
            both[kind] = [make_result(kind, conditional=conditional), of_differences(differences, MADE)]
        return both

    return make


def section(page):
    return page[page.index('<section id="counterfactual_differences"') :].partition("</section>")[0]


def test_it_stands_after_diffroar_and_names_its_method(results, page_of):
    page = page_of(results())
    assert page.index('<section id="diffroar"') < page.index('<section id="counterfactual_differences"')
    assert "svce(steps=8), 20,000 training and 10,000 test images; 81.5% of the test images" in section(page)


def test_curves_of_both_attributions_are_beside_each_other(results, page_of):
    found = page_of(results())
    figure = found[found.index('id="figure-counterfactual_differences"') :]
    for name in ("standard", "robust"):
        for attribution in (DIFFERENCES, "logit_gradient"):
            assert f"{name}, {attribution}" in figure


def test_only_the_differences_are_judged_there(results, page_of):
    """The gradient is judged by DiffROAR's own section, on more images."""
    found = page_of(results())
    subjects = re.findall(r'<span class="name">([^<]+)</span>', found)
    assert subjects.count(DIFFERENCES) == subjects.count(f"{DIFFERENCES}, given the mask") == 2
    assert subjects.count("logit_gradient") == 2


def test_every_id_is_there_once(results, page_of):
    ids = re.findall(r'\sid="([^"]+)"', page_of(results()))
    assert sorted({one for one in ids if ids.count(one) > 1}) == []


def test_without_learners_of_the_mask_it_says_what_is_unknown(results, page_of):
    assert "Learners of the mask were not run" in section(page_of(results(conditional=False)))
    assert "the figure to trust" in section(page_of(results()))


def test_its_caveats_come_first_and_only_few_flips_are_named(make_result):
    result = make_result(attributions=(DIFFERENCES, "logit_gradient"))
    few, many = (of_differences(result, MADE | {"left_their_class": share}) for share in (0.5, 0.99))
    assert "lead from the class that the classifier sees to its second guess" in few.verdict.caveats[0]
    assert any("only 50 % of the counterfactuals left their class" in one for one in few.verdict.caveats)
    assert not any("left their class" in one for one in many.verdict.caveats)
    assert few.from_json(few.to_json()).verdicts == few.verdicts
