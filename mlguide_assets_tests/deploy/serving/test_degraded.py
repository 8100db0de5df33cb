"""What the server says where something is missing, changing_home or old, and that it recovers by itself."""

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.loading import dump_problem
from mlguide_assets.deploy.bundle import MANIFEST, set_challenger
from mlguide_assets.deploy.routing import Arm, Route, write_routes
from mlguide_assets.instants import now_utc
from mlguide_assets.settings import Home
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets.train.files import ENCODING, PROBLEM
from mlguide_assets_tests.deploy.serving.serving import (
    Answer,
    Client,
    House,
    Server,
    damage,
    eventually,
    point_by_hand,
    repair,
    sample,
    scrape,
)
from mlguide_assets_tests.email_case import counted_values
from mlguide_assets_tests.samples import sample_problem

ASKED = {"user_ids": [3, 5], "email_ids": [1, 2]}


def refused(client: Client, path: str = "/predict") -> str:
    """Why nothing is answered now."""
    answer = client.post(path, {"user_ids": [3]})
    assert answer.status == 503, answer
    assert answer.headers["retry-after"] == "1"
    assert answer.json().keys() == {"detail", "request_id"}
    return str(answer.json()["detail"])


def unavailable(client: Client) -> list[str]:
    """The reasons, once the server says that it is not ready; it is alive all the time."""
    answer: Answer = eventually(lambda: (response := client.get("/readyz")).status == 503 and response)
    state = answer.json()
    assert state["status"] == "unavailable"
    assert client.get("/healthz").status == 200
    reasons: list[str] = state["reasons"]
    return reasons


def test_without_a_champion_nothing_is_predicted(changing_home: House, patient: Client) -> None:
    (changing_home.bundles / "champion.json").unlink()
    (reason,) = unavailable(patient)
    assert reason.startswith("There is no champion")
    assert refused(patient) == refused(patient, "/recommend") == reason
    assert patient.get("/emails").status == 200


def test_without_features_nothing_is_predicted(changing_home: House, patient: Client) -> None:
    """Neither from the open file, which is still there for whoever holds it."""
    patient.predict(3)
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    (reason,) = unavailable(patient)
    assert "online store is empty" in reason
    assert refused(patient) == reason
    assert patient.get("/users").json() == []
    aside.rename(changing_home.store)


@pytest.mark.parametrize(
    "change",
    [
        lambda path: path.write_bytes(b"not a database, whatever its name says" * 100),
        lambda path: path.write_bytes(b""),
        lambda path: path.write_bytes(path.read_bytes()[:2000]),
        lambda path: (path.unlink(), path.mkdir()),
    ],
    ids=["another file", "empty", "cut off", "a folder"],
)
def test_a_damaged_store_is_reported_and_repaired(
    changing_home: House, patient: Client, change: Callable[[Path], object]
) -> None:
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    shutil.copy(aside, changing_home.store)
    change(changing_home.store)
    assert "damaged" in refused(patient)
    assert "damaged" in unavailable(patient)[0]
    assert "damaged" in patient.get("/users").json()["detail"]
    shutil.rmtree(changing_home.store) if changing_home.store.is_dir() else changing_home.store.unlink()
    aside.rename(changing_home.store)


def test_a_table_that_is_damaged_inside_is_reported(changing_home: House, patient: Client) -> None:
    """The file opens, and fails where it is read: only then is it known."""
    whole = changing_home.store.read_bytes()
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    page = 4096
    changing_home.store.write_bytes(whole[:page] + b"\xff" * (len(whole) - 2 * page) + whole[-page:])
    answers = [patient.post(path, ASKED) for path in ("/predict", "/recommend")]
    assert {answer.status for answer in answers} == {503}
    assert all("damaged" in answer.json()["detail"] for answer in answers)
    assert "damaged" in unavailable(patient)[0]
    changing_home.store.unlink()
    aside.rename(changing_home.store)


def test_a_store_without_a_feature_of_the_model_is_reported(changing_home: House, patient: Client) -> None:
    """The champion was trained for features that the published ones lack."""
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    shutil.copy(aside, changing_home.store)
    with closing(sqlite3.connect(changing_home.store)) as store, store:
        store.execute("ALTER TABLE users DROP COLUMN age")
    replaced = changing_home.store.rename(changing_home.store.with_name("replaced"))
    replaced.rename(changing_home.store)
    (reason,) = unavailable(patient)
    assert "has no feature 'age'" in reason
    assert patient.post("/predict", ASKED).json()["detail"] == reason
    changing_home.store.unlink()
    aside.rename(changing_home.store)


