"""The playground in a real browser, on a real server: what people see is what the API says."""

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from mlguide_assets.deploy.bundle import set_champion
from mlguide_assets.deploy.serving.app import PLAYGROUND
from mlguide_assets.deploy.serving.features import microseconds
from mlguide_assets.prepare.features.request_time import calendar, days_between
from mlguide_assets_tests.deploy.serving.browser import CONTRASTS, FAILED_REQUEST, NAMELESS, Visit, chromium
from mlguide_assets_tests.deploy.serving.others import AS_OF as OTHERS_AS_OF
from mlguide_assets_tests.deploy.serving.serving import (
    AS_OF,
    HOSTILE,
    SLOTS,
    THRESHOLD,
    UNKNOWN,
    Client,
    House,
    Server,
    eventually,
    occupied,
    point_by_hand,
)
from mlguide_assets_tests.processes import free_port

pytestmark = pytest.mark.slow

PAIRS = "users=3,40&emails=12,1,4,3"
LONG_ID = 2**63 - 1
"""JavaScript's numbers would round it."""
KEY = "a-key-of-nobody"
SINCE = "customer_order_days_since_last"
LATER = AS_OF + timedelta(hours=37)


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as browser:
        yield browser


@pytest.fixture
def visit(browser: Any) -> Iterator[Callable[..., Visit]]:
    """Open the playground of a server; closed after the test."""
    visits: list[Visit] = []

    def visit(server: Server, fragment: str = "", **options: Any) -> Visit:
        visits.append(Visit(browser, f"http://127.0.0.1:{server.port}/", **options))
        return visits[-1].open(fragment)

    yield visit
    for each in visits:
        each.close()


@pytest.fixture
def page(visit: Callable[..., Visit], server: Server) -> Iterator[Callable[[str], Visit]]:
    """The same of the shared server, on which nothing may go wrong: not a word is printed."""
    opened: list[Visit] = []

    def page(fragment: str = "") -> Visit:
        opened.append(visit(server, fragment))
        return opened[-1]

    yield page
    for each in opened:
        assert each.said == []


def pairs_of(answer: Any) -> list[tuple[int, float]]:
    all_of_them = [each for group in answer["recommendations"] for each in group["candidates"]]
    return [(each["email_id"], each["probability"]) for each in all_of_them]


def test_it_is_small_and_makes_no_other_request(page: Callable[..., Visit], server: Server) -> None:
    assert sum(path.stat().st_size for path in PLAYGROUND.iterdir()) < 80_000
    seen = page()
    assert "No user is picked yet" in seen.see("#answer").inner_text()
    seen.see("#samples button").click()
    seen.answered()
    own = f"http://127.0.0.1:{server.port}/"
    assert {address[: len(own)] for address in seen.requests} == {own}


def test_it_ranks_as_the_api_does(page: Callable[..., Visit], client: Client) -> None:
    seen = page(PAIRS).answered()
    scored = client.recommend(3, 40, email_ids=[12, 1, 4, 3], explain=True)
    assert seen.ranked() == pairs_of(scored)
    decisions = [group["choice"]["decision"] for group in scored["recommendations"]]
    assert [text.split()[0].lower() for text in seen.texts(".verdict")] == decisions
    assert seen.texts("tr.choice .badge") == decisions
    for group, shown in zip(scored["recommendations"], seen.page.locator(".reasons").all(), strict=True):
        sentences = [" ".join(text.split()) for text in shown.locator("li").all_inner_texts()]
        assert sentences == [reason["text"] for reason in group["candidates"][0]["reasons"]]


def test_bars_have_the_lengths_that_their_scale_states(page: Callable[..., Visit]) -> None:
    seen = page(PAIRS).answered()
    top = float(seen.see("#answer > .hint", "Bars run").inner_text().split(" to ")[1].split("%")[0]) / 100
    assert "threshold, 9%" in seen.see("#answer > .hint").inner_text()
    lengths = """(bars) => bars.map((bar) => {
      const [whole, fill, line] = [bar, ...bar.querySelectorAll(".fill, .line")].map((e) => e.getBoundingClientRect());
      return [fill.width / whole.width, (line.x - whole.x) / whole.width];
    })"""
    shown = seen.page.locator(".bar").evaluate_all(lengths)
    assert shown == [pytest.approx([risk / top, THRESHOLD / top], abs=0.02) for _, risk in seen.ranked()]


