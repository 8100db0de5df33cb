"""What is watched where nobody's emails are: payments with text ids, and customers at cut-offs."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import Bundle, champion, metadata_of
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.observe.drift.data_drift import check_days
from mlguide_assets.observe.drift.table import TRAFFIC, WHOLE_DAY
from mlguide_assets.observe.freshness.landed import LANDED_DAYS
from mlguide_assets.observe.freshness.new_days import days_to_check, last_of_reference
from mlguide_assets.observe.performance.champion_watch import compare
from mlguide_assets.observe.performance.model_performance import ESTIMATED, REALISED, watch_performance, watched_rows
from mlguide_assets.observe.rows import landed_days
from mlguide_assets.prepare.features.building import tables_of
from mlguide_assets.retrain.new_data import scores_due
from mlguide_assets.retrain.ticks import ticks_of
from mlguide_assets.retrain.trigger_state import trigger_state
from mlguide_assets.retrain.triggers import daily
from mlguide_assets_tests.deploy.serving.others import OtherHouse, orders_house, payments_house

pytestmark = pytest.mark.slow
EMAIL_WORDS = ("send", "user", "email", "unsubscrib")


@pytest.fixture(scope="module", params=[payments_house, orders_house])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> OtherHouse:
    """A home with a champion, and the days that have landed."""
    built: OtherHouse = request.param(tmp_path_factory)
    lake, problem = built.lake, built.problem
    decided = None if problem.decision.is_event else lake.read("decisions")
    lake.write(LANDED_DAYS, landed_days(tables_of(lake, problem), problem, decided))
    lake.write("prediction_log", log_schema(problem.decision).empty_table())
    return built


@pytest.fixture(scope="module")
def bundle(house: OtherHouse) -> Bundle:
    current = champion(house.home.bundles(house.problem.key))
    assert current is not None
    return current


def small(problem: Problem, min_rows: int = 20) -> Problem:
    """Judged also where few rows are."""
    return problem.model_copy(update={"watching": problem.watching.model_copy(update={"min_rows": min_rows})})


def test_days_land_by_events_and_are_decided_on_by_decisions(house: OtherHouse) -> None:
    days = house.lake.read_arrow(LANDED_DAYS).to_pylist()
    features = house.lake.read_arrow(house.problem.features_table)
    assert sum(day["decisions"] for day in days) == features.num_rows
    if house.problem.decision.is_event:
        assert all(day["rows"] == day["decisions"] for day in days)
    else:
        decided = [day["day"] for day in days if day["decisions"]]
        assert {(later - earlier).days for earlier, later in pairwise(decided)} == {7}
        assert sum(day["rows"] for day in days) == house.lake.read_arrow("orders").num_rows
    last = max(day["day"] for day in days if day["outcomes"])
    final = {day["day"]: day["outcomes"] is not None for day in days if day["decisions"]}
    assert all(known is (day <= last) for day, known in final.items())


def test_performance_drift_and_the_watch_follow_the_problem(house: OtherHouse, bundle: Bundle, tmp_path: Path) -> None:
    problem, lake, plural = small(house.problem), house.lake, house.problem.decision.plural
    features, landed = lake.read(problem.features_table), lake.read(LANDED_DAYS)
    watched = watch_performance(features, None, bundle, problem)
    assert set(watched.estimated_performance["model_version"].to_pylist()) <= {"1"}
    before = {REALISED: watched.model_performance, ESTIMATED: watched.estimated_performance}
    again = watch_performance(features, None, bundle, problem, before=before)
    for name in (REALISED, ESTIMATED):
        assert getattr(again, name).to_pandas().equals(before[name].to_pandas())
    # The record begins with the test window, whose outcomes are those of today.
    then = features.filter(features[problem.label.column].notnull()).select(*problem.decision.keys)
    holdout = then.mutate(label=ibis.literal(7, "int8"), xgboost=0.5)
    rows, said = watched_rows(features, holdout, bundle, problem)
    assert (set(rows["label"].to_pylist()) <= {0, 1, None}, said) == (True, "")
    same = compare(bundle, bundle, features, problem)
    assert same.verdict in ("too_few", "holds")
    assert plural in same.reason
    known = {row["day"]: row for row in landed.to_pyarrow().to_pylist()}
    day = max(day for day, row in known.items() if row["decisions"])
    found = check_days(
        [day], lake.engine, features=features, prediction_log=lake.read("prediction_log"), landed=landed,
        champion=bundle, problem=problem, scratch=tmp_path, reports=house.home.drift_reports(problem.key),
    )[day]  # fmt: skip
    rows = found.table.to_pylist()
    assert {row["source"] for row in rows} == {plural}
    assert {row["column"] for row in rows}.isdisjoint({*problem.decision.keys, "matured_at"})
    assert any(row["column"] == WHOLE_DAY and row["rows"] == known[day]["decisions"] for row in rows)
    assert {row["window_days"] for row in rows} == {1}
    assert plural != TRAFFIC
    said = [same.reason, *(row["reason"] or "" for row in rows)]
    assert not [text for text in said if any(word in text.lower() for word in EMAIL_WORDS)]


def test_of_more_decisions_than_memory_holds_a_sample_is_watched(house: OtherHouse, bundle: Bundle) -> None:
    features = house.lake.read(house.problem.features_table)

    def with_room_for(rows: int) -> Problem:
        training = house.problem.training.model_copy(update={"rows_in_memory": rows})
        retraining = house.problem.retraining.model_copy(update={"watch_for": timedelta(days=1000)})
        return small(house.problem).model_copy(update={"training": training, "retraining": retraining})

    every, _ = watched_rows(features, None, bundle, house.problem)
    problem = with_room_for(every.num_rows - 1)
    some, said = watched_rows(features, None, bundle, problem)
    assert 0.3 < some.num_rows / every.num_rows < 0.7
    assert said == (
        f" These are figures of a seeded sample of 50 % of the {problem.decision.plural} (training.rows_in_memory)."
    )
    again, _ = watched_rows(features, None, bundle, with_room_for(every.num_rows // 2 + 1))
    assert again.equals(some)
    whole = watch_performance(features, None, bundle, problem)
    assert all(reason.endswith(said) for reason in whole.performance_verdicts["reason"].to_pylist())
    time = problem.decision.time
    later = features.mutate(**{time: features[time] + ibis.interval(days=400)})
    all_of_them = compare(bundle, bundle, later, with_room_for(1_000_000))
    half = compare(bundle, bundle, later, with_room_for(all_of_them.rows - 1))
    assert 0.3 < half.rows / all_of_them.rows < 0.7
    assert half.reason.endswith(said)
    assert all_of_them.reason.endswith("it is not significantly worse.")


def test_small_days_are_tested_together_once_they_are_enough(house: OtherHouse, bundle: Bundle, tmp_path: Path) -> None:
    lake, plural = house.lake, house.problem.decision.plural
    landed = lake.read(LANDED_DAYS)
    known = {row["day"]: row for row in landed.to_pyarrow().to_pylist()}
    ends = last_of_reference(metadata_of(bundle))
    first, second = sorted(day for day, row in known.items() if row["decisions"] and day > ends)[:2]
    together = known[first]["decisions"] + known[second]["decisions"]
    found = check_days(
        [first, second], lake.engine, features=lake.read(house.problem.features_table),
        prediction_log=lake.read("prediction_log"), landed=landed, champion=bundle,
        problem=small(house.problem, together), scratch=tmp_path, reports=house.home.drift_reports(house.problem.key),
    )  # fmt: skip
    waits, tested = (verdict_of(found[day].table) for day in (first, second))
    assert (waits["level"], waits["rows"]) == ("too_few", known[first]["decisions"])
    assert f"{waits['rows']:,} {plural}, which are tested once they are {together:,}; at the usual" in waits["reason"]
    assert tested["level"] != "too_few"
    days = (second - first).days + 1
    assert (tested["rows"], tested["window_days"]) == (together, days)
    assert tested["reason"].startswith(f"{days} days together, from {first}: ")


def verdict_of(drift: pa.Table) -> dict[str, Any]:
    """The verdict on a day's decisions."""
    (row,) = [row for row in drift.to_pylist() if row["column"] == WHOLE_DAY]
    return row


