"""Several problems on one address: each below its name, and the last one also without."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.settings import Home
from mlguide_assets_tests.deploy.serving.browser import Visit, chromium
from mlguide_assets_tests.deploy.serving.others import CARDS, OtherHouse
from mlguide_assets_tests.deploy.serving.serving import Client, Server, eventually, gained, sample, scrape

PAYMENT = {"card_id": CARDS[0], "shop_id": 3, "amount": 20.0}


@pytest.fixture(scope="module")
def both(payments: OtherHouse, orders: OtherHouse, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Client]:
    """A home of payments and of customers, the payments last."""
    home = home_of_both(payments, orders, tmp_path_factory.mktemp("both") / "home")
    with Server(home) as server:
        client = server.client()
        yield client
        client.close()


def home_of_both(payments: OtherHouse, orders: OtherHouse, root: Path) -> Home:
    home = Home(root)
    for house in (orders, payments):
        shutil.copytree(house.home.root, home.root, dirs_exist_ok=True)
    home.problems.mkdir()
    for house in (payments, orders):
        (home.problems / f"{house.problem.key}.yaml").write_text(dump_problem(house.problem))
    return home


def test_each_problem_is_asked_below_its_name(both: Client) -> None:
    of_cards, of_orders = both.get("/problems/cards/problem"), both.get("/problems/orders/problem")
    assert [each.json()["noun"] for each in (of_cards, of_orders)] == ["payment", "customer"]
    answer = both.post("/problems/orders/predict", {"customer_ids": [1]})
    assert (answer.status, answer.json()["predictions"][0]["customer_id"]) == (200, 1)


def test_paths_without_a_problem_are_those_of_the_last_run(both: Client) -> None:
    below, at_root = (both.post(f"{root}/predict", PAYMENT).json() for root in ("/problems/cards", ""))
    assert below["predictions"] == at_root["predictions"]


def test_the_playground_finds_its_files_below_a_problem(both: Client) -> None:
    moved = both.get("/problems/orders")
    assert (moved.status, moved.headers["location"]) == (308, "/problems/orders/")
    page = both.get("/problems/orders/")
    assert (page.status, both.get("/problems/orders/static/main.js").status) == (200, 200)
    assert b'src="static/main.js"' in page.body
    assert both.get("/problems/orders/openapi.json").json()["servers"] == [{"url": "/problems/orders"}]


def test_what_is_none_of_the_problems_is_not_found(both: Client) -> None:
    unknown = both.get("/problems/churn/problem")
    assert (unknown.status, "is served once the server starts again" in unknown.json()["detail"]) == (404, True)
    assert "starts again" not in both.get("/nothing").json()["detail"]


def test_a_label_tells_the_metrics_of_problems_apart(both: Client) -> None:
    """Both champions are version 1, and one scrape is of both problems."""
    before = scrape(both)
    both.post("/problems/orders/predict", {"customer_ids": [1, 2]})
    for root in ("/problems/cards", ""):
        both.post(f"{root}/predict", PAYMENT)

    def predicted(problem: str) -> float:
        labels = {"problem": problem, "model_version": "1"}
        return sum(
            value - before.get((name, said), 0)
            for (name, said), value in scrape(both).items()
            if name == "mlguide_predictions_total" and labels.items() <= dict(said).items()
        )

    eventually(lambda: (predicted("orders"), predicted("cards")) == (2, 2))
    after = scrape(both)
    for problem, requests in (("orders", 1), ("cards", 2)):
        asked = {"problem": problem, "path": "/predict"}
        assert gained(before, after, "mlguide_requests_total", status="200", **asked) == requests
        assert gained(before, after, "mlguide_request_seconds_count", **asked) == requests
        assert sample("mlguide_requests_in_progress", problem=problem) in after
        assert sample("mlguide_feature_age_seconds", problem=problem) in after


def test_each_playground_links_the_others(both: Client) -> None:
    """Last of those that ask this server: a connection that waits meanwhile is closed."""
    with chromium() as browser:
        seen = Visit(browser, f"http://127.0.0.1:{both.port}/problems/orders/").open()
        other = seen.see("#problems a")
        assert seen.texts("#problems *") == ["cards", "orders"]
        other.click()
        seen.page.wait_for_url("**/problems/cards/")
        assert seen.see("#problems [aria-current]").inner_text() == "cards"
        seen.close()


def test_a_problem_alone_is_below_its_name_too(payments: OtherHouse, tmp_path: Path) -> None:
    """An address that was written down stays right when the home gets another problem, or has no other any more."""
    home = Home(tmp_path / "home")
    shutil.copytree(payments.home.root, home.root)
    home.problems.mkdir(exist_ok=True)
    (home.problems / f"{payments.problem.key}.yaml").write_text(dump_problem(payments.problem), encoding="utf-8")
    for arguments in ((), ("--problem", payments.problem.name)):
        with Server(home, *arguments) as server:
            client = server.client()
            below, at_root = (client.get(f"{root}/problem").json() for root in ("/problems/cards", ""))
            client.close()
        assert below == at_root
        assert below["served"] == [below["served_as"]] == ["cards"]


def test_a_home_may_serve_one_of_them(payments: OtherHouse, orders: OtherHouse, tmp_path: Path) -> None:
    from mlguide_assets.define.loading import PROBLEM_VARIABLE
    from mlguide_assets.deploy.serving.server import served_problems

    home = type(payments.home)(tmp_path)
    home.problems.mkdir()
    for house in (payments, orders):
        (home.problems / f"{house.problem.key}.yaml").write_text(dump_problem(house.problem))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(PROBLEM_VARIABLE, "orders")
        assert list(served_problems(home)) == ["orders"]


def test_what_to_do_names_the_problem(payments: OtherHouse, orders: OtherHouse, tmp_path: Path) -> None:
    """The command without it is about the problem of the last run, whose features are there."""
    home = home_of_both(payments, orders, tmp_path / "home")
    home.online_store(orders.problem.key).unlink()
    with Server(home) as server:
        client = server.client()
        state = client.get("/problems/orders/readyz").json()
        answer = client.post("/problems/orders/predict", {"customer_ids": [1]})
        assert client.get("/problems/cards/readyz").status == 200
        client.close()
    assert (state["status"], answer.status) == ("unavailable", 503)
    for text in (*state["reasons"], answer.json()["detail"]):
        assert "or it lost them. 'mlguide run --problem orders' publishes them" in text
