"""What is asked and what is answered: order, names of what is unknown, and probabilities that are the model's own."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.deploy.batch import features_to_score, ids_of, score
from mlguide_assets.deploy.bundle import champion
from mlguide_assets.deploy.online_store.publishing import last_decisions
from mlguide_assets.prepare.features.compiling import with_features
from mlguide_assets.prepare.features.state import entity_state
from mlguide_assets.train.models.calibration import log_odds
from mlguide_assets.train.models.models import Boosted, dmatrix
from mlguide_assets.train.storage import load_facts, load_model
from mlguide_assets_tests.deploy.serving.serving import AS_OF, THRESHOLD, TWINS, UNKNOWN, Client, House
from mlguide_assets_tests.email_case import send_features
from mlguide_assets_tests.samples import SILENT_USERS, USERS
from mlguide_assets_tests.train.sends import replaced

SILENT = USERS
"""A user who was never sent anything."""
RISKY = [1, 4, 7, 10]
"""Emails of the theme that loses users."""
LATER = AS_OF + timedelta(hours=31, minutes=7)


@pytest.fixture(scope="module")
def model(house: House) -> Boosted:
    return load_model(house.bundles / "1")


def features(house: House, pairs: Sequence[tuple[int, int]], moment: datetime = AS_OF) -> pa.Table:
    """Features of pairs from the published state at a moment, in the order of the pairs."""
    asked = pa.table(
        {
            "user_id": [user for user, _ in pairs],
            "email_id": [email for _, email in pairs],
            "delivered_at": pa.array([moment] * len(pairs), pa.timestamp("us")),
            "as_of": pa.array([AS_OF] * len(pairs), pa.timestamp("us")),
        }
    )
    found = with_features(ibis.memtable(asked), house.by_name(), house.problem, known_until="as_of").to_pyarrow()
    place = {(each["user_id"], each["email_id"]): row for row, each in enumerate(found.to_pylist())}
    return found.take([place[pair] for pair in pairs])


def probabilities(answer: Any) -> list[float]:
    return [each["probability"] for each in answer["predictions"]]


def instant(text: str) -> datetime:
    """A time of an answer, as times are here: UTC, without a zone."""
    parsed = datetime.fromisoformat(text)
    return parsed.astimezone(UTC).replace(tzinfo=None) if parsed.tzinfo else parsed


def pairs_of(predictions: Sequence[Any]) -> list[tuple[int, int]]:
    return [(each["user_id"], each["email_id"]) for each in predictions]


def test_answers_come_in_the_order_of_the_request_and_duplicates_stay(client: Client) -> None:
    answer = client.predict(50, 1, 5, 1)
    assert [each["user_id"] for each in answer["predictions"]] == [50, 1, 5, 1]
    assert answer["predictions"][1] == answer["predictions"][3]
    assert (answer["unknown_users"], answer["unknown_emails"], answer["degraded"]) == ([], [], [])
    assert answer["model_version"] == "1"


def test_pairs_are_answered_user_by_user_and_duplicates_stay(client: Client) -> None:
    answer = client.predict(5, 1, 5, email_ids=[3, 2, 3])
    assert pairs_of(answer["predictions"]) == [(user, email) for user in (5, 1, 5) for email in (3, 2, 3)]


def test_an_answer_says_when_what_and_under_which_id(client: Client) -> None:
    reply = client.post("/predict", {"user_ids": [1], "email_ids": [2]})
    answer = reply.json()
    assert reply.headers["x-request-id"] == answer["request_id"]
    assert reply.headers["content-type"] == "application/json"
    (scored,) = answer["predictions"]
    assert instant(scored["feature_time"]) == AS_OF
    assert scored["basis"] == "features"
    assert scored["prediction"] == ("yes" if scored["probability"] >= THRESHOLD else "no")
    assert scored.keys() == {"user_id", "email_id", "probability", "prediction", "feature_time", "basis"}


def test_both_classes_are_among_the_predictions(client: Client) -> None:
    scored = client.predict(*range(1, USERS + 1), email_ids=[1, 3])["predictions"]
    assert {each["prediction"] for each in scored} == {"yes", "no"}
    assert all((each["prediction"] == "yes") == (each["probability"] >= THRESHOLD) for each in scored)


def test_without_emails_the_last_one_is_evaluated_as_of_its_own_delivery(
    house: House, client: Client, model: Boosted
) -> None:
    sends = send_features(house.by_name(), house.problem)
    newest = last_decisions(sends, house.problem, AS_OF).to_pyarrow()
    answer = client.predict(*newest["user_id"].to_pylist())
    scored = answer["predictions"]
    assert len(scored) == USERS - SILENT_USERS
    assert pairs_of(scored) == list(zip(newest["user_id"].to_pylist(), newest["email_id"].to_pylist(), strict=True))
    times = [instant(each["feature_time"]) for each in scored]
    assert times == newest["delivered_at"].to_pylist()
    sent = house.tables["user_emails"]
    for user, at in zip(newest["user_id"].to_pylist(), times, strict=True):
        earlier = pc.and_(pc.equal(sent["user_id"], user), pc.less(sent["delivered_at"], pa.scalar(AS_OF)))
        assert pc.max(sent.filter(earlier)["delivered_at"]).as_py() == at
    np.testing.assert_array_equal(probabilities(answer), model.predict(model.encoding.matrix(newest)))


@pytest.mark.parametrize("whose", [range(1, USERS + 1), [3]], ids=["everybody's", "one user's"])
def test_the_outcome_of_the_last_email_is_in_no_feature(house: House, whose: Sequence[int]) -> None:
    sends = house.tables["user_emails"]
    newest = last_decisions(send_features(house.by_name(), house.problem), house.problem, AS_OF).to_pyarrow()
    newest = newest.filter(pc.is_in(newest["user_id"], pa.array(whose)))
    chosen = set(zip(newest["user_id"].to_pylist(), newest["delivered_at"].to_pylist(), strict=True))
    keys = zip(sends["user_id"].to_pylist(), sends["delivered_at"].to_pylist(), strict=True)
    flipped = [
        {"yes": "no", "no": "yes"}[outcome] if key in chosen else outcome
        for key, outcome in zip(keys, sends["unsubscribed"].to_pylist(), strict=True)
    ]
    tables = {**house.tables, "user_emails": replaced(sends, "unsubscribed", flipped)}
    other = House(house.home, house.problem, tables)
    again = last_decisions(send_features(other.by_name(), house.problem), house.problem, AS_OF).to_pyarrow()
    again = again.filter(pc.is_in(again["user_id"], pa.array(whose)))
    # An email's record has the outcomes of other users too, once they matured.
    own = [name for name in newest.column_names if len(whose) == 1 or not name.startswith("email_")]
    assert again.select(own).equals(newest.select(own))
    assert again.num_rows == min(len(whose), USERS - SILENT_USERS)


def test_probabilities_are_those_of_the_batch_to_the_last_bit(house: House, client: Client) -> None:
    tables, sends = house.by_name(), send_features(house.by_name(), house.problem)
    users = {"user": entity_state(tables, house.problem, "user", AS_OF)}
    slices = features_to_score(tables, users, sends, house.problem, AS_OF.date())
    ids = ids_of(sends, house.problem)
    current = champion(house.bundles)
    batch = score(slices, current, house.problem, ids=ids, day=AS_OF.date(), run_id="run 1").read_all()
    expected = {(row["user_id"], row["email_id"]): row for row in batch.to_pylist()}
    answer = client.recommend(*range(1, USERS + 1))
    scored = [each for user in answer["recommendations"] for each in user["candidates"]]
    assert len(scored) == len(expected) == USERS * house.problem.scoring.candidates
    for each in scored:
        row = expected[each["user_id"], each["email_id"]]
        assert each["probability"] == row["probability"]
        assert instant(each["feature_time"]) == row["feature_time"]
        assert (each["prediction"] == "yes") == (row["decision"] == "withhold")


@pytest.mark.parametrize("moment", [AS_OF, LATER], ids=["at the instant of the features", "later"])
def test_probabilities_are_the_models_of_the_pairs_features(
    house: House, client: Client, model: Boosted, moment: datetime
) -> None:
    pairs = [(user, email) for user in (7, SILENT, 3, 41) for email in (12, 1, TWINS[0])]
    answer = client.predict(7, SILENT, 3, 41, email_ids=[12, 1, TWINS[0]], as_of=moment.isoformat() + "Z")
    assert pairs_of(answer["predictions"]) == pairs
    direct = model.predict(model.encoding.matrix(features(house, pairs, moment)))
    np.testing.assert_array_equal(probabilities(answer), direct)


def test_the_logged_features_are_those_of_training(house: House, client: Client) -> None:
    pairs = [(user, email) for user in (9, SILENT) for email in (3, 8)]
    answer = client.predict(9, SILENT, email_ids=[3, 8], as_of=LATER.isoformat())
    expected = features(house, pairs, LATER).to_pylist()
    (line,) = house.logged_as(answer["request_id"])
    assert [(row["user_id"], row["email_id"]) for row in line["rows"]] == pairs
    for row, known in zip(line["rows"], expected, strict=True):
        assert row["instant"] == LATER.isoformat()
        assert row["features"] == {name: known[name] for name in row["features"]}
        assert len(row["features"]) > 20


def test_recommendations_are_ranked_by_probability(client: Client) -> None:
    answer = client.recommend(3, 40, email_ids=[1, 2, 3, 4, 5])
    assert [each["user_id"] for each in answer["recommendations"]] == [3, 40]
    for each in answer["recommendations"]:
        ranked = [candidate["probability"] for candidate in each["candidates"]]
        assert ranked == sorted(ranked)
        assert sorted(candidate["email_id"] for candidate in each["candidates"]) == [1, 2, 3, 4, 5]
        assert each["choice"]["email_id"] == each["candidates"][0]["email_id"]
        assert each["choice"]["decision"] == ("withhold" if ranked[0] >= THRESHOLD else "send")


def test_between_equals_the_newest_email_comes_first(client: Client) -> None:
    for emails in ([*TWINS], [*reversed(TWINS)]):
        (scored,) = client.recommend(3, email_ids=emails)["recommendations"]
        assert scored["candidates"][0]["probability"] == scored["candidates"][1]["probability"]
        assert [candidate["email_id"] for candidate in scored["candidates"]] == [TWINS[1], TWINS[0]]


def test_where_even_the_best_email_is_too_risky_it_is_withheld(client: Client) -> None:
    risky = client.recommend(*range(1, USERS + 1), email_ids=RISKY)["recommendations"]
    decisions = {each["choice"]["decision"]: each["candidates"][0]["probability"] for each in risky}
    assert decisions["withhold"] >= THRESHOLD
    safe = client.recommend(*range(1, USERS + 1), email_ids=[2, 3, 5, 6, 8, 9])["recommendations"]
    assert any(each["choice"]["decision"] == "send" for each in safe)


def test_users_that_are_asked_for_twice_are_recommended_to_twice(client: Client) -> None:
    answer = client.recommend(3, 40, 3, email_ids=[1, 2])
    assert [each["user_id"] for each in answer["recommendations"]] == [3, 40, 3]
    assert answer["recommendations"][0] == answer["recommendations"][2]


def test_without_emails_the_newest_are_recommended(house: House, client: Client) -> None:
    content = house.tables["email_content"].sort_by([("created_at", "descending"), ("id", "descending")])
    newest = content["id"].to_pylist()[: house.problem.scoring.candidates]
    (scored,) = client.recommend(3)["recommendations"]
    assert {each["email_id"] for each in scored["candidates"]} == set(newest)


def test_what_is_unknown_is_named_once_each_in_order(client: Client) -> None:
    answer = client.predict(UNKNOWN, 1, 2000, UNKNOWN, email_ids=[70, 3, 60, 70])
    assert pairs_of(answer["predictions"]) == [(1, 3)]
    assert answer["unknown_users"] == [UNKNOWN, 2000]
    assert answer["unknown_emails"] == [70, 60]
    answer = client.recommend(UNKNOWN, 1, UNKNOWN, email_ids=[70, 3])
    assert [each["user_id"] for each in answer["recommendations"]] == [1]
    assert (answer["unknown_users"], answer["unknown_emails"]) == ([UNKNOWN], [70])


def test_nothing_but_unknowns_is_an_answer_too(client: Client) -> None:
    for answer in (client.predict(UNKNOWN), client.predict(1, email_ids=[70]), client.recommend(1, email_ids=[70])):
        assert [*answer.get("predictions", []), *answer.get("recommendations", [])] == []
    assert client.recommend(UNKNOWN)["unknown_users"] == [UNKNOWN]


def test_a_user_who_was_never_sent_anything_is_unknown_only_without_emails(client: Client) -> None:
    answer = client.predict(SILENT, 1)
    assert ([each["user_id"] for each in answer["predictions"]], answer["unknown_users"]) == ([1], [SILENT])
    assert client.predict(SILENT, email_ids=[3])["unknown_users"] == []


@pytest.mark.parametrize("emails", [None, [2, 3]])
def test_unknown_users_get_the_base_rate_where_it_is_asked_for(
    house: House, client: Client, emails: list[int] | None
) -> None:
    answer = client.predict(1, UNKNOWN, 5, email_ids=emails, on_unknown="base_rate")
    facts = load_facts(house.home.root / "candidates" / "riskier")
    assert answer["unknown_users"] == [UNKNOWN]
    in_order = [user for user in (1, UNKNOWN, 5) for _ in emails or "1"]
    assert [each["user_id"] for each in answer["predictions"]] == in_order
    strangers = [each for each in answer["predictions"] if each["user_id"] == UNKNOWN]
    assert [each["email_id"] for each in strangers] == [*(emails or (None,))]
    for each in strangers:
        assert each["probability"] == facts["train_positives"] / facts["train_rows"]
        assert (each["basis"], each["feature_time"]) == ("base_rate", None)
    assert {each["basis"] for each in answer["predictions"] if each["user_id"] != UNKNOWN} == {"features"}
    (line,) = house.logged_as(answer["request_id"])
    assert {row["variant"] for row in line["rows"] if row["user_id"] == UNKNOWN} == {"base_rate"}


def test_probabilities_are_left_out_where_they_are_not_wanted(client: Client) -> None:
    for scored in client.predict(1, 5, probability=False)["predictions"]:
        assert "probability" not in scored
        assert scored["prediction"] in ("yes", "no")
    (user,) = client.recommend(1, probability=False)["recommendations"]
    assert all("probability" not in each for each in user["candidates"])


@pytest.mark.ml_test_score("infra-5")
def test_reasons_are_the_models_exact_contributions(house: House, client: Client, model: Boosted) -> None:
    pairs = [(user, email) for user in (3, SILENT, 40) for email in (1, 6)]
    answer = client.predict(3, SILENT, 40, email_ids=[1, 6], explain=True)
    matrix = model.encoding.matrix(features(house, pairs))
    exact = model.booster.predict(dmatrix(matrix, model.encoding), pred_contribs=True).astype(np.float64)
    slope, intercept = model.calibration.slope, model.calibration.intercept
    for scored, contributions in zip(answer["predictions"], exact, strict=True):
        whole = slope * contributions.sum() + intercept
        assert whole == pytest.approx(float(log_odds(scored["probability"])), abs=1e-4)
        named = dict(zip(model.encoding.names, slope * contributions[:-1], strict=True))
        strongest = sorted(named, key=lambda name: -abs(named[name]))[:5]
        assert {reason["feature"] for reason in scored["reasons"]} == set(strongest)
        for reason in scored["reasons"]:
            assert reason["contribution"] == pytest.approx(named[reason["feature"]], rel=1e-5, abs=1e-7)


def test_reasons_are_said_in_words(house: House, client: Client) -> None:
    pairs = [(3, 1), (3, 6)]
    values = features(house, pairs).to_pylist()
    for scored, known in zip(client.predict(3, email_ids=[1, 6], explain=True)["predictions"], values, strict=True):
        assert len(scored["reasons"]) == 5
        for reason in scored["reasons"]:
            assert reason["value"] == known[reason["feature"]]
            what, effect = reason["text"].split(": ", 1)
            assert what
            if effect != "makes no difference":
                direction = "raises" if reason["contribution"] > 0 else "lowers"
                assert effect == f"{direction} the odds, × {np.exp(reason['contribution']):.2f}"


def test_reasons_come_with_recommendations_and_with_last_emails(client: Client) -> None:
    (scored,) = client.recommend(3, explain=True)["recommendations"]
    assert all(len(each["reasons"]) == 5 for each in scored["candidates"])
    assert len(client.predict(3, explain=True)["predictions"][0]["reasons"]) == 5
    (stranger,) = client.predict(UNKNOWN, explain=True, on_unknown="base_rate")["predictions"]
    assert "reasons" not in stranger


def test_an_instant_is_the_same_in_every_time_zone(client: Client) -> None:
    there = timezone(timedelta(hours=5, minutes=45))
    texts = [
        LATER.isoformat(),
        LATER.isoformat() + "Z",
        LATER.replace(tzinfo=UTC).astimezone(there).isoformat(),
        LATER.replace(tzinfo=UTC).astimezone(timezone(-timedelta(hours=11))).isoformat(),
    ]
    answers = [probabilities(client.predict(3, 40, email_ids=[1, 2], as_of=text)) for text in texts]
    assert answers[0] == answers[1] == answers[2] == answers[3]
    assert answers[0] != probabilities(client.predict(3, 40, email_ids=[1, 2]))


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        ((AS_OF - timedelta(microseconds=1)).isoformat(), "know the future"),
        ("2024-04-20T00:30:00+01:00", "know the future"),
        ((AS_OF + timedelta(days=8)).isoformat(), "serving.refuse_after"),
        ("9999-12-31T23:59:59-12:00", "not a valid UTC timestamp"),
        ("0001-01-01T00:00:00+14:00", "not a valid UTC timestamp"),
        ("yesterday", "as_of"),
        (1713571200, "as_of"),
        ("1713571200", "as_of"),
        (True, "as_of"),
    ],
)
def test_an_instant_that_cannot_be_asked_for_is_refused(client: Client, as_of: object, said: str) -> None:
    answer = client.post("/predict", {"user_ids": [1], "email_ids": [2], "as_of": as_of})
    assert answer.status == 422
    assert said in answer.json()["detail"]


def test_features_that_are_old_by_then_are_flagged(client: Client) -> None:
    answer = client.predict(1, email_ids=[2], as_of=(AS_OF + timedelta(hours=37)).isoformat())
    (said,) = answer["degraded"]
    assert "37 hours older" in said
    assert len(answer["predictions"]) == 1


def test_last_emails_have_their_own_instants(client: Client) -> None:
    for extra in ({"as_of": LATER.isoformat()}, {"what_if": {"tenure_days": 3}}):
        answer = client.post("/predict", {"user_ids": [1], **extra})
        assert answer.status == 422
        assert "need email_ids" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("feature", "value"),
    [("tenure_days", 3), ("tenure_days", 0.5), ("days_since_last_email", 400), ("hour_of_day", 0), ("day_of_week", 6)],
)
def test_a_what_if_changes_its_feature_and_no_other(
    house: House, client: Client, model: Boosted, feature: str, value: float
) -> None:
    plain = client.predict(3, SILENT, email_ids=[1, 2])
    asked = client.predict(3, SILENT, email_ids=[1, 2], what_if={feature: value})
    (before,), (after,) = (house.logged_as(answer["request_id"]) for answer in (plain, asked))
    assert {row["variant"] for row in before["rows"]} == {"champion"}
    assert {row["variant"] for row in after["rows"]} == {"what_if"}
    for one, other in zip(before["rows"], after["rows"], strict=True):
        assert other["features"] == {**one["features"], feature: value}
    columns = {name: [row["features"][name] for row in after["rows"]] for name in after["rows"][0]["features"]}
    np.testing.assert_array_equal(probabilities(asked), model.predict(model.encoding.matrix_of_values(columns)))


def test_lists_show_what_can_be_asked_for(client: Client) -> None:
    (offered,) = client.recommend(1)["recommendations"]
    emails = client.get(f"/emails?limit={len(offered['candidates'])}").json()
    assert {each["email_id"] for each in emails} == {each["email_id"] for each in offered["candidates"]}
    assert len(client.get("/users?limit=7").json()) == 7
    users = client.get("/users?search=1&limit=100").json()
    assert [each["user_id"] for each in users] == [1, *range(10, 20)]
    assert client.get("/users?search=60").json()[0]["user_id"] == USERS
    for nobody in ("x", "-1", "01", "%00", "1%20", "9999999999999999999"):
        assert client.get(f"/users?search={nobody}").json() == []