def test_users_whom_every_email_would_lose_are_reported_as_such(page: Callable[..., Visit], client: Client) -> None:
    risky = [1, 4, 7, 10]
    scored = client.recommend(*range(1, 20), email_ids=risky)["recommendations"]
    user = next(group["user_id"] for group in scored if group["choice"]["decision"] == "withhold")
    seen = page(f"users={user}&emails=1,4,7,10").answered()
    assert seen.texts(".verdict")[0].startswith("Withhold: even email")
    assert seen.texts(".label .over") == ["yes"] * len(risky)


def test_the_last_email_is_evaluated_as_the_api_does(page: Callable[..., Visit], client: Client) -> None:
    seen = page("users=3,40,7").answered()
    seen.page.get_by_role("radio").nth(1).check()
    seen.see("h3", "Last send of each user")
    scored = client.predict(3, 40, 7)["predictions"]
    assert seen.ranked() == [(each["email_id"], each["probability"]) for each in scored]
    assert seen.texts(".label > span") == [each["prediction"] for each in scored]
    assert not seen.page.locator("#request-time-fields").is_visible()


def test_without_probabilities_there_are_classes_alone(page: Callable[..., Visit]) -> None:
    seen = page(PAIRS).answered()
    seen.page.get_by_label("Probabilities").uncheck()
    seen.see("#answer > .hint", "Probabilities are off")
    assert seen.page.locator(".risk, .bar").count() == 0
    assert "%" not in "".join(seen.texts(".verdict, #summary"))


def test_what_if_changes_what_it_changes_in_the_api_and_sends_what_was_touched(
    page: Callable[..., Visit], client: Client
) -> None:
    seen = page(PAIRS).answered()
    before = dict(seen.ranked()[:4])
    # On a slow machine the first slide may be asked about by itself.
    both = {"tenure_days": 2, "day_of_week": 6}
    with seen.page.expect_request(
        lambda request: request.url.endswith("/recommend") and json.loads(request.post_data or "{}")["what_if"] == both
    ):
        seen.slide("tenure_days", 2)
        seen.slide("day_of_week", 6)
    seen.see(".bar .was")
    shown = seen.texts(".what-if output")
    assert (shown[0], shown[3]) == ("2", "Sunday")
    assert all(text.endswith(", as it is") for text in (shown[1], shown[2], shown[4]))
    scored = client.recommend(3, 40, email_ids=[12, 1, 4, 3], what_if={"tenure_days": 2, "day_of_week": 6})
    assert seen.ranked() == pairs_of(scored)
    was = dict(zip([email for email, _ in seen.ranked()[:4]], seen.texts(".risk small")[:4], strict=True))
    for email, risk in before.items():
        assert was[email] == "as without" or float(was[email].split()[1].rstrip("%")) == pytest.approx(100 * risk, 0.01)
    seen.page.get_by_role("button", name="Reset these").click()
    seen.page.locator(".bar .was:visible").first.wait_for(state="detached")
    assert dict(seen.ranked()[:4]) == before


def test_the_sliders_start_where_the_user_is(page: Callable[..., Visit], client: Client) -> None:
    seen = page(PAIRS).answered()
    seen.page.locator("#request-time-part").evaluate("(part) => { part.open = true; }")
    seen.see("#what-if-of", "where user 3 is")
    (user,) = (each for each in client.get("/users?search=3").json() if each["user_id"] == 3)
    best = client.recommend(3, email_ids=[12, 1, 4, 3])["recommendations"][0]["choice"]["email_id"]
    (email,) = (each for each in client.get("/emails").json() if each["email_id"] == best)
    times = (client.get("/readyz").json()["now"], user["date_joined"], email["created_at"], user["last_delivered_at"])
    at, joined, created, last = (microseconds(datetime.fromisoformat(each).replace(tzinfo=None)) for each in times)
    own = dict(
        zip(
            ("tenure_days", "email_age_days", "days_since_last_email"),
            (days_between(since, at) for since in (joined, created, last)),
            strict=True,
        )
    )
    own |= {"day_of_week": calendar("day_of_week", at), "hour_of_day": calendar("hour", at)}
    values = "(sliders) => sliders.map((each) => [each.id, each.value])"
    sliders = seen.page.locator(".what-if input[type=range]").evaluate_all(values)
    assert {name: float(value) for name, value in sliders} == {name: pytest.approx(own[name], abs=0.51) for name in own}
    seen.slide("tenure_days", 2)
    seen.see(".bar .was")
    seen.page.get_by_role("button", name="Reset these").click()
    assert seen.texts(".what-if output")[0] == f"{round(own['tenure_days'])}, as it is"


