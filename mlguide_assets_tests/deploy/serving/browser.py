"""A real browser on the playground: Chromium without a window, and what is asked and noted of its pages."""

import os
import shutil
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

CHROMIUM = next(filter(None, map(shutil.which, ("chromium-headless-shell", "chromium", "chromium-browser"))), None)
"""The shell has no window to begin with: it takes half the processor time."""

FLAGS = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
FAILED_REQUEST = "Failed to load resource"
"""What Chromium itself writes to the console for every request that is refused or fails."""

CONTRASTS = """() => {
  const channels = (colour) => (colour.match(/[\\d.]+/g) ?? []).map(Number);
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let each = element; each; each = each.parentElement) {
      const found = channels(getComputedStyle(each).backgroundColor);
      if (found.length === 3 || found[3] === 1) return found.slice(0, 3);
    }
    return [255, 255, 255];
  };
  const seen = (element) => element.checkVisibility({ visibilityProperty: true, opacityProperty: true });
  const own = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")].filter((each) => seen(each) && own(each)).map((each) => {
    const [a, b] = [channels(getComputedStyle(each).color).slice(0, 3), ground(each)].map(luminance);
    return [(Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05), each.textContent.trim().slice(0, 60)];
  });
}"""
"""Of every element that shows text of its own: WCAG's contrast of its colour with the ground below, and the text."""

NAMELESS = """() => [...document.querySelectorAll("input, select, button")]
  .filter((each) => !each.labels?.length && !each.ariaLabel && !each.textContent.trim())
  .map((each) => each.outerHTML)"""
"""The controls that have no name for those who do not see them."""


HARM = """<script>alert("script")</script><img src="{address}x.png" onerror="alert('picture')">
<a href="javascript:alert('link')" id="harm">link</a><iframe src="{address}"></iframe>
<link rel="stylesheet" href="{address}x.css"><style>@import "{address}y.css";</style>
<form action="{address}"><button id="send">Send</button></form><base href="{address}">"""
"""What somebody may get into a page."""


def harm_done(browser: Any, page: Path) -> list[str]:
    """What a page does that has HTML of somebody else in it, as if data were not escaped where its body begins.

    Returns:
        The dialogs that scripts opened, and the paths that a server was asked for.
    """
    asked: list[str] = []

    class Answering(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_error(404)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Answering) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        before, body, after = page.read_text(encoding="utf-8").partition("<body>")
        assert body
        harm = HARM.format(address=f"http://127.0.0.1:{server.server_port}/")
        harmed = page.with_name(f"harmed-{page.name}")
        harmed.write_text(f"{before}{body}{harm}{after}", encoding="utf-8")
        visit = Visit(browser, harmed.as_uri()).open()
        for selector in ("#harm", "#send"):
            visit.page.locator(selector).dispatch_event("click")
        # What a picture does that cannot be loaded, and what a form does, comes later.
        visit.page.wait_for_timeout(300)
        visit.close()
        server.shutdown()
    return [text for text in visit.said if text.startswith("dialog: ")] + asked


@contextmanager
def chromium() -> Iterator[Any]:
    """The browser, as Playwright's `Browser`; the test is skipped where there is none."""
    sync_api = pytest.importorskip("playwright.sync_api", reason="Playwright is not installed: it is in the dev extra")
    if CHROMIUM is None:
        pytest.skip("Chromium is not installed: 'apt-get install chromium-headless-shell' brings it")
    # Root has no sandbox: Chromium refuses to start with one.
    flags = [*FLAGS, "--no-sandbox"] if os.geteuid() == 0 else list(FLAGS)
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=flags)
        try:
            yield browser
        finally:
            browser.close()


class Visit:
    """A page of the playground in a context of its own, and what it did.

    Args:
        address: of the server, with a slash at the end.
        options: of Playwright's `Browser.new_context`.
    """

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.address = address
        self.context = browser.new_context(**options)
        self.context.set_default_timeout(8_000)
        # Its time passes as the real one does, but can be wound forward.
        self.context.clock.install()
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.said: list[str] = []
        self.context.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(f"error: {error}"))
        self.page.on("dialog", lambda dialog: self._dialog(dialog))

    def open(self, fragment: str = "") -> "Visit":
        self.page.goto(f"{self.address}#{fragment}")
        return self

    def look_again(self) -> None:
        """Have the page ask now what serves, which it does every two seconds."""
        self.page.clock.fast_forward(2_000)

    def see(self, selector: str, text: str | None = None) -> Any:
        """The first element that matches and has the text, once it can be seen."""
        found = self.page.locator(selector).filter(has_text=text) if text else self.page.locator(selector)
        found.first.wait_for()
        return found.first

    def answered(self) -> "Visit":
        """Once the answer to all that was set is shown."""
        self.page.locator("#results[aria-busy=false] #answer table").first.wait_for()
        return self

    def texts(self, selector: str) -> list[str]:
        return [" ".join(text.split()) for text in self.page.locator(selector).all_inner_texts()]

    def ranked(self) -> list[tuple[int, float]]:
        """The emails in the rows that are shown, and their exact probabilities, in the order of the page."""
        rows = """(rows) => rows.map((row) => [
          Number([...row.querySelectorAll("b")].at(-1).textContent), Number(row.querySelector(".risk span").title)])"""
        return [(email, risk) for email, risk in self.page.locator("tbody tr:has(.risk)").evaluate_all(rows)]

    def slide(self, feature: str, value: int) -> None:
        """Move the slider of a feature."""
        self.page.locator("#request-time-part").evaluate("(part) => { part.open = true; }")
        self.page.locator(f"#{feature}").fill(str(value))

    def _dialog(self, dialog: Any) -> None:
        self.said.append(f"dialog: {dialog.message}")
        dialog.dismiss()

    def close(self) -> None:
        self.context.close()
