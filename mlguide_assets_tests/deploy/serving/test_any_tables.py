"""The API of problems that nobody's emails are in: payments with text ids, which nobody chose, and customers at
cut-offs. What is answered is what a batch and what training would say, for the same ids and instant."""

import json
from datetime import timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pytest

from mlguide_assets.define.operations import Serving
from mlguide_assets.deploy.batch import features_to_score, ids_of, score
from mlguide_assets.deploy.bundle import champion
from mlguide_assets.deploy.log.landing import PREDICTION_LOG, land_log
from mlguide_assets.deploy.log.prediction_log import days
from mlguide_assets.deploy.online_store.store import Publication
from mlguide_assets.deploy.serving.examples import instant_of, request_examples
from mlguide_assets.deploy.serving.usual_values import usual_values
from mlguide_assets.instants import now_utc
from mlguide_assets.observe.online_parity import online_parity, parity_verdict
from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.settings import Home
from mlguide_assets.train.storage import load_model
from mlguide_assets_tests.deploy.logged import read_day
from mlguide_assets_tests.deploy.serving.others import AS_OF, CARDS, SHOPS, OtherHouse, instant
from mlguide_assets_tests.deploy.serving.serving import Client, Server
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

LATER = AS_OF + timedelta(hours=9, minutes=30)


@pytest.fixture
def payments_client(payments_server: Server) -> Client:
    return payments_server.client()


@pytest.fixture
def orders_client(orders_server: Server) -> Client:
    return orders_server.client()


def answered(client: Client, body: dict[str, Any]) -> Any:
    answer = client.post("/predict", body)
    assert answer.status == 200, answer
    return answer.json()


def payment(card: str, shop: int, amount: float | None, **rest: Any) -> dict[str, Any]:
    return {"card_id": card, "shop_id": shop, "amount": amount, **rest}


def logged(house: OtherHouse, request_id: str) -> list[dict[str, Any]]:
    folder = house.home.served(house.problem.key)
    lines = [line for day in days(folder) for line in read_day(folder, day) if line["request_id"] == request_id]
    return [row for line in lines for row in line["rows"]]


def batch_of(house: OtherHouse, day: Any) -> dict[Any, dict[str, Any]]:
    """What a batch says of a day, by the first id and the time."""
    tables, problem = tables_of(house.lake, house.problem), house.problem
    features = house.lake.read(problem.features_table)
    stores = {
        noun: ibis.memtable(entity_state(tables, problem, noun, AS_OF).to_pyarrow()) for noun in problem.decision.stored
    }
    slices = features_to_score(tables, stores, features, problem, day)
    current = champion(house.home.bundles(problem.key))
    rows = score(slices, current, problem, ids=ids_of(features, problem), day=day, run_id="run 1").read_all()
    return {(row[problem.decision.unit_id], row["feature_time"]): row for row in rows.to_pylist()}


def test_one_payment_is_answered_as_it_comes(payments: OtherHouse, payments_client: Client) -> None:
    said = answered(payments_client, payment("c-007", 3, 31.5, payment=12345, explain=True))
    (scored,) = said["predictions"]
    assert (scored["card_id"], scored["shop_id"], scored["payment"]) == ("c-007", 3, 12345)
    assert instant(scored["paid"]) == instant(scored["feature_time"]) == AS_OF
    assert scored["prediction"] in ("true", "false")
    assert scored["decision"] == ("act" if scored["prediction"] == "true" else "leave")
    assert len(scored["reasons"]) == 5
    assert (said["unknown_cards"], said["unknown_shops"], said["degraded"]) == ([], [], [])
    (row,) = logged(payments, said["request_id"])
    assert (row["card_id"], row["shop_id"], row["keys"]) == ("c-007", 3, {"payment": 12345})


def test_texts_are_read_as_those_of_the_source(payments_client: Client) -> None:
    """Which has them without the spaces around them."""
    one, two = (answered(payments_client, payment(card, 3, 31.5)) for card in ("c-007", " c-007\t"))
    assert two["unknown_cards"] == []
    assert two["predictions"] == one["predictions"]


def test_payments_are_answered_as_batch_and_training_would(payments: OtherHouse, payments_client: Client) -> None:
    asked = [payment(card, shop, 20.5 + n) for n, (card, shop) in enumerate(zip(CARDS, SHOPS, strict=True))]
    said = answered(payments_client, {"payments": asked})
    assert [(each["card_id"], each["shop_id"]) for each in said["predictions"]] == list(zip(CARDS, SHOPS, strict=True))
    batch = batch_of(payments, AS_OF.date() + timedelta(days=1))
    for scored in said["predictions"]:
        row = batch[scored["card_id"], AS_OF]
        assert scored["decision"] == row["decision"]
        assert scored["probability"] == pytest.approx(row["probability"], rel=1e-6)
    offline = payments.offline([{**each, "paid": AS_OF} for each in asked])
    model = load_model(payments.home.bundles(payments.problem.key) / "1")
    direct = model.predict(model.encoding.matrix(offline))
    np.testing.assert_allclose([each["probability"] for each in said["predictions"]], direct, rtol=1e-6)


