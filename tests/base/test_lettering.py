"""Figures whose names are in any script can be read, with the fonts that there are."""

import warnings

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gradaudit import lettering
from gradaudit.lettering import legible, spelled

SCRIPTS = {
    "Chinese": "猫",
    "Japanese": "ねこ",
    "Korean": "고양이",
    "Arabic": "قطة",
    "emoji": "🐱",
    "Thai": "แมว",
}


@pytest.fixture(autouse=True)
def told_nothing_yet():
    lettering._tell.cache_clear()


@pytest.fixture(name="only_latin")
def only_latin_fixture(monkeypatch):
    """A machine on which no font has more than ASCII."""
    monkeypatch.setattr(lettering, "_home", lambda letter, families: None)


def figure_of(name):
    figure = Figure(figsize=(3, 3))
    axes = figure.subplots()
    axes.plot([0, 1], [0, 1], label=name)
    axes.set_title(f"{name}, to be dog")
    axes.set_yticks([0, 1], labels=[name, "dog"])
    axes.legend()
    return figure


def words(figure):
    axes = figure.axes[0]
    return axes.get_title(), axes.get_yticklabels()[0].get_text(), axes.get_legend().get_texts()[0].get_text()


def drawn(figure):
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    return np.asarray(canvas.buffer_rgba()).copy()


@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)
def test_no_script_makes_a_figure_warn_of_letters_that_are_lacking(tmp_path, name):
    figure = figure_of(name)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        legible(figure).savefig(tmp_path / "figure.png")
        legible(figure).savefig(tmp_path / "figure.svg")
    assert len(caught) <= 1
    assert all("no installed font has all letters" in str(one.message) for one in caught)


@pytest.mark.parametrize("name", SCRIPTS.values(), ids=SCRIPTS)
def test_where_no_font_has_the_letters_a_class_is_called_by_its_number(only_latin, name):
    figure = figure_of(name)
    with pytest.warns(UserWarning, match=r"no installed font .* Noto Sans CJK"):
        legible(figure, ["dog", name])
    assert words(figure) == ("class 1, to be dog", "class 1", "class 1")
    drawn(figure)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("猫", "[U+732B]"),
        ("ねこ", "neko"),
        ("고양이", "goyangi"),
        ("قط", "qaftah"),
        ("🐱", "[cat face]"),
        ("❤\ufe0f", "[heavy black heart]"),
        ("ﬁ", "fi"),
        ("a b", "a b"),
    ],
)
def test_other_text_is_spelled(only_latin, name, text):
    assert spelled(name) == text
    if name != text:
        figure = figure_of(name)
        with pytest.warns(UserWarning, match="no installed font"):
            legible(figure)
        assert words(figure)[1] == text


def test_letters_come_from_another_font_that_has_them(tmp_path):
    with mpl.rc_context({"font.family": "DejaVu Sans Mono"}):
        figure = figure_of("🐱")
    legible(figure)
    assert words(figure)[1] == "🐱"
    assert [*figure.axes[0].title.get_fontfamily()] == ["DejaVu Sans Mono", "DejaVu Sans"]
    drawn(figure)


def test_preferred_fonts_come_first_if_they_are_there():
    installed = [*lettering._installed()]
    preferred = [name for name in lettering.PREFERRED if name in installed]
    assert installed[: len(preferred)] == preferred
    assert not [name for name in installed if "Last Resort" in name or "Emoji Color" in name]


@pytest.mark.parametrize("name", ["$100", "$a$", "$\\frac$ and $", "100 $ to 200 $"])
def test_a_name_with_dollar_signs_is_no_formula(name):
    figure = figure_of(name)
    drawn(legible(figure))
    assert words(figure)[1] == name


def test_plain_names_stay_as_they_are():
    one, other = figure_of("cat"), figure_of("cat")
    assert np.array_equal(drawn(one), drawn(legible(other)))
