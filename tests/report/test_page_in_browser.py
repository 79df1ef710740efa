"""The page in a real browser, made of results of five instruments: what it loads, what can be done with it, who can read it."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from axe_playwright_python.sync_playwright import Axe
from markupsafe import Markup
from playwright.sync_api import Browser, Locator, Page, sync_playwright
from torch import nn

import gradaudit as ga
from gradaudit.answering import Answer, Reading, Scale
from gradaudit.instruments.diffroar import DiffROARResult
from gradaudit.markup.pictures import data_uri, image_pixels
from gradaudit.markup.section import Section
from gradaudit.report import gallery, write_page

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
SIZE = 8  # pixels of an image's side
FOLDED = "document.querySelectorAll('details:not([open])').length"
LONG = "a_long_name_without_spaces_or_hyphens"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium is installed (Debian: apt-get install chromium)")

Open = Callable[..., Page]


def linear(weight: torch.Tensor) -> nn.Sequential:
    """A classifier whose logits are linear in the image, and 0 at mid-grey."""
    module = nn.Sequential(nn.Flatten(), nn.Linear(SIZE * SIZE, len(weight)))
    module[1].weight.data, module[1].bias.data = weight, -weight.sum(dim=1) / 2
    return module


def blend_section(images: torch.Tensor) -> Section:
    """As the section of counterfactuals has them."""
    before, after, change = (data_uri(image_pixels(image)) for image in images[:3])
    body = Markup(
        '<table class="pictures"><caption>Before and after</caption><tbody><tr><td><figure class="blend">'
        '<img class="before" src="{}" alt="The image"><img class="after" src="{}" alt="Its counterfactual">'
        '<input type="range" min="0" max="100" value="0"></figure></td><td><img src="{}" alt="The difference"></td></tr>'
        "</tbody></table>"
    ).format(before, after, change)
    return Section("together", "Together", "Do the instruments agree?", (), Markup(""), body)


@pytest.fixture(name="material", scope="module")
def material_fixture(make_result: Callable[..., DiffROARResult]) -> dict[str, Any]:
    """What the page is made of."""
    mixture = ga.gaussian_mixture(classes=3, shape=(1, SIZE, SIZE), intrinsic_dim=6, seed=0)
    drawn, mask = mixture.sample(30, seed=1), torch.zeros(30, SIZE, SIZE, dtype=torch.bool)
    mask[:, 2:6, 2:6] = True
    images = ga.ImageSet(drawn.images, drawn.labels, drawn.classes, mask)
    noise = torch.randn(3, SIZE * SIZE, generator=torch.Generator().manual_seed(0))
    classifiers = {"means": linear(20 * (mixture.means.float() - 0.5)), LONG: linear(noise)}
    results = {
        name: [
            make_result(kind, seeds=2, controls=("edges",)),
            ga.leakage(classifier, images, controls=("random",), device="cpu"),
            ga.robustness(classifier, images, eps=(0.0, 0.02), attack="pgd(steps=3)", device="cpu"),
            ga.alignment(classifier, images, mixture.denoiser(), sigma=(0.1, 0.2), device="cpu"),
            ga.manifold_robustness(classifier, images, mixture.tangent_spaces(images.floats()), device="cpu"),
        ]
        for (name, classifier), kind in zip(classifiers.items(), ("standard", "violating"), strict=True)
    }
    results["third"] = [make_result("robust", seeds=2, controls=("edges",))]
    return {
        "title": "Can these gradients be trusted?",
        "results": results,
        "pictures": gallery(classifiers, images, controls=("random",), count=3),
        "facts": {name: {"network": "linear", "accuracy": "0.9"} for name in results},
        "command": "gradaudit audit --preset quick",
        "seconds": 61.0,
        "extra": [blend_section(images.floats())],
        "skipped": {"counterfactual": "no denoiser was given"},
    }


@pytest.fixture(name="written", scope="module")
def written_fixture(material: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(tmp_path_factory.mktemp("page") / "index.html", **material)


@pytest.fixture(name="answered", scope="module")
def answered_fixture(material: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The page that begins with answers: of two classifiers, and of all three beside it."""
    folder, sentence = tmp_path_factory.mktemp("answered"), "of the 60 planted maps with such numbers 3 were bad; " * 2
    answers = {
        name: Answer(label, sentence, "200 more test images", (reading("diffroar", value), reading("leakage", value, weighs=False)))
        for name, label, value in (("means", "trust", 0.7), (LONG, f"trust for {LONG}", 0.2), ("third", "do not trust", 1.4))
    }
    with pytest.MonkeyPatch.context() as patch:
        scale = Scale(0.0, 1.0, ((0.0, 0.0), (0.4, 0.1), (0.6, 0.9), (1.0, 1.0)))
        patch.setattr("gradaudit.report.answered.scale", lambda measure: scale if measure == "diffroar" else None)
        for count, file in ((2, "two.html"), (3, "index.html")):
            own = {part: {name: material[part][name] for name in [*answers][:count]} for part in ("results", "facts")}
            first = {name: answers[name] for name in own["results"]}
            write_page(folder / file, **{**material, **own}, answers=first)
    return folder