@pytest.mark.parametrize("amount", [1e19, 3.5e38, 1e300, -1e300])
def test_a_number_that_is_too_large_for_a_model_is_answered_with_the_others_of_its_batch(
    payments: OtherHouse, payments_client: Client, amount: float
) -> None:
    body = {"payments": [payment("c-007", 3, amount), payment("c-007", 3, 31.5)], "explain": True}
    far, usual = answered(payments_client, body)["predictions"]
    assert usual["probability"] != far["probability"]
    for reason in far["reasons"]:
        assert len(reason["text"]) < 120


def test_each_payment_has_its_own_instant(payments: OtherHouse, payments_client: Client) -> None:
    asked = [payment("c-007", 3, 31.5, paid=at.isoformat() + "Z") for at in (AS_OF, LATER)]
    said = answered(payments_client, {"payments": asked})
    rows = logged(payments, said["request_id"])
    assert [row["features"]["hour"] for row in rows] == [0, 9]
    days = rows[1]["features"]["age_days"] - rows[0]["features"]["age_days"]
    assert days == pytest.approx(9.5 / 24)
    offline = payments.offline([payment("c-007", 3, 31.5, paid=at) for at in (AS_OF, LATER)]).to_pylist()
    for row, known in zip(rows, offline, strict=True):
        for name, value in row["features"].items():
            assert value == (pytest.approx(known[name], rel=1e-12) if isinstance(value, float) else known[name]), name


def test_a_shop_that_no_table_declares_has_no_history_and_a_card_that_is_in_none_is_not_answered(
    payments: OtherHouse, payments_client: Client
) -> None:
    asked = {"payments": [payment("c-007", 999, 5), payment("nobody", 3, 5), payment("nobody", 998, 5)]}
    said = answered(payments_client, asked)
    assert [(each["card_id"], each["shop_id"]) for each in said["predictions"]] == [("c-007", 999)]
    assert (said["unknown_cards"], said["unknown_shops"]) == (["nobody"], [999, 998])
    (row,) = logged(payments, said["request_id"])
    assert row["features"]["shop_frauds_14d"] is None
    said = answered(payments_client, {**asked, "on_unknown": "base_rate"})
    assert [each["basis"] for each in said["predictions"]] == ["features", "base_rate", "base_rate"]


def test_a_payment_can_be_asked_of_another_hour(payments: OtherHouse, payments_client: Client) -> None:
    said = answered(payments_client, payment("c-007", 3, 31.5, what_if={"hour": 23, "age_days": 1}))
    (row,) = logged(payments, said["request_id"])
    assert (row["variant"], row["features"]["hour"], row["features"]["age_days"]) == ("what_if", 23, 1)


def test_customers_are_answered_as_batch_and_training_would(orders: OtherHouse, orders_client: Client) -> None:
    said = answered(orders_client, {"customer_ids": [17, 3, 17, 140], "explain": True})
    scored = said["predictions"]
    assert [each["customer_id"] for each in scored] == [17, 3, 17, 140]
    assert scored[0] == scored[2]
    assert scored[0].keys() >= {"probability", "prediction", "decision", "feature_time", "basis", "reasons"}
    batch = batch_of(orders, AS_OF.date())
    found = [
        batch[each["customer_id"], AS_OF]["probability"] for each in scored if (each["customer_id"], AS_OF) in batch
    ]
    assert len(found) > 1
    assert found == pytest.approx([each["probability"] for each in scored if (each["customer_id"], AS_OF) in batch])
    offline = orders.offline([{"customer_id": each["customer_id"], "as_of": AS_OF} for each in scored])
    model = load_model(orders.home.bundles(orders.problem.key) / "1")
    direct = model.predict(model.encoding.matrix(offline))
    np.testing.assert_allclose([each["probability"] for each in scored], direct, rtol=1e-6)


def test_customers_that_a_batch_leaves_out_are_answered_and_named(orders: OtherHouse, orders_client: Client) -> None:
    """One without an order for 60 days is meant by no decision: the model has learned from none such."""
    everybody = list(range(160))
    said = answered(orders_client, {"customer_ids": [*everybody, 5000, *everybody[:3]]})
    scored = {each["customer_id"] for each in said["predictions"]}
    batch = {customer for customer, _ in batch_of(orders, AS_OF.date())}
    assert batch < scored
    assert said["left_out_customers"] == sorted(scored - batch)
    assert said["unknown_customers"] == sorted({*everybody, 5000} - scored)
    described = orders_client.get("/openapi.json").json()["components"]["schemas"]["PredictAnswer"]["properties"]
    assert "predict.where" in described["left_out_customers"]["description"]