def test_another_moment_is_the_apis(page: Callable[..., Visit], client: Client) -> None:
    seen = page(f"{PAIRS}&as_of={LATER:%Y-%m-%dT%H:%M}").answered()
    scored = client.recommend(3, 40, email_ids=[12, 1, 4, 3], as_of=LATER.isoformat())
    assert seen.ranked() == pairs_of(scored)
    assert seen.texts("#answer > .notes li") == scored["degraded"] != []


def test_a_moment_that_cannot_be_asked_for_is_refused_beside_its_field(
    visit: Callable[..., Visit], server: Server
) -> None:
    seen = visit(server, PAIRS).answered()
    seen.page.locator("#request-time-part summary").click()
    seen.page.locator("#as-of").fill("2024-01-01T00:00")
    assert "later as_of" in seen.see("#as-of-error").inner_text()
    assert seen.page.locator("#answer table").count() == 0
    seen.page.get_by_role("button", name="Reset these").click()
    seen.answered()
    assert not seen.page.locator("#as-of-error").is_visible()


def test_a_keyboard_is_enough_from_loading_to_a_ranked_result(page: Callable[..., Visit], client: Client) -> None:
    seen = page()
    seen.see("#samples button")
    keys = seen.page.keyboard
    focused = "document.activeElement.id"
    for _ in range(3):
        keys.press("Tab")
    assert seen.page.evaluate(focused) == "users-field"
    keys.type("4")
    seen.see("#users-list [role=option]")
    keys.press("ArrowDown")
    keys.press("ArrowDown")
    keys.press("Enter")
    found = [user["user_id"] for user in client.get("/users?search=4").json()]
    seen.see("#users .chips b", str(found[1]))
    keys.press("Escape")
    keys.press("ControlOrMeta+A")
    keys.type("3, 7")
    keys.press("Enter")
    for _ in range(40):
        if seen.page.evaluate(focused) == "emails-field":
            break
        keys.press("Tab")
    keys.type("shopping")
    seen.see("#emails-list [role=option]")
    keys.press("ArrowDown")
    keys.press("Enter")
    picked = int(seen.see("#emails .chips b").inner_text())
    seen.see("h3", "User 7")
    scored = client.recommend(found[1], 3, 7, email_ids=[picked])
    eventually(lambda: seen.ranked() == pairs_of(scored))
    keys.press("Tab")
    keys.press("Enter")
    assert seen.page.locator("#emails .chips b").count() == 0


def test_ids_are_pasted_found_and_refused_where_they_are_typed(page: Callable[..., Visit]) -> None:
    seen = page()
    field = seen.page.locator("#users-field")
    field.focus()
    field.evaluate(
        """(input) => {
          const data = new DataTransfer();
          data.setData("text", "1, 5,\\n[x");
          input.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
          data.setData("text", "[1, 5, 30]");
          input.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
        }"""
    )
    assert seen.texts("#users .chips b") == ["1", "5", "30"]
    field.fill("nobody")
    field.press("Enter")
    assert "“nobody” is no user id" in seen.see("#users-error").inner_text()
    assert field.get_attribute("aria-invalid") == "true"
    field.fill("7")
    field.press("Enter")
    assert not seen.page.locator("#users-error").is_visible()
    assert seen.texts("#users .chips b") == ["1", "5", "30", "7"]