def reading(kind: str, value: float, weighs: bool = True) -> Reading:
    return Reading(kind, kind, "logit_gradient", value, value - 0.1, value + 0.1, 0.5, "3 of the 60 planted maps were bad", weighs)


@pytest.fixture(name="browser", scope="module")
def browser_fixture() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])  # root, as in CI, has no sandbox
        yield browser
        browser.close()


@pytest.fixture(name="open_page")
def open_fixture(browser: Browser, written: Path, answered: Path) -> Iterator[Open]:
    """Opens the page, and afterwards sees to it that nothing went wrong and nothing else was loaded."""
    contexts, complaints, requests = [], [], []

    pages = {"verdicts": written, "answers": answered / "index.html", "two answers": answered / "two.html"}
    opened_pages = set()

    def opened(width: int = 1280, shown: str = "verdicts", **options: Any) -> Page:
        contexts.append(browser.new_context(viewport={"width": width, "height": 900}, **options))
        page = contexts[-1].new_page()
        page.set_default_timeout(20_000)
        page.on("console", lambda message: complaints.append(message.text))
        page.on("pageerror", lambda error: complaints.append(str(error)))
        page.on("request", lambda request: requests.append(request.url))
        page.goto(pages[shown].as_uri())
        opened_pages.add(pages[shown].as_uri())
        return page

    yield opened
    for context in contexts:
        context.close()
    assert complaints == []
    assert {url.partition("#")[0] for url in requests if not url.startswith("data:")} == opened_pages


def column_values(page: Page, heading: str) -> list[float]:
    return page.evaluate(
        """(heading) => {
          const table = document.querySelector("table[data-sortable]");
          const column = Array.from(table.tHead.rows[0].cells).findIndex((cell) => cell.textContent === heading);
          return Array.from(table.tBodies[0].rows, (row) => Number(row.cells[column].dataset.order));
        }""",
        heading,
    )


def test_nothing_else_is_loaded_and_every_picture_is_seen(open_page: Open, written: Path) -> None:
    page = open_page()
    widths = page.evaluate("Array.from(document.images, (image) => image.naturalWidth)")
    assert len(widths) > 12
    assert set(widths) == {SIZE}
    assert written.stat().st_size < 10 * 2**20


def test_a_table_sorts_by_numbers_both_ways_with_the_keyboard(open_page: Open) -> None:
    page = open_page()
    heading = page.locator("table[data-sortable]").first.get_by_role("columnheader", name="DiffROAR", exact=True)
    before = column_values(page, "DiffROAR")
    assert before not in (sorted(before), sorted(before, reverse=True))
    heading.get_by_role("button").press("Enter")
    assert column_values(page, "DiffROAR") == sorted(before)
    assert heading.get_attribute("aria-sort") == "ascending"
    heading.get_by_role("button").press("Space")
    assert column_values(page, "DiffROAR") == sorted(before, reverse=True)
    assert page.locator("[aria-sort]").count() == 1
    assert heading.get_attribute("aria-sort") == "descending"


def test_a_picture_enlarges_its_neighbours_follow_and_escape_gives_the_focus_back(open_page: Open) -> None:
    page = open_page()
    pictures, dialog = page.locator("#pictures tbody tr").first.locator("button"), page.get_by_role("dialog")
    small = pictures.nth(1).bounding_box()
    pictures.nth(1).press("Enter")
    image = dialog.locator("img")
    assert image.bounding_box()["width"] > 3 * small["width"]
    assert image.get_attribute("src") == pictures.nth(1).locator("img").get_attribute("src")
    for key, place in (("ArrowRight", 2), ("ArrowLeft", 1), ("ArrowLeft", 0), ("ArrowLeft", 3)):
        page.keyboard.press(key)
        assert dialog.locator("p").inner_text() == pictures.nth(place).locator("img").get_attribute("alt")
    page.keyboard.press("Escape")
    assert dialog.count() == 0
    assert pictures.nth(1).evaluate("(button) => button === document.activeElement")


