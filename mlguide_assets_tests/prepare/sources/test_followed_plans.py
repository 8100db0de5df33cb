"""A live world follows the home's own plans: those that were made in time, and the same ones at every reading."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import yaml

from mlguide_assets.define.loading import parse_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.simulator import generate
from mlguide_assets.prepare.sources.followed_plans import followed_plans
from mlguide_assets.prepare.sources.simulated import world_of
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.prepare.ingesting import keep, lake_over
from mlguide_assets_tests.samples import PROBLEM

DAY = timedelta(days=1)
FIRST = date(2024, 2, 20)
"""Of the plans; the world is seen some days further."""
USERS = np.arange(1, 3000)
EMAIL = 48
ORDER = [("delivered_at", "ascending"), ("user_id", "ascending")]


def problem_that(**live: Any) -> Problem:
    source = {"kind": "simulator", "sends": 5000, "days": 60, "live": {"start": "2024-02-10", **live}}
    return parse_problem(yaml.safe_dump({**PROBLEM, "source": source}).encode(), Path("live.yaml"))


FOLLOWS = problem_that(follows_plan=True)


@pytest.fixture
def lake(duck: Any, tmp_path: Path) -> Lake:
    return lake_over(duck, tmp_path / "lake")


def plan(
    lake: Lake,
    day: date,
    *,
    made: datetime | None = None,
    users: Any = USERS,
    email: int = EMAIL,
    experiment: Any = None,
) -> None:
    """A plan that sends all users one email, and nothing to every third."""
    midnight = datetime.combine(day, datetime.min.time())
    rows = {
        "user_id": users,
        "email_id": np.full(len(users), email),
        "decision": np.where(users % 3 == 0, "withhold", "send"),
        "experiment": pa.array([None] * len(users) if experiment is None else experiment, pa.string()),
        "planned_at": pa.array([made or midnight - timedelta(minutes=10)] * len(users), pa.timestamp("us")),
    }
    lake.write_partition(SEND_PLAN, day.isoformat(), pa.table(rows))


def sends(lake: Lake, until: date, problem: Problem = FOLLOWS) -> pa.Table:
    """The sends of the world as it is seen until a day."""
    seen = datetime.combine(until, datetime.min.time())
    plans = followed_plans(problem, lake, until=seen)
    return pa.concat_tables(generate.sends(world_of(problem), None, until, seen, plans=plans)).sort_by(ORDER)


def of_day(rows: pa.Table, day: date) -> pa.Table:
    return rows.filter(pa.array(rows["delivered_at"].to_numpy().astype("datetime64[D]") == np.datetime64(day)))


def test_a_day_goes_by_the_plan_that_was_made_before_it(lake: Lake) -> None:
    drawn = sends(lake, FIRST + DAY)
    plan(lake, FIRST)
    followed = sends(lake, FIRST + DAY)
    users = of_day(drawn, FIRST)["user_id"].to_numpy()
    assert of_day(followed, FIRST)["user_id"].to_pylist() == users[users % 3 != 0].tolist()
    assert set(of_day(followed, FIRST)["email_id"].to_pylist()) == {EMAIL}
    assert of_day(followed, FIRST - DAY).equals(of_day(drawn, FIRST - DAY))


@pytest.mark.parametrize(
    "made", [datetime(2024, 2, 20), datetime(2024, 2, 22, 9)], ids=["as the day began", "days later"]
)
def test_a_plan_that_was_made_too_late_chose_nothing(lake: Lake, made: datetime) -> None:
    drawn = sends(lake, FIRST + 3 * DAY)
    plan(lake, FIRST, made=made)
    plan(lake, FIRST + DAY, users=USERS[:0])
    assert sends(lake, FIRST + 3 * DAY).equals(drawn)


def test_a_world_that_does_not_follow_is_the_companys(lake: Lake) -> None:
    drawn = sends(lake, FIRST + DAY, problem_that())
    plan(lake, FIRST)
    assert sends(lake, FIRST + DAY, problem_that()).equals(drawn)


def test_of_a_plan_only_the_rows_of_experiments_may_be_followed(lake: Lake) -> None:
    problem = problem_that(follows_plan="experiments")
    drawn = sends(lake, FIRST + DAY, problem)
    plan(lake, FIRST, experiment=np.where(USERS % 2 == 0, "content", None))
    followed = of_day(sends(lake, FIRST + DAY, problem), FIRST)
    assigned = followed["user_id"].to_numpy() % 2 == 0
    assert set(followed.filter(pa.array(assigned))["email_id"].to_pylist()) == {EMAIL}
    others = of_day(drawn, FIRST).filter(pa.array(of_day(drawn, FIRST)["user_id"].to_numpy() % 2 == 1))
    assert followed.filter(pa.array(~assigned)).equals(others)


def test_each_reading_finds_the_same_days_and_the_next_one(lake: Lake) -> None:
    plan(lake, FIRST)
    plan(lake, FIRST + DAY, email=EMAIL - 1)
    first = ingested(lake, FIRST + DAY)
    oracle = (lake.root / "oracle" / "oracle.parquet").read_bytes()
    assert set(of_day(first, FIRST)["email_id"].to_pylist()) == {EMAIL}
    assert ingested(lake, FIRST + DAY).equals(first)
    assert (lake.root / "oracle" / "oracle.parquet").read_bytes() == oracle
    second = ingested(lake, FIRST + 2 * DAY)
    columns = ["user_id", "email_id", "delivered_at"]
    assert second.slice(0, first.num_rows).select(columns).equals(first.select(columns))
    assert set(of_day(second, FIRST + DAY)["email_id"].to_pylist()) == {EMAIL - 1}


def ingested(lake: Lake, until: date) -> pa.Table:
    seen = datetime.combine(until, datetime.min.time())
    with ingest(FOLLOWS, lake, oracle=lake.root / "oracle", report=lambda _: None, until=seen) as read:
        keep(lake, read)
    return lake.read_arrow("user_emails").sort_by(ORDER)