def test_unknown_users_and_emails_are_named(page: Callable[..., Visit]) -> None:
    seen = page(f"users=3,{UNKNOWN},{LONG_ID}&emails=12,{UNKNOWN}").answered()
    notes = seen.texts("#answer > .notes li")
    assert notes[0].startswith(f"Unknown users {UNKNOWN}, {LONG_ID}:")
    assert notes[1].startswith(f"Unknown email {UNKNOWN}:")
    assert seen.texts(".chips .unknown b") == [str(UNKNOWN), str(LONG_ID), str(UNKNOWN)]
    seen.page.get_by_text("The answer as JSON").click()
    assert f" {LONG_ID}\n" in seen.see("#json", str(LONG_ID)).inner_text()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_phone_scrolls_one_way_and_everything_can_be_read(
    visit: Callable[..., Visit], server: Server, scheme: str
) -> None:
    options = {"viewport": {"width": 360, "height": 740}, "color_scheme": scheme}
    seen = visit(server, f"{PAIRS},{UNKNOWN}&tenure_days=5", **options).answered()
    seen.page.locator("#emails-field").click()
    seen.see("#emails-list [role=option]")
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen.page.evaluate(NAMELESS) == []
    contrasts = seen.page.evaluate(CONTRASTS)
    assert len(contrasts) > 60
    assert [each for each in contrasts if each[0] < 4.5] == []
    dark = seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 28)"
    assert dark == (scheme == "dark")
    other = {"light": "dark", "dark": "light"}[scheme]
    seen.page.locator("#theme").select_option(other)
    assert [each for each in seen.page.evaluate(CONTRASTS) if each[0] < 4.5] == []
    seen.page.reload()
    seen.answered()
    assert (seen.page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 28)") != dark


def test_the_curl_command_gives_the_same_answer(page: Callable[..., Visit]) -> None:
    seen = page(f"{PAIRS}&tenure_days=5&reasons=off").answered()
    # As over plain HTTP, where pages may not write to the clipboard.
    seen.page.evaluate("Object.defineProperty(navigator, 'clipboard', { value: undefined })")
    command = seen.page.locator("#curl").inner_text()
    assert pairs_of(in_a_shell(command)) == seen.ranked()
    seen.page.get_by_role("button", name="Copy").click()
    seen.see("#curl-copied", "Selected")
    assert seen.page.evaluate("getSelection().toString()").strip() == command.strip()


def test_the_curl_command_is_copied_where_that_is_allowed(visit: Callable[..., Visit], server: Server) -> None:
    seen = visit(server, PAIRS, permissions=["clipboard-read", "clipboard-write"]).answered()
    seen.page.get_by_role("button", name="Copy").click()
    seen.see("#curl-copied", "Copied.")
    assert seen.page.evaluate("navigator.clipboard.readText()") == seen.page.locator("#curl").inner_text()


def test_a_link_keeps_everything(page: Callable[..., Visit]) -> None:
    seen = page(PAIRS).answered()
    seen.page.get_by_label("Reasons").uncheck()
    seen.slide("hour_of_day", 7)
    seen.see(".bar .was")
    shown, address = seen.ranked(), seen.page.url
    assert address.endswith(f"#{PAIRS}&reasons=off&hour_of_day=7")
    seen.page.reload()
    seen.answered()
    assert (seen.ranked(), seen.page.url) == (shown, address)
    assert seen.texts("#users .chips b") == ["3", "40"]
    assert seen.texts(".what-if output")[-1] == "7:00"
    assert not seen.page.get_by_label("Reasons").is_checked()
    seen.page.goto(f"{address.split('#')[0]}#users=7&mode=last&tenure_days=abc&as_of=<b>")
    seen.see("h3", "Last send of each user")
    assert seen.page.url.endswith("#users=7&mode=last")


def test_an_answer_that_comes_too_late_is_dropped(page: Callable[..., Visit], client: Client) -> None:
    seen = page(PAIRS).answered()
    held: list[Any] = []

    def hold_the_first(route: Any) -> None:
        if held:
            route.continue_()
        held.append(route)

    seen.page.route("**/recommend", hold_the_first)
    seen.slide("tenure_days", 1)
    eventually(lambda: seen.page.wait_for_timeout(20) or held)
    seen.slide("tenure_days", 900)
    seen.see(".bar .was")
    held[0].continue_()
    seen.page.wait_for_timeout(100)
    scored = client.recommend(3, 40, email_ids=[12, 1, 4, 3], what_if={"tenure_days": 900})
    assert seen.ranked() == pairs_of(scored)


def test_subjects_are_text(visit: Callable[..., Visit], narrow: Server) -> None:
    seen = visit(narrow, f"{PAIRS}&reasons=off").answered()
    seen.page.locator("#emails-field").click()
    seen.see("#emails-list [role=option]")
    for place in ("#emails-list li", "#emails .chips small", "#answer tbody th"):
        assert all(HOSTILE in text for text in seen.texts(place)), place
    assert seen.page.locator("img").count() == 0
    assert seen.said == []