def test_a_click_opens_and_closes_and_the_buttons_walk(open_page: Open) -> None:
    page = open_page()
    pictures, dialog = page.locator("#pictures tbody tr").nth(1).locator("button"), page.get_by_role("dialog")
    pictures.first.click()
    dialog.get_by_role("button", name="Next").click()
    assert dialog.locator("p").inner_text() == pictures.nth(1).locator("img").get_attribute("alt")
    dialog.locator(".large").click()
    assert dialog.count() == 0
    pictures.first.click()
    page.mouse.click(5, 5)  # beside the dialog
    assert dialog.count() == 0


def parts(figure: Locator) -> list[str]:
    return figure.evaluate("(figure) => Array.from(figure.children, (part) => part.outerHTML)")


def test_a_figure_enlarges_and_goes_back_to_its_place(open_page: Open) -> None:
    page = open_page()
    figure, dialog = page.locator(".overview figure").first, page.get_by_role("dialog")
    before = parts(figure)
    opener = figure.get_by_role("button", name="Enlarge")
    opener.click()
    assert dialog.locator("svg.figure").bounding_box()["width"] > 2 * figure.locator(".narrow svg").bounding_box()["width"]
    assert "logit_gradient" in dialog.locator(".key").inner_text()
    dialog.get_by_role("button", name="Close").click()
    assert parts(figure) == before
    opener.press("Enter")
    page.keyboard.press("Escape")
    assert parts(figure) == before


def test_the_place_under_the_pointer_is_marked_in_the_whole_row(open_page: Open) -> None:
    page = open_page()
    row = page.locator("#pictures tbody tr").first
    row.scroll_into_view_if_needed()
    box = row.locator("button").nth(2).bounding_box()
    page.mouse.move(box["x"] + 0.25 * box["width"], box["y"] + 0.75 * box["height"])
    marks = row.locator("button").evaluate_all(
        """(buttons) => buttons.map((button) => {
          const mark = getComputedStyle(button, "::after"), box = button.getBoundingClientRect();
          return [parseFloat(mark.left) / box.width, parseFloat(mark.top) / box.height];
        })"""
    )
    assert len(marks) == 4
    for mark in marks:
        assert mark == pytest.approx([0.25, 0.75], abs=0.02)
    page.mouse.move(5, 5)
    assert row.get_attribute("class") == ""


def test_a_slider_blends(open_page: Open) -> None:
    page = open_page()
    slider = page.get_by_role("slider", name="Blend from “The image” to “Its counterfactual”")
    boxes = [page.locator(f".blend .{name}").bounding_box() for name in ("before", "after")]
    assert boxes[0] == boxes[1]

    def opacity() -> float:
        return float(page.locator(".blend .after").evaluate("(image) => getComputedStyle(image).opacity"))

    assert opacity() == 0
    slider.press("ArrowRight")
    assert opacity() == pytest.approx(0.01)
    slider.fill("40")
    assert opacity() == pytest.approx(0.4)
    assert slider.get_attribute("aria-valuetext") == "40% of the second image"
    slider.press("End")
    assert opacity() == 1
    page.get_by_role("button", name="The image Its counterfactual").click()
    dialog = page.get_by_role("dialog")
    assert dialog.locator("p").inner_text() == "Its counterfactual"
    assert dialog.locator("img").nth(0).bounding_box() == dialog.locator("img").nth(1).bounding_box()
    page.keyboard.press("ArrowRight")
    assert dialog.locator("p").inner_text() == "The difference"


def test_without_a_script_nothing_is_missing_and_no_control_does_nothing(open_page: Open) -> None:
    page = open_page(java_script_enabled=False)
    assert page.get_by_role("button").count() == 0
    assert page.get_by_role("slider").count() == 0
    boxes = [page.locator(f".blend .{name}").bounding_box() for name in ("before", "after")]
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]