def test_a_log_that_cannot_be_written_is_reported_before_anybody_asks(changing_home: House, patient: Client) -> None:
    served = changing_home.served
    aside = served.rename(served.with_name("aside"))
    served.write_text("in the way")
    (reason,) = unavailable(patient)
    assert str(served) in reason
    served.unlink()
    aside.rename(served)


def test_a_log_that_is_full_is_reported_and_recovers(copied: Callable[..., House]) -> None:
    """The first file is begun, which holds all that it may."""
    house = copied(max_log_gigabytes=1e-6)
    with Server(house.home, "--no-access-log") as server:
        client = server.client()
        eventually(lambda: client.post("/predict", {"user_ids": [3]}).status == 503)
        (reason,) = unavailable(client)
        assert "serving.max_log_gigabytes" in reason
        for path in house.served.glob("*/*.jsonl"):
            path.unlink()
        assert eventually(lambda: client.get("/readyz").status == 200)


@pytest.mark.ml_test_score("monitor-4")
def test_old_features_are_flagged_and_older_ones_refused(copied: Callable[..., House]) -> None:
    """By the wall's clock: features of another hour are published one after the other."""
    house = copied(clock="wall", stale_after="2h", refuse_after="5h")
    now = now_utc()
    with Server(house.home, "--no-access-log") as server:
        client = server.client()

        known = house.state(now - timedelta(hours=6))

        def publish(as_of: datetime) -> None:
            house.put(replace(known, publication=replace(known.publication, as_of=as_of)))
            # It may take longer than the server keeps an idle connection.
            client.close()

        (reason,) = unavailable(client)
        assert "days old, which is refused" in reason
        assert "serving.refuse_after" in refused(client)

        publish(now - timedelta(hours=6))
        assert "6 hours old, which is refused" in unavailable(client)[0]
        earlier = (now - timedelta(hours=4)).isoformat()
        assert client.predict(3, email_ids=[1], as_of=earlier)["degraded"] == []

        publish(now - timedelta(hours=3))
        state = client.get("/readyz")
        assert (state.status, state.json()["status"]) == (200, "degraded")
        assert "3 hours old, which is flagged" in state.json()["reasons"][0]
        for answer in (client.predict(3), client.predict(3, email_ids=[1]), client.recommend(3)):
            (said,) = answer["degraded"]
            assert "3 hours older" in said

        newest = now - timedelta(minutes=5)
        publish(newest)
        state = client.get("/readyz").json()
        assert state["status"] == "ready"
        assert state["feature_time"].startswith(newest.isoformat())
        assert client.predict(3)["degraded"] == []
        assert client.predict(3, email_ids=[1])["predictions"][0]["feature_time"] == state["feature_time"]
        age = scrape(client)[sample("mlguide_feature_age_seconds")]
        assert 300 <= age < 420

        publish(now + timedelta(hours=1))
        assert "know the future" in refused(client)
        assert client.get("/readyz").status == 503
        assert '"message":"request"' not in server.log()


def test_an_empty_home_says_what_to_do(tmp_path: Path) -> None:
    home = Home(tmp_path / "new")
    home.root.mkdir()
    with Server(home) as server:
        client = server.client()
        assert len(unavailable(client)) == 2
        assert "mlguide run" in refused(client)
        assert client.get("/users").json() == []
        assert client.get("/metrics").status == 200


def logged_as(house: House, request_id: str, lines: int) -> list[dict[str, Any]]:
    """The lines of a request, once there are as many."""
    return eventually(lambda: len(found := house.logged_as(request_id)) == lines and found)  # type: ignore[no-any-return]


@pytest.fixture
def spare(house: House, changing_home: House) -> Iterator[Path]:
    """A whole bundle, version 5, that thinks risks are higher; a challenger's goes when it is one no more."""
    folder = changing_home.bundles / "5"
    shutil.copytree(house.bundles / "2", folder)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def challenged(changing_home: House, spare: Path, patient: Client) -> Iterator[Client]:
    """A client while version 5 is the challenger."""
    set_challenger(changing_home.bundles, "5")
    eventually(lambda: patient.get("/readyz").json()["shadow_version"] == "5")
    yield patient
    set_challenger(changing_home.bundles, None)