def test_a_key_is_asked_for_and_kept_to_the_tab(visit: Callable[..., Visit], copied: Callable[..., House]) -> None:
    with Server(copied().home, key=KEY) as server:
        seen = visit(server, PAIRS)
        seen.see("#key-form")
        assert "wants its key" in seen.see("#summary").inner_text()
        seen.page.get_by_label("API key").fill("another")
        seen.page.get_by_label("API key").press("Enter")
        seen.see("#key-error", "did not accept")
        seen.page.get_by_label("API key").fill(KEY)
        seen.page.get_by_label("API key").press("Enter")
        seen.answered()
        seen.page.locator("#key-form").wait_for(state="hidden")
        seen.see("#samples button")
        command = seen.page.locator("#curl").inner_text()
        assert "X-API-Key: $MLGUIDE_API_KEY" in command
        kept = [seen.page.url, seen.page.content(), seen.page.evaluate("JSON.stringify(localStorage)")]
        assert KEY not in "".join(kept)
        scored = server.client(**{"X-API-Key": KEY}).recommend(3, 40, email_ids=[12, 1, 4, 3])
        assert pairs_of(in_a_shell(command, MLGUIDE_API_KEY=KEY)) == pairs_of(scored)
        seen.page.reload()
        seen.answered()
        assert all(said.startswith(FAILED_REQUEST) for said in seen.said)


def test_a_server_that_comes_back_is_asked_again(visit: Callable[..., Visit], copied: Callable[..., House]) -> None:
    house, port = copied(), free_port()
    with on_port(house, port) as server:
        seen = visit(server, PAIRS).answered()
        shown = seen.ranked()
    seen.look_again()
    seen.see("#state-status", "does not answer")
    seen.page.get_by_role("button", name="Ask again").click()
    assert "does not answer" in seen.see("#failure").inner_text()
    assert seen.page.locator("#answer table").count() == 0
    with on_port(house, port):
        seen.look_again()
        seen.answered()
        seen.see("#state-status", "ready")
        assert seen.ranked() == shown
        assert not seen.page.locator("#failure").is_visible()
    assert all(said.startswith(FAILED_REQUEST) for said in seen.said)


def test_what_serves_is_followed(visit: Callable[..., Visit], copied: Callable[..., House]) -> None:
    """No champion, then one, then another, then one that cannot be loaded."""
    house = copied()
    (house.bundles / "champion.json").unlink()
    with Server(house.home) as server:
        seen = visit(server, PAIRS)
        assert "There is no champion" in seen.see("#failure").inner_text()
        seen.see("#state-status", "unavailable")
        switch(house, server, "1")
        seen.look_again()
        seen.answered()
        seen.see("#state-model", "version 1, trained 2024-04-11")
        first = dict(seen.ranked()[:4])
        switch(house, server, "2")
        seen.look_again()
        seen.see("#answer > .hint", "version 2")
        assert all(risk > first[email] for email, risk in seen.ranked()[:4])
        (house.bundles / "2" / "model.ubj").chmod(0o644)
        (house.bundles / "2" / "model.ubj").write_bytes(b"nonsense")
        point_by_hand(house.bundles, "2")
        eventually(lambda: server.client().get("/readyz").json()["status"] == "degraded")
        seen.look_again()
        seen.see("#state-status", "degraded")
        assert "model.ubj" in seen.see("#state-reasons").inner_text()
        assert all(said.startswith(FAILED_REQUEST) for said in seen.said)


def test_limits_are_said_and_got_over(visit: Callable[..., Visit], narrow: Server) -> None:
    seen = visit(narrow, PAIRS)
    assert "at most 7 are answered" in seen.see("#failure").inner_text()
    seen.page.get_by_label("Reasons").uncheck()
    seen.answered()
    with occupied(narrow.port, SLOTS):
        seen.page.get_by_role("button", name="Ask again").click()
        assert "try again soon" in seen.see("#failure").inner_text()
    eventually(lambda: narrow.client().get("/users").status == 200)
    seen.look_again()
    seen.answered()