def test_verdicts_stand_side_by_side_on_the_first_screen(open_page: Open) -> None:
    page = open_page()
    glance = page.locator("table.glance")
    assert glance.get_by_role("rowheader").all_inner_texts() == ["means", LONG, "third"]
    assert glance.get_by_role("row").last.get_by_role("cell").all_inner_texts()[1:] == ["not run"] * 4
    first, second = (page.locator(".asked").first.locator(".findings > li").nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"] < 900
    assert page.locator(".asked").last.inner_text().split("\n")[-1] == "Not run: No denoiser was given."
    for link in page.locator(".miniature").all():
        assert link.bounding_box()["width"] > 100
        assert page.locator(link.get_attribute("href")).count() == 1


def test_contents_stay_in_sight(open_page: Open) -> None:
    page = open_page(reduced_motion="reduce")
    page.get_by_role("navigation").get_by_role("link", name="Settings").click()
    bar, heading = page.get_by_role("navigation").bounding_box(), page.locator("#settings-heading").bounding_box()
    assert bar["y"] == pytest.approx(0, abs=1)
    assert bar["height"] < 60
    assert heading["y"] >= bar["y"] + bar["height"]


def test_it_prints_in_dark_mode_as_in_light(open_page: Open) -> None:
    sheets = []
    for scheme in ("light", "dark"):
        page = open_page(color_scheme=scheme)
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {FOLDED}; }})")
        sheets.append(page.pdf(format="A4", print_background=True))
        assert page.evaluate(f"[window.folded, {FOLDED}]") == [0, 2]
    assert len(re.findall(rb"/Type\s*/Page\b", sheets[0])) > 3
    assert max(map(len, sheets)) - min(map(len, sheets)) < 100  # the same ink, but for the date
    page.emulate_media(media="print", color_scheme="dark")
    assert page.evaluate("getComputedStyle(document.documentElement).backgroundColor") == "rgb(251, 250, 247)"
    assert not page.get_by_role("navigation").is_visible()
    assert not page.locator(".larger").first.is_visible()
    blended = [page.locator(f".blend .{name}") for name in ("before", "after")]
    assert blended[1].bounding_box()["x"] > blended[0].bounding_box()["x"]
    assert blended[1].evaluate("(image) => getComputedStyle(image).opacity") == "1"


def test_it_holds_on_a_phone(open_page: Open) -> None:
    page = open_page(375)
    assert page.evaluate("document.documentElement.scrollWidth") <= 375
    shown = page.locator(".overview figure").first
    assert shown.locator(".narrow").is_visible()
    assert not shown.locator(".wide").is_visible()
    cards = page.locator(".asked").first.locator(".findings > li")
    assert cards.nth(1).bounding_box()["y"] > cards.nth(0).bounding_box()["y"]


def test_the_keyboard_stops_at_the_boxes_that_scroll_and_at_no_others(open_page: Open) -> None:
    page = open_page()
    page.locator(".scroll[tabindex='-1']").first.wait_for()  # they have been measured
    boxes = page.locator("main > section > .scroll").evaluate_all(
        "(boxes) => boxes.map((box) => [box.scrollWidth > box.clientWidth, box.tabIndex])"
    )
    assert {tuple(box) for box in boxes} == {(True, 0), (False, -1)}