def test_no_event_is_left_out(payments_client: Client) -> None:
    assert "left_out_cards" not in answered(payments_client, payment("c-007", 3, 31.5))


def test_a_customer_that_was_never_seen_is_unknown(orders_client: Client) -> None:
    said = answered(orders_client, {"customer_ids": [5000, 3], "as_of": LATER.isoformat()})
    assert ([each["customer_id"] for each in said["predictions"]], said["unknown_customers"]) == ([3], [5000])
    said = answered(orders_client, {"customer_ids": [5000], "on_unknown": "base_rate"})
    assert said["predictions"][0]["basis"] == "base_rate"


def test_what_was_answered_lands_and_equals_what_is_computed_offline(
    payments: OtherHouse, payments_client: Client, orders: OtherHouse, orders_client: Client
) -> None:
    mixed = [payment(card, shop, 9.75, paid=LATER.isoformat()) for card in CARDS for shop in (*SHOPS, 777)]
    answered(payments_client, {"payments": [*mixed, payment("c-001", 3, None), payment("nobody", 3, 1)]})
    answered(orders_client, {"customer_ids": [*range(30), 5000], "as_of": LATER.isoformat()})
    for house, ids in ((payments, "string"), (orders, "int64")):
        land_log(house.home.served(house.problem.key), house.lake, house.problem, today=now_utc().date())
        log = house.lake.read(PREDICTION_LOG)
        assert str(log[house.problem.decision.unit_id].type()) == ids
        parity = online_parity(log, house.lake, house.problem)
        assert parity.rows >= 13
        verdict = parity_verdict(ibis.memtable(parity.table))
        assert verdict.differing == (), verdict.sentence


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ({"card_id": "c-007", "shop_id": 3}, "amount: it is missing; add it. See /openapi.json"),
        ({"payments": [{"card_id": 7, "shop_id": 3, "amount": 1}]}, "payments.0.card_id: write a text, in quotes"),
        (payment("c-007", 3, 1, colour="red"), "colour: no such field is known here"),
        ({"payments": []}, "payments: write at least 1. See"),
        (payment("c-007", 3, 1, paid="yesterday"), "paid: write a time as text"),
        (payment("c-007", 3, 1, paid="2024-01-01T00:00:00Z"), "would know the future: give a later paid"),
        (payment("c-007", 3, 1, paid="2024-13-01"), "paid: write a time as text"),
        (payment("c-007", 3, 1, payment=1.5), "payment: write a whole number, or a text in quotes. See"),
        (payment("c-007", 3, 1, what_if={"hour": 24}), "what_if.hour: write a number that is at most 23"),
        ([1], "the body: write a JSON object, in braces"),
    ],
)  # fmt: skip
def test_a_payment_that_cannot_be_read_is_refused_in_one_sentence(
    payments_client: Client, body: Any, said: str
) -> None:
    answer = payments_client.post("/predict", body)
    assert answer.status == 422
    assert answer.json()["detail"].startswith(said) or said in answer.json()["detail"]


def test_customers_that_cannot_be_read_are_refused(orders_client: Client) -> None:
    for body in ({"customer_ids": ["a"]}, {"customer_ids": []}, {}, {"user_ids": [1]}):
        assert orders_client.post("/predict", body).status == 422
    assert orders_client.post("/recommend", {"customer_ids": [1]}).status == 404


@pytest.mark.parametrize("which", ["payments", "orders"])
def test_the_examples_of_the_description_are_answered(which: str, request: pytest.FixtureRequest) -> None:
    client: Client = request.getfixturevalue(f"{which}_client")
    described = client.get("/openapi.json").json()
    examples = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert len(examples) == 2
    for each in examples.values():
        said = answered(client, each["value"])
        assert said["predictions"]
        assert [name for name in said if name.startswith("unknown_") and said[name]] == []
    assert "/recommend" not in described["paths"]


def test_examples_and_the_playground_suggest_values_that_the_data_have(
    payments: OtherHouse, payments_client: Client
) -> None:
    amounts = payments.lake.read_arrow(payments.problem.features_table)["amount"].to_numpy()
    (field,) = payments_client.get("/problem").json()["known"]
    assert np.quantile(amounts, 0.3) <= field["example"] <= np.quantile(amounts, 0.7)
    described = payments_client.get("/openapi.json").json()
    examples = described["paths"]["/predict"]["post"]["requestBody"]["content"]["application/json"]["examples"]
    assert examples["example 1"]["value"]["amount"] == field["example"]