def test_a_payment_is_tried_typed_and_linked(visit: Callable[..., Visit], payments_server: Server) -> None:
    """An event that nobody chose, with ids that are texts."""
    seen, client = visit(payments_server), payments_server.client()
    assert "Say which payment" in seen.see("#answer").inner_text()
    seen.see("#samples button").click()
    seen.answered()
    tried = seen.page.evaluate("location.hash")
    assert tried.startswith("#cards=c-")
    seen.page.goto(f"{seen.address}#cards=c-007&shops=999&amount=80&hour=3")
    seen.see("#answer .notes li", "Unknown shop 999: answered as without any history.")
    asked = {"card_id": "c-007", "shop_id": 999, "amount": 80, "explain": True}
    (scored,) = client.post("/predict", {**asked, "what_if": {"hour": 3}}).json()["predictions"]
    risk = "(spans) => spans.map((span) => Number(span.title))"
    assert seen.page.locator(".risk span").evaluate_all(risk) == [scored["probability"]]
    assert seen.texts(".badge") == [scored["decision"]]
    assert seen.texts(".reasons li") == [" ".join(reason["text"].split()) for reason in scored["reasons"]]
    assert in_a_shell(seen.page.locator("#curl").inner_text())["predictions"][0]["probability"] == scored["probability"]
    seen.page.locator("#known-0").fill("much")
    assert "amount: write a number" in seen.see("#known-error").inner_text()
    seen.page.locator("#known-0").fill("")
    seen.answered()
    assert seen.page.url.endswith("#cards=c-007&shops=999&amount=&hour=3")
    seen.page.locator("#cards-field").fill("c-01")
    seen.see("#cards-list [role=option]", "c-010").click()
    seen.see("#answer tbody b", "c-010")
    assert seen.texts("#cards .chips b") == ["c-010"]
    assert all(said.startswith(FAILED_REQUEST) for said in seen.said)


def test_customers_are_answered_one_after_the_other(visit: Callable[..., Visit], orders_server: Server) -> None:
    """Entities at a cut-off, on a phone."""
    seen = visit(orders_server, "customers=17,3,140,9999", viewport={"width": 360, "height": 740}).answered()
    scored = orders_server.client().post("/predict", {"customer_ids": [17, 3, 140]}).json()["predictions"]
    assert seen.ranked() == [(each["customer_id"], each["probability"]) for each in scored]
    assert seen.texts(".badge") == [each["decision"] for each in scored]
    assert seen.texts("#answer > .notes li") == ["Unknown customer 9999: no features are known."]
    assert "No order in the 14 days after?" in seen.texts("thead th")
    assert not seen.page.locator("#modes").is_visible()
    assert seen.page.evaluate("document.documentElement.scrollWidth") <= 360
    assert seen.page.evaluate(NAMELESS) == []
    assert [each for each in seen.page.evaluate(CONTRASTS) if each[0] < 4.5] == []
    assert seen.said == []


def test_a_customer_is_asked_about_at_another_moment_and_what_if(
    visit: Callable[..., Visit], orders_server: Server
) -> None:
    later, client = OTHERS_AS_OF + timedelta(hours=20), orders_server.client()
    seen = visit(orders_server, f"customers=17,3&as_of={later:%Y-%m-%dT%H:%M}&{SINCE}=40").answered()
    asked = {"customer_ids": [17, 3], "as_of": later.isoformat() + "Z", "explain": True}
    scored = client.post("/predict", {**asked, "what_if": {SINCE: 40}}).json()["predictions"]
    assert seen.ranked() == [(each["customer_id"], each["probability"]) for each in scored]
    assert scored != client.post("/predict", asked).json()["predictions"]
    said = [reason["text"] for each in scored for reason in each["reasons"]]
    assert seen.texts(".reasons li") == [" ".join(text.split()) for text in said]
    assert [each["probability"] for each in in_a_shell(seen.page.locator("#curl").inner_text())["predictions"]] == [
        each["probability"] for each in scored
    ]
    assert seen.said == []


def switch(house: House, server: Server, version: str) -> None:
    """Make a version the champion, and wait until it serves."""
    set_champion(house.bundles, version)
    eventually(lambda: server.client().get("/readyz").json()["model_version"] == version)


def in_a_shell(command: str, **environment: str) -> Any:
    """What a command prints, as JSON."""
    known = {"PATH": os.environ["PATH"], **environment}
    scored = subprocess.run(["bash", "-c", command], capture_output=True, check=True, env=known)
    return json.loads(scored.stdout)


def on_port(house: House, port: int) -> Server:
    """A server on a port that was chosen."""
    server = Server(house.home, "--port", str(port))
    server.port = port
    return server