def test_two_answers_stand_side_by_side_with_their_pictures_on_the_first_screen(open_page: Open) -> None:
    page = open_page(1280, "two answers")
    cards = [page.locator(".answer").nth(place) for place in range(2)]
    boxes = [card.bounding_box() for card in cards]
    assert boxes[0]["y"] == boxes[1]["y"]
    assert boxes[1]["x"] >= boxes[0]["x"] + boxes[0]["width"]
    for card in cards:
        label, pictures = card.locator(".label").bounding_box(), card.locator(".exhibits").bounding_box()
        assert label["y"] + label["height"] < pictures["y"] + pictures["height"] < 900
        assert card.locator("img").first.evaluate("(image) => getComputedStyle(image).imageRendering") == "pixelated"
    rows = page.locator(".exhibits img").evaluate_all("(images) => images.map((image) => image.getBoundingClientRect().y)")
    assert rows[: len(rows) // 2] == rows[len(rows) // 2 :]
    assert page.locator("#findings-heading").bounding_box()["y"] < 900


def test_of_three_answers_the_parts_are_level(open_page: Open) -> None:
    page = open_page(1280, "answers")
    for part in (".answer", ".answer-words", ".exhibits"):
        assert len({round(one.bounding_box()["y"]) for one in page.locator(part).all()}) == 1, part


def test_nothing_is_wider_than_what_it_stands_in(open_page: Open) -> None:
    for width in (1280, 820, 375):
        page = open_page(width, "answers")
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        over = page.locator(":is(#answers, #findings) :not(svg *, .unseen)").evaluate_all(
            "(all) => all.filter((one) => one.scrollWidth > one.clientWidth + 1 && getComputedStyle(one).display !== 'inline')"
            ".map((one) => one.outerHTML.slice(0, 80))"
        )
        assert over == []


def test_answers_stand_below_each_other_on_a_phone(open_page: Open) -> None:
    page = open_page(375, "two answers")
    first, second = (page.locator(".answer").nth(place).bounding_box() for place in (0, 1))
    assert second["y"] >= first["y"] + first["height"]
    item = page.locator(".readings li:has(.bar)").first
    texts = [item.locator(one).bounding_box() for one in (".whose", ".bar", ".words")]
    assert texts[0]["y"] < texts[1]["y"] < texts[2]["y"]
    assert texts[1]["width"] > 250


def test_marks_of_all_classifiers_stand_on_one_scale(open_page: Open) -> None:
    page = open_page(1280, "answers")
    line = page.locator(".measured-line").first
    bars = [one.bounding_box() for one in line.locator(".bar").all()]
    assert len({(box["x"], box["width"]) for box in bars}) == 1
    marks = [one.bounding_box() for one in line.locator(".mark:not(.halo)").all()]
    assert marks[1]["x"] < marks[0]["x"] < marks[2]["x"]
    assert marks[2]["x"] + marks[2]["width"] == pytest.approx(bars[2]["x"] + bars[2]["width"], abs=3)  # it is beyond the scale


def test_a_link_to_caveats_opens_what_hides_them_and_details_open_without_a_script(open_page: Open) -> None:
    page = open_page(1280, "answers")
    hidden = page.locator("#caveats-diffroar-1")
    assert not hidden.is_visible()
    page.goto(page.url + "#caveats-diffroar-1")
    hidden.wait_for(state="visible")
    plain = open_page(1280, "answers", java_script_enabled=False)
    plain.locator(".told summary").first.press("Enter")
    assert plain.locator("#caveats-diffroar-1").is_visible()


def test_an_answered_page_prints_with_its_verdicts_and_caveats(open_page: Open) -> None:
    sheets = []
    for scheme in ("light", "dark"):
        page = open_page(1280, "two answers", color_scheme=scheme)
        page.evaluate(f"addEventListener('beforeprint', () => {{ window.folded = {FOLDED}; }})")
        sheets.append(page.pdf(format="A4", print_background=True))
        assert page.evaluate("window.folded") == 0
    assert max(map(len, sheets)) - min(map(len, sheets)) < 100
    page.set_viewport_size({"width": 794, "height": 1123})
    page.emulate_media(media="print", color_scheme="dark")
    first, second = (page.locator(".answer").nth(place).bounding_box() for place in (0, 1))
    assert first["y"] == second["y"]
    for part in ("#answers", "#findings"):
        assert page.locator(part).evaluate("(part) => part.scrollWidth <= part.clientWidth")


def faults(page: Page, within: str = "body") -> list[str]:
    violations = Axe().run(page, within).response["violations"]
    return [f"{one['id']}: {one['nodes'][0]['target']}" for one in violations if one["impact"] in ("serious", "critical")]


@pytest.mark.parametrize("shown", ["verdicts", "answers"])
@pytest.mark.parametrize(("scheme", "width"), [("light", 1280), ("dark", 375)])
def test_axe_finds_no_serious_fault(open_page: Open, scheme: str, width: int, shown: str) -> None:
    page = open_page(width, shown, color_scheme=scheme)
    page.evaluate("document.querySelectorAll('details').forEach((one) => { one.open = true; })")
    assert faults(page) == []
    page.locator("#pictures button").first.click()
    assert faults(page, "dialog") == []


def test_axe_would_find_a_fault(open_page: Open) -> None:
    page = open_page()
    page.evaluate("document.querySelector('#pictures img').removeAttribute('alt')")
    assert [fault.split(":")[0] for fault in faults(page, "#pictures")] == ["button-name", "image-alt"]
