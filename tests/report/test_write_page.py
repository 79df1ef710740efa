"""The page as a file: well formed, self-contained, complete, deterministic, and safe whatever the names."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from html.parser import HTMLParser
from importlib.resources import files
from pathlib import Path

import pytest
import torch
from markupsafe import Markup
from torch import nn

from gradaudit.answering import Answer, Reading
from gradaudit.answering.planted import MEASURES
from gradaudit.errors import InputError, StoreError
from gradaudit.images import ImageSet
from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.instruments.robustness import robustness
from gradaudit.markup.section import Section
from gradaudit.report import Pictures, write_page

MakeResult = Callable[..., DiffROARResult]
MakePictures = Callable[..., Pictures]
WritePage = Callable[..., str]

VOID = {"meta", "link", "img", "br", "hr", "input"}
NASTY = '<script>alert("1")</script>'


class Outline(HTMLParser):
    """Elements with their attributes, checked for balance, and the text outside scripts and styles."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(page)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open and self.open[-1] not in ("script", "style"):
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


@pytest.fixture
def two(make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage) -> str:
    return page_of({"standard": make_result("standard"), "robust": make_result("robust")}, pictures=make_pictures())


@pytest.fixture
def answered(make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage) -> str:
    results = {"standard": make_result("standard"), "robust": make_result("robust")}
    readings = tuple(
        Reading("diffroar", MEASURES["values"].words, "logit_gradient", value, 0.1, 0.9, 0.5, "so", True) for value in (0.2, 7.0)
    )
    answers = {name: Answer("not settled", "it depends", "more images", readings) for name in results}
    return page_of(results, pictures=make_pictures(), answers=answers)


@pytest.mark.parametrize("kind", ["two", "answered"])
def test_landmarks_headings_and_ids(kind: str, request: pytest.FixtureRequest) -> None:
    two = request.getfixturevalue(kind)
    page = Outline(two)
    counts = Counter(tag for tag, _ in page.elements)
    assert two.startswith("<!DOCTYPE html>")
    assert all(counts[tag] == 1 for tag in ("html", "title", "h1", "main", "nav", "header", "footer", "script", "style"))
    assert page.all("html")[0]["lang"] == "en"
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    targets = [(link["href"] or "").removeprefix("#") for link in page.all("a")]
    assert targets
    assert set(targets) <= set(ids)
    labelled = [attributes["aria-labelledby"] for _, attributes in page.elements if "aria-labelledby" in attributes]
    assert set(labelled) <= set(ids)


def test_pictures_figures_and_tables_have_words(two: str) -> None:
    page = Outline(two)
    assert len(page.all("img")) == 3 * 4
    assert all(image["alt"] for image in page.all("img"))
    figures = [attributes for attributes in page.all("svg") if attributes.get("role") == "img"]
    assert len(figures) == 4
    assert all(figure["aria-label"] for figure in figures)
    assert all("aria-hidden" in attributes for attributes in page.all("svg") if attributes.get("role") != "img")
    assert len(page.all("caption")) == len(page.all("table"))
    assert all(heading["scope"] in ("col", "row") for heading in page.all("th"))


@pytest.mark.parametrize("kind", ["two", "answered"])
def test_nothing_is_loaded_from_anywhere(kind: str, request: pytest.FixtureRequest) -> None:
    two = request.getfixturevalue(kind)
    page = Outline(two)
    for tag, attributes in page.elements:
        for name in ("src", "srcset", "poster", "data", "xlink:href"):
            assert (attributes.get(name) or "data:").startswith("data:"), (tag, attributes)
        if tag != "a":
            assert (attributes.get("href") or "#").startswith(("#", "data:")), (tag, attributes)
    assert not re.search(r"https?://|@import|url\((?!#)", two)
    assert len(two) < 1_000_000


def test_drawings_of_answers_have_words(answered: str) -> None:
    page = Outline(answered)
    drawings = [attributes for attributes in page.all("svg") if attributes.get("class") == "bar"]
    assert len(drawings) == 1 + 2 * 2
    assert all(one.get("aria-hidden") or (one.get("role") == "img" and one["aria-label"]) for one in drawings)
    assert all(image["alt"] for image in page.all("img"))
    assert all(heading["scope"] in ("col", "row") for heading in page.all("th"))


