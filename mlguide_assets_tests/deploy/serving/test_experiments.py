"""A server while experiments run: it answers units by their arms, says which, and logs it; other units as ever."""

import json
import shutil
import sqlite3
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.deploy.online_store.store import Publication
from mlguide_assets.deploy.plan.actions import generic_action, random_action
from mlguide_assets.deploy.routing import ELIGIBLE, ROUTING, Arm, Range, Route, write_routes
from mlguide_assets.statistics.draws import SIZE
from mlguide_assets_tests.deploy.serving.serving import AS_OF, Client, House, eventually

SALT = "exploration"
USERS = tuple(range(1, 41))
EMAILS = [3, 5, 8]
ARMS = (Arm("one_for_all", "generic", SIZE // 3), Arm("any", "random", 2 * SIZE // 3), Arm("own", "champion", SIZE))
ROUTE = Route("fewer_losses", 4, (Range("in", 0, SIZE // 2),), "arm", ARMS)


def arm_of(user: int) -> str | None:
    arm = ROUTE.arm_of(user)
    return arm.name if arm else None


@pytest.fixture
def experimenting(changing_home: House, patient: Client) -> Any:
    """The client of a server that follows the routes; afterwards no experiment runs."""
    write_routes(changing_home.bundles, [ROUTE])
    member = next(user for user in USERS if arm_of(user))
    eventually(lambda: "arm" in patient.predict(member, email_ids=EMAILS)["predictions"][0])
    yield patient
    (changing_home.bundles / ROUTING).unlink(missing_ok=True)
    eventually(lambda: "arm" not in patient.predict(member, email_ids=EMAILS)["predictions"][0])


def test_recommendations_follow_the_arm_and_say_so(experimenting: Client, changing_home: House) -> None:
    answer = experimenting.recommend(*USERS, email_ids=EMAILS)
    found = {each["user_id"]: each for each in answer["recommendations"]}
    seen = {user: each.get("arm") for user, each in found.items()}
    assert seen == {user: arm_of(user) for user in found}
    assert {*seen.values()} == {"one_for_all", "any", "own", None}
    for user, each in found.items():
        best = each["candidates"][0]["email_id"]
        day = AS_OF.date()
        wanted = {
            "one_for_all": generic_action(EMAILS, salt=SALT, day=day),
            "any": random_action(EMAILS, user, salt=SALT, day=day),
        }.get(seen[user] or "", best)
        assert each["choice"]["email_id"] == wanted
        if seen[user] in ("one_for_all", "any"):
            assert each["choice"]["decision"] == "send"
        if seen[user]:
            assert (each["experiment"], each["experiment_version"]) == ("fewer_losses", 4)
    (line,) = changing_home.logged_as(answer["request_id"])
    assert {row["user_id"]: row.get("arm") for row in line["rows"]} == seen
    assert {row["experiment_version"] for row in line["rows"] if "arm" in row} == {4}
    assert line["model_version"] == answer["model_version"]


def publish_too(home: House, eligible: list[int]) -> Path:
    """Publish what is published with who may take part; the file as it was, under another name."""
    before, after = (home.store.with_name(f"{name}.sqlite") for name in ("before", "after"))
    for copy in (before, after):
        shutil.copyfile(home.store, copy)
    with closing(sqlite3.connect(after)) as database:
        (content,) = database.execute("SELECT publication FROM published").fetchone()
        publication = Publication.from_json(json.loads(content))
        keys = {**publication.keys, ELIGIBLE: "user_id"}
        publication = replace(publication, keys=keys, eligibility=("fewer_losses_4",))
        database.execute("UPDATE published SET publication = ?", [json.dumps(publication.to_json())])
        database.execute(f'CREATE TABLE "{ELIGIBLE}" (user_id INTEGER PRIMARY KEY, fewer_losses_4 INTEGER)')
        database.executemany(f'INSERT INTO "{ELIGIBLE}" VALUES (?, 1)', [(user,) for user in eligible])
        database.commit()
    after.replace(home.store)
    return before


def test_where_not_everybody_may_take_part_the_online_store_says_who_does(
    experimenting: Client, changing_home: House
) -> None:
    def arms(**rest: Any) -> dict[int, str | None]:
        found = experimenting.recommend(*USERS, email_ids=EMAILS, **rest)["recommendations"]
        return {each["user_id"]: each.get("arm") for each in found}

    everybody = arms()
    write_routes(changing_home.bundles, [replace(ROUTE, by_eligibility=True)])
    eventually(lambda: not any(arms().values()))
    state = experimenting.get("/readyz").json()
    assert state["status"] == "degraded"
    assert "does not say yet who may take part in fewer_losses" in " ".join(state["reasons"])
    even = [user for user in USERS if user % 2 == 0]
    before = publish_too(changing_home, even)
    try:
        assert arms() == {user: arm if user in even else None for user, arm in everybody.items()}
        assert {*arms().values()} == {"one_for_all", "any", "own", None}
        assert experimenting.get("/readyz").json()["status"] == "ready"
        last = experimenting.predict(*USERS)["predictions"]
        assert {each["user_id"]: each.get("arm") for each in last} == {
            each["user_id"]: arms()[each["user_id"]] for each in last
        }
    finally:
        before.replace(changing_home.store)
        write_routes(changing_home.bundles, [ROUTE])


def test_a_question_is_no_exposure(experimenting: Client) -> None:
    answer = experimenting.predict(*USERS, email_ids=EMAILS, what_if={"hour_of_day": 3})
    assert not any("arm" in each for each in answer["predictions"])


def test_a_damaged_file_is_no_experiment_and_the_server_says_so(experimenting: Client, changing_home: House) -> None:
    (changing_home.bundles / ROUTING).write_text("{")
    eventually(lambda: experimenting.get("/readyz").json()["status"] == "degraded")
    state = experimenting.get("/readyz").json()
    assert any("routing.json is damaged" in reason for reason in state["reasons"])
    assert not any("arm" in each for each in experimenting.predict(*USERS, email_ids=EMAILS)["predictions"])
    assert state["model_version"] is not None
