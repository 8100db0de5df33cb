"""The page in a real browser, from a file: it asks nobody, fits a phone, can be read, and says what is pointed at."""

import base64
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.card.rendering import card_html
from mlguide_assets.observe.page.page import page
from mlguide_assets_tests.deploy.serving.browser import CONTRASTS, Visit, chromium, harm_done
from mlguide_assets_tests.observe.page.knowing import EMPTY, HARM, full

pytestmark = pytest.mark.slow

DESKTOP = {"viewport": {"width": 1280, "height": 900}}
PNG = base64.b64decode("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABAQAAAAA3bvkkAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg==")
PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}
DARK = {**DESKTOP, "color_scheme": "dark"}

CLIPPED = """() => [...document.querySelectorAll("svg.chart")].filter((c) => c.checkVisibility()).flatMap((chart) => {
  const whole = chart.getBoundingClientRect();
  return [...chart.querySelectorAll("text")].filter((text) => {
    const box = text.getBoundingClientRect();
    return box.left < whole.left - 1 || box.right > whole.right + 1 || box.bottom > whole.bottom + 1;
  }).map((text) => text.textContent);
})"""
"""Labels of pictures that do not lie within them."""

OVERLAPPING = """() => [...document.querySelectorAll("svg.chart")].filter((c) => c.checkVisibility()).flatMap((c) => {
  const boxes = [...c.querySelectorAll("text")].map((each) => [each.textContent, each.getBoundingClientRect()]);
  return boxes.flatMap(([one, a], at) => boxes.slice(at + 1).filter(([, b]) =>
    a.left < b.right && b.left < a.right && a.top + 2 < b.bottom && b.top + 2 < a.bottom
  ).map(([other]) => [one, other]));
})"""
"""Labels of one picture that lie over one another."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("pages")
    (found / "full.html").write_text(page(full()))
    (found / "empty.html").write_text(page(EMPTY))
    (found / "card.html").write_text(card_html("# Card\n\n![A curve](roc_curve.png)", {"roc_curve": PNG}, HARM))
    (found / "open.html").write_text("<!doctype html><body></body>")
    return found


@pytest.fixture
def visit(browser: Any, folder: Path) -> Iterator[Callable[..., Visit]]:
    """Open a page, on which nothing may go wrong: it asks for nothing but itself and says not a word."""
    visits: list[Visit] = []

    def visit(name: str, options: dict[str, Any]) -> Visit:
        visits.append(Visit(browser, (folder / name).as_uri(), **options))
        return visits[-1].open()

    yield visit
    for each in visits:
        own = [address for address in each.requests if not address.startswith("data:")]
        assert (each.said, own) == ([], [each.address])
        each.close()


@pytest.mark.parametrize("options", [DESKTOP, DARK, PHONE], ids=["desktop", "dark", "phone"])
@pytest.mark.parametrize("name", ["full.html", "empty.html"])
def test_it_fits_and_can_be_read(visit: Callable[..., Visit], name: str, options: dict[str, Any]) -> None:
    seen = visit(name, options).page
    assert seen.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert [found for found in seen.evaluate(CONTRASTS) if found[0] < 4.5] == []
    assert seen.evaluate(CLIPPED) == []
    assert seen.evaluate(OVERLAPPING) == []
    pictures = "(charts) => charts.map((each) => each.checkVisibility())"
    visible = seen.locator("svg.chart").evaluate_all(pictures)
    assert sum(visible) == (8 if name == "full.html" else 0), "one of the two drawings of each picture"


def test_the_card_shows_its_pictures(visit: Callable[..., Visit]) -> None:
    seen = visit("card.html", DESKTOP).page
    assert seen.locator("img").evaluate_all("(found) => found.map((each) => each.naturalWidth)") == [1]


@pytest.mark.parametrize("name", ["full.html", "card.html"])
def test_what_slips_into_a_page_does_nothing(browser: Any, folder: Path, name: str) -> None:
    assert harm_done(browser, folder / name) == []


def test_what_slips_into_a_page_without_a_policy_does_harm(browser: Any, folder: Path) -> None:
    """Or else the tests above would see none anywhere."""
    assert {"dialog: script", "dialog: picture", "/", "/x.png", "/x.css"} <= set(
        harm_done(browser, folder / "open.html")
    )


def test_what_is_pointed_at_is_said(visit: Callable[..., Visit]) -> None:
    seen = visit("full.html", DESKTOP)
    seen.page.locator(".heat td.act").last.hover()
    tip = seen.see("#tip").inner_text()
    assert "PSI 0.400: calls for action" in tip
    assert "<script>" in tip
    seen.page.locator(".wide .chart .hit").nth(20).hover()
    assert "realised minus estimated:" in seen.see("#tip").inner_text()
    seen.page.locator("h1").hover()
    assert not seen.page.locator("#tip").is_visible()


def test_a_finger_is_enough(visit: Callable[..., Visit]) -> None:
    seen = visit("full.html", PHONE)
    seen.page.locator(".heat td.warn").last.tap()
    assert "worth a look" in seen.see("#tip").inner_text()


def test_a_phone_shows_the_newest_days_beside_their_names(visit: Callable[..., Visit]) -> None:
    seen = visit("full.html", PHONE).page
    boxes = "(row) => [row.firstChild, row.lastChild].map((each) => each.getBoundingClientRect().x)"
    name, newest = seen.locator(".heat tbody tr").first.evaluate(boxes)
    assert 0 <= name < newest < 390


def test_a_keyboard_opens_what_is_folded(visit: Callable[..., Visit]) -> None:
    seen = visit("full.html", DESKTOP).page
    seen.keyboard.press("Tab")
    assert seen.evaluate("document.activeElement.textContent") == "Skip to the sections"
    seen.locator("#champion summary").first.focus()
    seen.keyboard.press("Enter")
    assert seen.locator("#champion details li").first.is_visible()
    scrolling = "(boxes) => boxes.every((each) => each.tabIndex === 0 && each.ariaLabel)"
    assert seen.locator(".scroll").evaluate_all(scrolling)


def test_paper_is_light_and_loses_nothing_at_the_right(visit: Callable[..., Visit]) -> None:
    seen = visit("full.html", {"viewport": {"width": 720, "height": 1000}, "color_scheme": "dark"}).page
    seen.emulate_media(media="print")
    assert seen.evaluate("getComputedStyle(document.documentElement).colorScheme") == "light"
    lost = """() => [...document.querySelectorAll("table, svg.chart")].filter((each) => each.checkVisibility())
      .filter((each) => each.getBoundingClientRect().right > innerWidth).map((each) => each.outerHTML.slice(0, 200))"""
    assert seen.evaluate(lost) == []