def test_triggers_and_scores_are_due_by_the_events_that_decide(house: OtherHouse) -> None:
    home, lake, problem = house.home, house.lake, house.problem
    days: dict[date, Any] = {row["day"]: row for row in lake.read_arrow(LANDED_DAYS).to_pylist()}
    newest = max(day for day, row in days.items() if row["rows"])
    known = trigger_state(home, lake, problem, ticks_of(home, problem))
    assert known.newest == newest
    matured = [row for row in days.values() if row["decisions"] and row["matured"] == row["decisions"]]
    ended = {day for day, row in days.items() if row["decisions"] and newest - day > problem.label.window}
    assert ended <= {row["day"] for row in matured}
    assert known.new_matured == sum(row["known"] for row in matured), "nothing was trained by an asset"
    assert f"{problem.decision.plural} have matured, with a known outcome, so far" in daily(known, problem).reason
    due = scores_due(home, lake, problem, datetime(2030, 1, 1, tzinfo=UTC))
    assert due is not None
    assert due[0] == (newest + timedelta(days=1)).isoformat()
    asked = days_to_check(home, lake, problem, today=newest + timedelta(days=2))
    if not problem.decision.is_event:
        assert all(days[day]["decisions"] for day in asked)
    labels = lake.read_arrow(problem.features_table)[problem.label.column]
    assert pc.count(labels, mode="only_null").as_py() > 0
    assert pa.types.is_integer(labels.type)
