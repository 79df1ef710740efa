"""Figures whose names are in any script: in fonts that have the letters, and spelled out where no installed font has them."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.text import Text

# Tried before all others that are installed, the plain ones first.
PREFERRED = (
    *(
        "Noto Sans CJK SC",
        "Noto Sans CJK JP",
        "Noto Sans CJK KR",
        "Noto Sans CJK TC",
        "Noto Sans SC",
        "Noto Sans JP",
        "Noto Sans KR",
    ),
    *("Source Han Sans SC", "WenQuanYi Micro Hei", "WenQuanYi Zen Hei", "IPAexGothic", "NanumGothic", "Droid Sans Fallback"),
    *("PingFang SC", "Hiragino Sans GB", "Hiragino Sans", "Apple SD Gothic Neo", "Arial Unicode MS", "Geeza Pro"),
    *("Microsoft YaHei", "SimHei", "Yu Gothic", "Meiryo", "MS Gothic", "Malgun Gothic", "Segoe UI", "Segoe UI Emoji", "Tahoma"),
    *("Noto Sans", "Noto Sans Arabic", "Noto Naskh Arabic", "Noto Emoji", "Symbola", "Unifont"),
)
LETTER = re.compile(r"(?:LETTER|SYLLABLE|CHARACTER) (?:SMALL |FINAL )?([A-Z]+)")
UPRIGHT = (400, "normal", "regular", "book", 500, "medium")
NO_LETTERS = ("Last Resort", "Color Emoji", "STIX", "cm")  # boxes, pictures, mathematics


def legible(figure: Figure, classes: Sequence[str] = ()) -> Figure:
    """The figure itself, made such that all its text can be read.

    A letter that its font lacks comes from another installed one. If no font has it, a name of `classes` becomes "class 3", and
    other text is spelled: Japanese, Korean and Arabic by the names of the letters, Chinese by code points, emoji in words.

    Args:
        figure: whose text is changed.
        classes: names of which the figure may hold some, in the order of their numbers.

    Warns:
        UserWarning: something was spelled; once a process.
    """
    as_written(figure)
    for axes in figure.axes:
        for axis in (axes.xaxis, axes.yaxis):
            _relabel(axis, classes)
    for text in _texts(figure):
        text.set_text(_readable(text.get_text(), text.get_fontfamily(), classes))
        text.set_fontfamily(_families(text.get_text(), text.get_fontfamily()))
    return figure


def as_written(figure: Figure) -> None:
    """Keep names with dollar signs from being read as formulas, or text as TeX; those of Matplotlib's axes stay formulas."""
    for text in _texts(figure):
        text.set_usetex(False)
        if "$" in text.get_text() and "mathdefault" not in text.get_text():
            text.set_parse_math(False)


@contextmanager
def quiet() -> Iterator[None]:
    """No word on letters that are lacking, where whoever shows the text has fonts of their own."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=r"Glyph .* missing from", category=UserWarning)
        yield


def spelled(text: str) -> str:
    """The text in letters that every font has."""
    return "".join(letter if letter.isascii() else _spell(letter) for letter in text)


def _spell(letter: str) -> str:
    kind, name, plain = unicodedata.category(letter), unicodedata.name(letter, ""), unicodedata.normalize("NFKC", letter)
    if kind in ("Mn", "Cf"):  # joins or changes the letter before
        return ""
    if plain.isascii():
        return plain
    if found := LETTER.search(name):
        return found[1].lower()
    return f"[{name.lower()}]" if kind.startswith("S") and name else f"[U+{ord(letter):X}]"


def _readable(text: str, families: Iterable[str], classes: Sequence[str]) -> str:
    families = tuple(families)
    if not _lacking(text, families):
        return text
    _tell()
    numbers = {name: f"class {number}" for number, name in enumerate(classes) if _lacking(name, families)}
    for name in sorted(numbers, key=len, reverse=True):
        text = text.replace(name, numbers[name])
    lacking = _lacking(text, families)
    return "".join(_spell(letter) if letter in lacking else letter for letter in text)


def _lacking(text: str, families: tuple[str, ...]) -> set[str]:
    """The letters that no installed font has."""
    return {letter for letter in text if not letter.isascii() and _home(letter, families) is None}


def _families(text: str, families: Iterable[str]) -> list[str]:
    """The families, and behind them those that have what they lack of the text."""
    own = tuple(families)
    homes = (_home(letter, own) for letter in dict.fromkeys(text) if not letter.isascii())
    return [*dict.fromkeys((*own, *(home for home in homes if home is not None)))]


@cache
def _home(letter: str, families: tuple[str, ...]) -> str | None:
    """The first family that has the letter: of these, of the preferred ones, of all that are installed."""
    return next((family for family in (*families, *_installed()) if ord(letter) in _letters(family)), None)


@cache
def _installed() -> dict[str, str]:
    """The file of each installed font, the preferred ones first."""
    from matplotlib.font_manager import fontManager

    plain = [font for font in fontManager.ttflist if font.style == font.stretch == "normal" and font.weight in UPRIGHT]
    found = {font.name: font.fname for font in plain if not font.name.startswith(NO_LETTERS) and "Color Emoji" not in font.name}
    return {name: found[name] for name in (*(name for name in PREFERRED if name in found), *sorted(found.keys() - PREFERRED))}


@cache
def _letters(family: str) -> frozenset[int]:
    """The code points that the family's font has."""
    from matplotlib.font_manager import FontProperties, findfont, get_font

    try:
        return frozenset(get_font(_installed().get(family) or findfont(FontProperties(family=[family]))).get_charmap())
    except (OSError, RuntimeError, ValueError):  # a file that is no font
        return frozenset()


def _relabel(axis: Axis, classes: Sequence[str]) -> None:
    """Make labels of ticks readable that hold names: they are written anew whenever the figure is drawn."""
    from matplotlib.ticker import FixedLocator

    if not isinstance(axis.get_major_locator(), FixedLocator):
        return  # numbers
    labels = axis.get_ticklabels()
    families = [*dict.fromkeys(family for label in labels for family in label.get_fontfamily())]
    words = [label.get_text() for label in labels]
    if all(word.isascii() for word in words):
        return
    readable = [_readable(word, families, classes) for word in words]
    if readable != words:
        axis.set_ticks(axis.get_ticklocs(), labels=readable)
    axis.set_tick_params(labelfontfamily=_families("".join(readable), families))


def _texts(artist: Artist) -> list[Text]:
    from matplotlib.axis import Axis
    from matplotlib.text import Text

    if isinstance(artist, Text):
        return [artist]
    try:
        parts = artist.get_children()
    except ValueError:  # a logarithmic axis with nothing above 0 has no ticks
        parts = [artist.label, artist.offsetText] if isinstance(artist, Axis) else []
    return [text for part in parts for text in _texts(part)]


@cache
def _tell() -> None:
    told = "no installed font has all letters of the names in a figure, which spells them; install one, such as Noto Sans CJK"
    warnings.warn(told, stacklevel=4)
