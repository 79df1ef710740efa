"""What a reader must know before anything else, and sections that come first."""

import pytest
from markupsafe import Markup

from gradaudit.errors import InputError
from gradaudit.markup.section import Section


def first(anchor):
    return Section(anchor, "First of all", "What?", (), Markup(""), Markup("<p>body</p>"))


def test_notices_stand_above_every_figure_and_are_escaped(make_result, page_of):
    page = page_of({"standard": make_result()}, caveats=["the images are others: <b>5</b> before"])
    assert "The images are others: &lt;b&gt;5&lt;/b&gt; before." in page
    assert page.index("The images are others") < page.index("<svg")
    assert "Before you read on" not in page_of({"standard": make_result()})


def test_first_sections_come_before_all_findings(make_result, page_of):
    page = page_of({"standard": make_result()}, first=[first("ahead")])
    assert page.index('<section id="ahead"') < page.index('<section id="findings"') < page.index('<section id="diffroar"')
    with pytest.raises(InputError, match="anchor"):
        page_of({"standard": make_result()}, first=[first("same")], extra=[first("same")])
