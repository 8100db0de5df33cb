"""A server while a version goes live by canary: who answers whom, what is said and logged, and how soon it ends."""

from collections.abc import Iterator
from datetime import date

import pytest

from mlguide_assets.deploy.bundle import CHALLENGER, pointer_path
from mlguide_assets.deploy.log.landing import PREDICTION_LOG, land_log
from mlguide_assets.deploy.routing import ROUTING, Arm, Range, Route, write_routes
from mlguide_assets.experiment.canary.record import Progress
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.deploy.serving.serving import UNKNOWN, Client, House, eventually, point_by_hand

USERS, EMAILS = tuple(range(1, 31)), [3, 5]


def canary(share: float) -> Route:
    day = date(2024, 4, 20)
    progress = Progress("2", "1", "start", 0, share, "", day, day, day, day, (share,))
    assert progress.route is not None
    return progress.route


HALF = canary(0.5)


def is_in(user: int, route: Route = HALF) -> bool:
    arm = route.arm_of(user)
    return arm is not None and arm.name == "canary"


ONE_IN = next(user for user in USERS if is_in(user))


@pytest.fixture
def live(changing_home: House, patient: Client) -> Iterator[Client]:
    """The client of a server with a challenger; afterwards there is none, and no route."""
    point_by_hand(changing_home.bundles, "2", CHALLENGER)
    eventually(lambda: patient.get("/readyz").json()["shadow_version"] == "2")
    yield patient
    (changing_home.bundles / ROUTING).unlink(missing_ok=True)
    pointer_path(changing_home.bundles, CHALLENGER).unlink(missing_ok=True)


def route(home: House, client: Client, *routes: Route, until_routed: bool = True) -> None:
    write_routes(home.bundles, routes)
    eventually(lambda: ("arm" in client.predict(ONE_IN, email_ids=EMAILS)["predictions"][0]) == until_routed)


def test_a_share_of_the_units_is_answered_by_the_challenger_and_the_log_says_so(
    live: Client, changing_home: House
) -> None:
    alone = {user: live.predict(user, email_ids=EMAILS)["predictions"] for user in USERS}
    route(changing_home, live, HALF)
    answer = live.predict(*USERS, UNKNOWN, email_ids=EMAILS, on_unknown="base_rate")
    for scored in answer["predictions"]:
        user = scored["user_id"]
        if user == UNKNOWN:
            assert "arm" not in scored
            continue
        arm, version = ("canary", "2") if is_in(user) else ("champion", "1")
        assert (scored["experiment"], scored["arm"], scored["model_version"]) == ("canary-2", arm, version)
        before = next(each for each in alone[user] if each["email_id"] == scored["email_id"])
        # The challenger thinks all risks are higher.
        assert (scored["probability"] > before["probability"]) == is_in(user)
    assert answer["model_version"] == "1"
    assert [each["user_id"] for each in answer["predictions"]][:: len(EMAILS)] == [*USERS, UNKNOWN]
    assert live.predict(ONE_IN, email_ids=EMAILS)["model_version"] == "2"

    lines = changing_home.logged_as(answer["request_id"])
    said = {
        (row["user_id"], row["email_id"]): (line["model_version"], row["variant"], row.get("arm"), row["position"])
        for line in lines
        for row in line["rows"]
        if row["variant"] not in ("challenger", "champion_shadow")
    }
    for place, scored in enumerate(answer["predictions"]):
        wanted = ("2", "routed", "canary") if is_in(scored["user_id"]) else ("1", "champion", "champion")
        wanted = ("1", "base_rate", None) if scored["user_id"] == UNKNOWN else wanted
        assert said[scored["user_id"], scored["email_id"]] == (*wanted, place)


def test_the_shadow_scores_those_that_the_challenger_did_not_answer_and_all_lands(
    live: Client, changing_home: House, tmp_path_factory: pytest.TempPathFactory
) -> None:
    route(changing_home, live, HALF)
    asked = live.recommend(*USERS, email_ids=EMAILS)["request_id"]
    eventually(lambda: len(changing_home.logged_as(asked)) == 4)
    lake = Lake(tmp_path_factory.mktemp("landed"))
    for _ in range(2):
        land_log(changing_home.served, lake, changing_home.problem, today=date(2024, 4, 21))
    table = lake.read(PREDICTION_LOG)
    rows = table.filter(table.request_id == asked).to_pyarrow().to_pylist()
    by_challenger = [(row["user_id"], row["email_id"]) for row in rows if row["model_version"] == "2"]
    assert len(by_challenger) == len({*by_challenger}) == len(USERS) * len(EMAILS)
    assert {row["user_id"] for row in rows if row["variant"] == "challenger"} == {u for u in USERS if not is_in(u)}
    assert {row["experiment"] for row in rows if row["variant"] == "challenger"} == {None}
    # And the champion scores those that the challenger did answer: of each it is known what either would have done.
    by_champion = [(row["user_id"], row["email_id"]) for row in rows if row["model_version"] == "1"]
    assert len(by_champion) == len({*by_champion}) == len(USERS) * len(EMAILS)
    assert {row["user_id"] for row in rows if row["variant"] == "champion_shadow"} == {u for u in USERS if is_in(u)}
    assert all(0 < row["scoring_ms"] <= row["latency_ms"] for row in rows if row["variant"] in ("champion", "routed"))


def test_more_of_the_ramp_moves_no_unit_and_its_end_reaches_the_server_at_once(
    live: Client, changing_home: House
) -> None:
    def routed() -> set[int]:
        scored = live.predict(*USERS, email_ids=[3])["predictions"]
        return {each["user_id"] for each in scored if each.get("arm") == "canary"}

    seen = []
    for share in (0.2, 0.5, 0.9):
        write_routes(changing_home.bundles, [canary(share)])
        eventually(lambda share=share: routed() == {user for user in USERS if is_in(user, canary(share))})
        seen.append(routed())
    assert seen[0] < seen[1] < seen[2]
    write_routes(changing_home.bundles, [])
    eventually(lambda: not routed())
    assert live.predict(*USERS, email_ids=[3])["model_version"] == "1"


@pytest.mark.parametrize("models", [{"champion": "0", "challenger": "2"}, {"champion": "1", "challenger": "3"}])
def test_other_models_than_those_of_the_route_answer_no_unit_by_it(models: dict[str, str]) -> None:
    assert HALF.is_served_by("1", "2")
    assert not HALF.is_served_by("1", None)
    other = Route(HALF.experiment, 1, (), HALF.arm_salt, HALF.arms, models=models)
    assert not other.is_served_by("1", "2")


def test_an_experiment_comes_before_the_canary(live: Client, changing_home: House) -> None:
    member = Range(HALF.arm_salt, 0, HALF.arms[0].end)
    experiment = Route("fewer_losses", 1, (member,), "arm", (Arm("own", "champion", HALF.arms[1].end),))
    route(changing_home, live, experiment, HALF)
    scored = {each["user_id"]: each for each in live.predict(*USERS, email_ids=[3])["predictions"]}
    assert {scored[user]["experiment"] for user in USERS if is_in(user)} == {"fewer_losses"}
    assert {scored[user]["arm"] for user in USERS if not is_in(user)} == {"champion"}
    assert {each["model_version"] for each in scored.values()} == {"1"}