def test_every_number_of_the_table_is_on_the_page(make_result: MakeResult, page_of: WritePage) -> None:
    results = {"standard": make_result("standard"), "robust": make_result("robust")}
    page = Outline(page_of(results))
    orders = Counter(cell["data-order"] for cell in page.all("td") if cell.get("data-order"))
    for result in results.values():
        for column in ("top", "bottom", "diffroar", "mask_top", "mask_bottom"):
            for value in result.table[column]:
                assert orders[repr(float(value))] > 0
                assert f"{abs(value):.4f}" in page.text
        for column in ("mean", "low", "low_all", "detectable", "top", "bottom", "mask_top", "mask_bottom"):
            for value in result.summary[column]:
                assert orders[repr(float(value))] > 0
                assert f"{abs(value):.3f}" in page.text


def test_verdicts_caveats_settings_and_versions_are_in_words(two: str, make_result: MakeResult) -> None:
    text = Outline(two).text
    for kind in ("standard", "robust"):
        result = make_result(kind)
        verdict = result.verdict
        for words in (verdict.sentence, *verdict.caveats):
            assert words[1:] in text
        assert result.settings["classifier"] in text
        assert result.settings["train_fingerprint"] in text
    for words in ("gradaudit demo --seed 0", "Wall time: 1 min 44 s.", "2.13.0", "lenet5, 5 epochs", "learner: network", "✓ Holds"):
        assert words in text


def test_a_violation_and_its_opposite_have_different_words(make_result: MakeResult, page_of: WritePage) -> None:
    text = Outline(page_of({"a": make_result("violating"), "b": make_result("robust")})).text
    assert "✕ Violated" in text
    assert "✓ Holds" in text


def test_sentences_are_set_apart(make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage) -> None:
    results = {"standard": make_result(seeds=1), "robust": make_result("robust", masks=False)}
    assert not re.findall(r"[a-z)]\.[A-Z]\w+", Outline(page_of(results, pictures=make_pictures(channels=3))).text)


def test_colours_stand_out_in_both_themes() -> None:
    """WCAG 2.2: contrast of at least 4.5 for text and 3 for curves."""
    style = files("gradaudit.report").joinpath("templates", "style.css").read_text(encoding="utf-8")
    themes = [dict(re.findall(r"--([\w-]+): #(\w{6})", block)) for block in style.split("@media screen and", 1)]
    assert [len(theme) for theme in themes] == [21, 21]
    for theme in themes:
        pairs = [(name, paper, 4.5) for name in ("ink", "soft", "link") for paper in ("paper", "card")]
        pairs += [(name, f"{name}-paper", 4.5) for name in ("good", "bad", "open")]
        curves = ("top", "bottom", "control", "s1", "s2", "s3", "s4", "s5", "s6")
        pairs += [(name, paper, 3) for name in curves for paper in ("paper", "card")]
        for name, paper, least in pairs:
            assert contrast(theme[name], theme[paper]) >= least, (name, paper)


def contrast(one: str, other: str) -> float:
    dark, light = sorted(luminance(color) for color in (one, other))
    return (light + 0.05) / (dark + 0.05)