@pytest.mark.ml_test_score("infra-6")
def test_a_challenger_scores_into_the_log_and_never_into_an_answer(
    house: House, client: Client, changing_home: House, challenged: Client
) -> None:
    asked = {"email_ids": [1, 2], "on_unknown": "base_rate"}
    before, after = client.predict(3, 5, 1000, **asked), challenged.predict(3, 5, 1000, **asked)
    assert after == {**before, "request_id": after["request_id"]}
    mine, other = sorted(logged_as(changing_home, after["request_id"], 2), key=lambda line: line["model_version"])
    assert (mine["model_version"], other["model_version"]) == ("1", "5")
    assert [row["variant"] for row in other["rows"]] == ["challenger"] * 6
    assert [row["probability"] for row in mine["rows"]] == [each["probability"] for each in after["predictions"]]
    for one, two in zip(mine["rows"][:4], other["rows"][:4], strict=True):
        assert two["features"] == one["features"]
        assert two["probability"] > one["probability"]
    assert challenged.get("/readyz").json()["status"] == "ready"
    # Counted after it was logged.
    eventually(lambda: shadowed(challenged, "logged") >= 6)


def test_a_challenger_that_is_one_no_more_scores_nothing(changing_home: House, spare: Path, patient: Client) -> None:
    set_challenger(changing_home.bundles, "5")
    eventually(lambda: patient.get("/readyz").json()["shadow_version"] == "5")
    set_challenger(changing_home.bundles, None)
    eventually(lambda: patient.get("/readyz").json()["shadow_version"] is None)
    before = shadowed(patient, "logged")
    alone = [patient.predict(3)["request_id"] for _ in range(20)]
    assert shadowed(patient, "logged") == before
    assert all(len(changing_home.logged_as(request_id)) == 1 for request_id in alone)


def test_a_what_if_of_a_challenger_is_a_what_if_too(changing_home: House, challenged: Client) -> None:
    asked = challenged.predict(3, email_ids=[1], what_if={"tenure_days": 4})
    lines = logged_as(changing_home, asked["request_id"], 2)
    assert {row["variant"] for line in lines for row in line["rows"]} == {"what_if"}


def test_a_damaged_challenger_does_not_disturb(changing_home: House, spare: Path, patient: Client) -> None:
    damage(spare / "model.ubj")
    point_by_hand(changing_home.bundles, "5", "challenger")
    state = eventually(lambda: (response := patient.get("/readyz").json())["reasons"] and response)
    assert (state["status"], state["model_version"], state["shadow_version"]) == ("degraded", "1", None)
    assert "model.ubj was changed" in state["reasons"][0]
    answer = patient.predict(3, email_ids=[1])
    assert answer["degraded"] == []
    assert len(changing_home.logged_as(answer["request_id"])) == 1
    set_challenger(changing_home.bundles, None)


SPORTS = "number_of_email_theme_sports"
CANARY = Route("canary-5", 1, (), "arm", (Arm("canary", "challenger", SIZE),), models={"champion": "1"})
"""Gives every unit to the challenger."""


@pytest.fixture
def with_more(house: House, changing_home: House, spare: Path, patient: Client) -> Iterator[Client]:
    """A client while the challenger was trained for a theme that the champion's problem has not, and is given all."""
    more = sample_problem("nowhere", themes=[*counted_values(house.problem, "theme"), "sports"])
    manifest, encoding = (json.loads((spare / name).read_bytes()) for name in (MANIFEST, ENCODING))
    files = {
        PROBLEM: dump_problem(more).encode(),
        ENCODING: json.dumps([{**encoding[0], "name": SPORTS}, *encoding[1:]]).encode(),
    }
    files[MANIFEST] = json.dumps(manifest | {name: hashlib.sha256(files[name]).hexdigest() for name in files}).encode()
    for name, content in files.items():
        repair(spare / name, content)
    set_challenger(changing_home.bundles, "5")
    write_routes(changing_home.bundles, [CANARY])
    eventually(lambda: patient.get("/readyz").json()["shadow_version"] == "5")
    yield patient
    write_routes(changing_home.bundles, [])
    set_challenger(changing_home.bundles, None)