def test_usual_values_are_of_the_kind_of_their_column(tmp_path: Path) -> None:
    columns = {"amount": "number", "items": "integer", "abroad": "flag", "arm": "category", "lost": "category"}
    event = {**PAYMENTS["tables"]["payments"]}
    event["columns"] = {**event["columns"], **columns}
    predict = {**PAYMENTS["predict"], "known": [*columns]}
    problem = problem_of(
        {**PAYMENTS, "tables": {**PAYMENTS["tables"], "payments": event}, "predict": predict}, tmp_path
    )
    home = Home(tmp_path / "home")
    assert usual_values(home, problem) == {}
    numbers = {"kind": "number", "edges": [0.0, 1.0, 2.6], "categories": []}
    names = {"kind": "category", "edges": [], "categories": ["A", "B"]}
    counts = {"amount": (numbers, [1, 1, 9, 1, 5]), "items": (numbers, [1, 1, 9, 1, 5])}
    counts |= {"abroad": (numbers, [9, 1, 0, 0, 5]), "arm": (names, [3, 7, 20, 1])}
    profiled = [{"name": name, "bins": bins, "counts": each} for name, (bins, each) in counts.items()]
    bundle = home.bundles(problem.key) / "1"
    bundle.mkdir(parents=True)
    (bundle / "profile.json").write_text(json.dumps({"columns": profiled}))
    pointer = {"version": "1", "manifest": "0" * 64}
    (bundle.parent / "champion.json").write_text(json.dumps(pointer))
    usual = usual_values(home, problem)
    assert usual == {"amount": 2.6, "items": 3, "abroad": False, "arm": "B"}
    assert type(usual["abroad"]) is bool
    (bundle / "profile.json").write_text("[damaged")
    assert usual_values(home, problem) == {}


def test_where_the_features_are_old_examples_name_an_instant_and_are_answered(
    payments_client: Client, orders_client: Client, payments: OtherHouse, orders: OtherHouse
) -> None:
    for client, house in ((payments_client, payments), (orders_client, orders)):
        ids = {
            noun: {"card": tuple(CARDS), "shop": tuple(SHOPS)}.get(noun, (1, 2))
            for noun in house.problem.decision.nouns
        }
        for body in request_examples(house.problem, ids, AS_OF)["/predict"]:
            assert answered(client, body)["predictions"]
            assert AS_OF.isoformat() in json.dumps(body)
        published = Publication(AS_OF, {}, {}, (), {})
        assert instant_of(house.problem, published) is None
        by_the_wall = house.problem.model_copy(update={"serving": Serving(clock="wall")})
        assert instant_of(by_the_wall, published) == AS_OF


def test_entities_are_listed_by_what_their_ids_start_with(payments_client: Client, orders_client: Client) -> None:
    cards = payments_client.get("/cards?search=c-01&limit=100").json()
    assert [each["card_id"] for each in cards] == [f"c-{number:03}" for number in range(10, 20)]
    assert cards[0].keys() == {"card_id", "kind", "issued", "payments_7d"}
    assert cards[0]["issued"].endswith("Z")
    assert len(payments_client.get("/shops?limit=5").json()) == 5
    assert [each["customer_id"] for each in orders_client.get("/customers?search=14&limit=3").json()] == [14, 140, 141]


def test_the_words_of_the_problem_are_reported(payments_client: Client, orders_client: Client) -> None:
    words = payments_client.get("/problem").json()
    assert (words["shape"], words["plural"], words["time"]) == ("event", "payments", "paid")
    assert [(each["noun"], each["known"]) for each in words["entities"]] == [("card", True), ("shop", False)]
    assert [(each["name"], each["kind"]) for each in words["known"]] == [("amount", "number")]
    assert [each["name"] for each in words["settable"]] == ["age_days", "hour"]
    words = orders_client.get("/problem").json()
    assert (words["shape"], words["entities"][0]["ids"]) == ("entity", "customer_ids")
    # Which of these there are, the data have decided.
    assert all(each["since"] for each in words["settable"] if not each["part"])


def test_the_answer_is_as_described(payments_client: Client) -> None:
    described = payments_client.get("/openapi.json").json()["components"]["schemas"]["Prediction"]
    (scored,) = answered(payments_client, payment("c-007", 3, 1, payment="p-1", explain=True))["predictions"]
    assert set(described["required"]) <= scored.keys() <= set(described["properties"])
    assert json.dumps(described["properties"]["decision"]["enum"]) == '["act", "leave"]'