def luminance(color: str) -> float:
    shares = [int(color[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    linear = [share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4 for share in shares]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def test_the_same_arguments_give_the_same_bytes(
    two: str, make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage
) -> None:
    again = page_of({"standard": make_result("standard"), "robust": make_result("robust")}, pictures=make_pictures())
    assert again == two
    assert page_of({"standard": make_result("standard"), "robust": make_result("robust")}, pictures=None) != two


def test_a_result_that_was_saved_gives_the_same_page(make_result: MakeResult, page_of: WritePage, tmp_path: Path) -> None:
    for result in (make_result(), make_result(seeds=1, masks=False)):
        loaded = DiffROARResult.load(result.save(tmp_path / "saved"))
        assert page_of({"a": loaded}) == page_of({"a": result})


def test_names_of_the_user_are_escaped_everywhere(make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage) -> None:
    result = make_result("standard", attributions=(NASTY,), classes=(NASTY, "1"))
    pictures = make_pictures((NASTY,))
    pictures = Pictures(pictures.images, [NASTY] * 3, pictures.scores, {NASTY: pictures.images})
    page = page_of({NASTY: result}, pictures=pictures, title=NASTY, command=NASTY, facts={NASTY: {NASTY: NASTY}})
    assert len(Outline(page).all("script")) == 1
    assert "<script>alert" not in page
    assert Outline(page).text.count(NASTY) > 20
    assert all(NASTY in (image["alt"] or "") for image in Outline(page).all("img"))


def test_mathematics_and_foreign_letters_in_names_are_drawn_as_they_are(make_result: MakeResult, page_of: WritePage) -> None:
    names = ("$x^{2$", "_hidden", "分類器")
    text = Outline(page_of({name: make_result("robust") for name in names})).text
    assert all(f"{name}, logit_gradient" in text for name in names)


def test_masks_that_were_not_run_and_single_seeds_have_words(make_result: MakeResult, page_of: WritePage) -> None:
    page = page_of({"standard": make_result("standard", seeds=1, masks=False)})
    text = Outline(page).text
    for words in ("not run", "one seed", "has no interval", "Mask-only learners were not run", "? Inconclusive"):
        assert words in text
    assert "top mask alone" not in text
    assert not re.search(r"\bnan\b", re.sub(r'src="data:[^"]*"', "", page), re.IGNORECASE)


def test_one_seed_beside_many(make_result: MakeResult, page_of: WritePage) -> None:
    page = page_of({"a": make_result("standard", seeds=1), "b": make_result("robust", seeds=2, masks=False)})
    assert "A curve from a single seed has no interval." in Outline(page).text


@pytest.mark.parametrize("count", [1, 4])
def test_controls_that_all_share_are_drawn_once(count: int, make_result: MakeResult, page_of: WritePage) -> None:
    page = Outline(page_of({f"classifier {place}": make_result("standard") for place in range(count)}))
    overview = page.all("svg")[0]["aria-label"] or ""
    assert overview.count("edges (control)") == 1
    assert overview.count("logit_gradient") == count


def test_controls_that_differ_are_told_apart(make_result: MakeResult, page_of: WritePage) -> None:
    page = Outline(page_of({"a": make_result(seeds=2), "b": make_result(seeds=3), "c": make_result(seeds=3)}))
    overview = page.all("svg")[0]["aria-label"] or ""
    assert "edges (control) for a:" in overview
    assert "edges (control) for b and c:" in overview


def test_several_attributions_each_have_a_curve_and_a_verdict(make_result: MakeResult, page_of: WritePage) -> None:
    page = Outline(page_of({"a": make_result(attributions=("logit_gradient", "smoothgrad"), controls=())}))
    assert len([attributes for attributes in page.all("svg") if attributes.get("role") == "img"]) == 4
    assert re.findall(r"(logit_gradient|smoothgrad) : [A-Z]", page.text) == ["logit_gradient", "smoothgrad"]
    assert "The grey curves" not in page.text


def test_no_pictures_no_facts_no_time(make_result: MakeResult, page_of: WritePage) -> None:
    page = Outline(page_of({"a": make_result()}, facts={}, seconds=None))
    assert page.all("img") == []
    assert "Wall time: not recorded." in page.text
    assert not {"#pictures", "#classifiers"} & {link["href"] for link in page.all("a")}


def test_facts_that_one_classifier_lacks_are_named_as_such(make_result: MakeResult, page_of: WritePage) -> None:
    page = page_of({"a": make_result(), "b": make_result("robust")}, facts={"a": {"accuracy": "0.987"}})
    assert "0.987 not given" in Outline(page).text


def section(anchor: str) -> Section:
    return Section(anchor, f"About {anchor}", "Do they agree?", (), Markup(""), Markup("<p>They do.</p>"))


def test_sections_of_the_caller_stand_after_those_of_the_instruments(make_result: MakeResult, page_of: WritePage) -> None:
    text = page_of({"a": make_result()}, extra=[section("agreement"), section("more")])
    page = Outline(text)
    links = [link["href"] for link in page.all("a")]
    assert links.index("#diffroar") < links.index("#agreement") < links.index("#more") < links.index("#settings")
    assert page.text.count("They do.") == 2
    assert "Do they agree?" not in page.text  # asked of the classifiers only where a verdict answers


def test_instruments_that_did_not_run_stand_with_the_verdicts_and_have_a_section(
    make_result: MakeResult, page_of: WritePage
) -> None:
    page = Outline(page_of({"a": make_result()}, skipped={"manifold_robustness": "no <tangent> spaces", "diffroar": "no time"}))
    assert page.text.count("No <tangent> spaces.") == 2
    assert "Manifold robustness Not run : No <tangent> spaces. DiffROAR Not run : No time." in page.text
    assert [link["href"] for link in page.all("a")].count("#skipped") == 3
    assert "#skipped" not in [link["href"] for link in Outline(page_of({"a": make_result()})).all("a")]


def test_three_classifiers_are_compared_at_a_glance(make_result: MakeResult, page_of: WritePage) -> None:
    results = {name: make_result(kind) for name, kind in (("a", "standard"), ("b", "robust"), ("c", "violating"))}
    assert "Verdicts at a glance Classifier DiffROAR a ✓ Holds b ✓ Holds c ✕ Violated" in Outline(page_of(results)).text
    assert "at a glance" not in page_of({"a": results["a"], "b": results["b"]})


def test_each_caveat_is_reached_from_its_verdict(make_result: MakeResult, page_of: WritePage) -> None:
    results = {"a": make_result("standard"), "b": make_result("violating")}
    page = page_of(results)
    for place, (name, result) in enumerate(results.items(), start=1):
        count = len(result.verdict.caveats)
        assert f'href="#caveats-diffroar-{place}">{count} caveat' in page
        listed = page.split(f'id="caveats-diffroar-{place}">{name}: DiffROAR, logit_gradient<')[1].split("</ul>")[0]
        assert listed.count("<li>") == count


def test_versions_of_several_days_are_all_named(make_result: MakeResult, page_of: WritePage) -> None:
    images = ImageSet(torch.arange(64, dtype=torch.uint8).reshape(2, 1, 4, 8), torch.tensor([0, 1]), ("a", "b"))
    noise = robustness(
        nn.Sequential(nn.Flatten(), nn.Linear(32, 2)), images, attack="gaussian(samples=2)", eps=(0.1,), device="cpu"
    )
    later = replace(noise, versions={"python": "3.11.9", "gradaudit": "0.1.0", "torch": "2.14.0"})
    text = Outline(page_of({"a": [make_result(), later]})).text
    assert "torch 2.13.0, 2.14.0" in text
    assert "python 3.11.9 gradaudit 0.1.0" in text


def test_all_pictures_together_keep_to_the_budget(
    make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pictures = make_pictures(("a",), count=3)
    whole = page_of({"a": make_result()}, pictures=pictures)
    one_row = sum(len(source) for source in re.findall(r'src="(data:[^"]*)"', whole)) / 3
    monkeypatch.setattr("gradaudit.report.page.BUDGET", int(2.5 * one_row) * 2)
    page = Outline(page_of({"a": make_result()}, pictures=[pictures, pictures]))
    assert len(page.all("img")) == 2 * 2 * 3
    assert page.text.count("The first 2 of 3 images, as many as fit the page") == 2


@pytest.mark.parametrize(
    ("argument", "changes"),
    [
        ("title", {"title": " "}),
        ("results", {"results": {}}),
        ("results['a']", {"results": {"a": "holds"}}),
        ("facts", {"facts": {"b": {}}}),
        ("seconds", {"seconds": -1.0}),
        ("seconds", {"seconds": float("nan")}),
        ("skipped['leakage']", {"skipped": {"leakage": " "}}),
        ("extra[0].anchor", {"extra": [section("diffroar")]}),
        ("extra[0].anchor", {"extra": [section("settings")]}),
        ("extra[1].anchor", {"extra": [section("agreement"), section("agreement")]}),
    ],
)
def test_bad_arguments_are_named_and_nothing_is_written(
    argument: str, changes: dict[str, object], make_result: MakeResult, page_of: WritePage, tmp_path: Path
) -> None:
    with pytest.raises(InputError) as caught:
        page_of(**({"results": {"a": make_result()}, "facts": {}} | changes))
    assert str(caught.value).startswith(f"`{argument}`")
    assert list(tmp_path.iterdir()) == []


def test_pictures_of_an_unknown_classifier_are_refused(
    make_result: MakeResult, make_pictures: MakePictures, page_of: WritePage
) -> None:
    with pytest.raises(InputError, match=r"`pictures` \(=\['robust'\]\) must be among .*: standard"):
        page_of({"standard": make_result()}, pictures=make_pictures(("standard", "robust")))


def test_a_path_that_is_a_folder_is_refused(make_result: MakeResult, tmp_path: Path) -> None:
    results = {"a": make_result()}
    with pytest.raises(StoreError, match="cannot write"):
        write_page(tmp_path, title="t", results=results, pictures=None, facts={}, command="", seconds=None)