def test_a_challenger_whose_features_are_not_published_answers_nobody(
    changing_home: House, changing: Server, with_more: Client
) -> None:
    """No unit is in its arm either: what the store lacks is no error of a version that goes live by canary."""
    state = eventually(lambda: (response := with_more.get("/readyz").json())["reasons"] and response)
    assert (state["status"], state["model_version"]) == ("degraded", "1")
    assert state["reasons"][0].startswith("The challenger, version 5, answers nobody: The online store has no feature")
    before = shadowed(with_more, "failed")
    answers = [with_more.predict(3, email_ids=[1]) for _ in range(5)]
    assert {answer["model_version"] for answer in answers} == {"1"}
    assert not any("arm" in answer["predictions"][0] for answer in answers)
    eventually(lambda: shadowed(with_more, "failed") == before + 5)
    said = [event["message"] for event in changing.events() if "is not asked" in event["message"]]
    assert len(said) == 1
    assert SPORTS in said[0]
    for answer in answers:
        (line,) = changing_home.logged_as(answer["request_id"])
        assert [(row["variant"], row.get("arm")) for row in line["rows"]] == [("champion", None)]


def test_a_challenger_with_a_feature_that_the_champion_lacks_is_given_it(
    changing_home: House, with_more: Client
) -> None:
    """Each model scores, answers and logs by its own features: also the champion in the shadow of the challenger."""
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    after = changing_home.store.with_name("after")
    shutil.copy(aside, after)
    with closing(sqlite3.connect(after)) as store, store:
        for table in ("users", "last_sends"):
            store.execute(f"ALTER TABLE {table} ADD COLUMN {SPORTS} INTEGER DEFAULT 7")
    after.rename(changing_home.store)
    eventually(lambda: not with_more.get("/readyz").json()["reasons"])
    for asked in ({"email_ids": [1]}, {}):
        answer = eventually(lambda asked=asked: "arm" in (a := with_more.predict(3, **asked))["predictions"][0] and a)
        assert answer["model_version"] == "5"
        lines = logged_as(changing_home, answer["request_id"], 2)
        routed, shadow = sorted(lines, key=lambda line: -int(line["model_version"]))
        assert [row["variant"] for line in (routed, shadow) for row in line["rows"]] == ["routed", "champion_shadow"]
        own, others = routed["rows"][0]["features"], shadow["rows"][0]["features"]
        assert own == {**others, SPORTS: 7}
    changing_home.store.unlink()
    aside.rename(changing_home.store)


def test_a_model_that_contradicts_its_problem_is_not_taken(changing_home: House, spare: Path, patient: Client) -> None:
    ask_for_another_feature(spare)
    point_by_hand(changing_home.bundles, "5")
    state = eventually(lambda: (response := patient.get("/readyz").json())["reasons"] and response)
    assert (state["status"], state["model_version"]) == ("degraded", "1")
    assert "no_such_feature" in state["reasons"][0]
    assert patient.predict(3)["model_version"] == "1"


@pytest.mark.parametrize(("table", "asked"), [("users", ASKED), ("emails", ASKED), ("last_sends", {"user_ids": [3]})])
def test_features_that_are_not_published_are_reported(
    changing_home: House, patient: Client, table: str, asked: dict[str, Any]
) -> None:
    """As after a change of the problem's themes: no fault of the request, and no riddle for whoever runs the server."""
    aside = changing_home.store.rename(changing_home.store.with_name("aside"))
    shutil.copy(aside, changing_home.store)
    name = "theme" if table == "emails" else "emails_last_7_days"
    with closing(sqlite3.connect(changing_home.store)) as database:
        database.execute(f"ALTER TABLE {table} DROP COLUMN {name}")
    answer = patient.post("/predict", asked)
    aside.rename(changing_home.store)
    assert answer.status == 503, answer
    assert name in answer.json()["detail"]


def ask_for_another_feature(folder: Path) -> None:
    """Have a bundle's first feature be called otherwise, with a manifest that says so."""
    manifest, encoding = (json.loads((folder / name).read_bytes()) for name in (MANIFEST, ENCODING))
    content = json.dumps([{**encoding[0], "name": "no_such_feature"}, *encoding[1:]]).encode()
    repair(folder / ENCODING, content)
    repair(folder / MANIFEST, json.dumps({**manifest, ENCODING: hashlib.sha256(content).hexdigest()}).encode())


def shadowed(client: Client, outcome: str) -> float:
    """How many predictions of the challenger came to this end."""
    return scrape(client).get(sample("mlguide_shadow_predictions_total", outcome=outcome), 0)
