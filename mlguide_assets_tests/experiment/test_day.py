"""The days of an experiment in a home: it starts, assigns, exposes, is looked at, and ends; without one, nothing is."""

from datetime import date, datetime, time, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import SimulatorSource
from mlguide_assets.deploy.bundle import CHAMPION, pointer_path
from mlguide_assets.deploy.gate.recorded_criteria import recorded_criteria
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS, assigned_schema, assigned_units
from mlguide_assets.deploy.routing import read_routes
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import tables_of_actions
from mlguide_assets.experiment.assignment import route_of
from mlguide_assets.experiment.day import assign_day, expose_day, look_day
from mlguide_assets.experiment.ledger import end, experiments, find, results, running
from mlguide_assets.experiment.starting import check_named, start_from_file, start_named
from mlguide_assets.experiment.tables import EXPERIMENTS, EXPOSURES
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM, text
from mlguide_assets_tests.experiment.worlds import DAY, UNITS, history, home_with_champion, plan, profiles, started
from mlguide_assets_tests.samples import sample_problem


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return home_with_champion(tmp_path)


def lake_of(home: Home) -> Lake:
    return Lake(home.lake(PROBLEM.key))


def named(tmp_path: Path, content: str, **changes: Any) -> Problem:
    path = tmp_path / "named.yaml"
    path.write_text(content)
    return sample_problem("nowhere", experiment={"file": str(path)}, **changes)


def assign(home: Home, day: date, problem: Problem = PROBLEM) -> tuple[Any, list[str]]:
    said: list[str] = []
    return assign_day(home, lake_of(home), problem, day, report=said.append), said


def look(home: Home, rows: pa.Table) -> Any:
    lake = lake_of(home)
    lake.write("user_emails", rows)
    tables = tables_of_actions(lake, PROBLEM)
    return look_day(home, lake, PROBLEM, tables=tables, run_id="run")


def test_without_an_experiment_nothing_is_written(home: Home) -> None:
    before = set(home.root.rglob("*"))
    assert assign(home, DAY) == (None, [])
    assert expose_day(lake_of(home), PROBLEM, DAY, report=pytest.fail) == 0
    found = look_day(home, lake_of(home), PROBLEM, tables={}, run_id="run")
    assert (found.running, found.faults, found.pictures) == (0, (), {})
    assert set(home.root.rglob("*")) == before


def test_units_are_assigned_exposed_and_looked_at_until_the_verdict_is_a_criterion_of_the_gate(home: Home) -> None:
    lake = lake_of(home)
    started(lake, planned=UNITS, ramp="[{share: 1}]")
    (assigned, said) = assign(home, DAY)
    assert (assigned.running, said) == (("fewer_losses, version 1",), [])
    rows = assigned_units(lake, DAY)
    assert rows is not None
    arms = dict(zip(*(rows.to_pyarrow()[name].to_pylist() for name in ("unit_id", "arm")), strict=True))
    # Not unit 1, who is too young, and not those who are lost already.
    assert set(arms) == set(range(2, UNITS + 1)) - set(range(3, UNITS + 1, 20))
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({**dict(arms), 1: None}))
    assert expose_day(lake, PROBLEM, DAY, report=pytest.fail) == len(arms)
    assert expose_day(lake, PROBLEM, DAY, report=pytest.fail) == 0
    lost = {"generic": 10, "personal": 4}
    made = [(unit, 0.1 + unit % 5 / 10, unit % 97 < lost[arm]) for unit, arm in arms.items()]
    # On the first day of a look the data have just reached it.
    assert look(home, history(*made, (1, 20.0, False))).verdicts == "no look was due"
    found = look(home, history(*made, *((unit, 21.0, False) for unit in range(1, 400))))
    assert found.verdicts == "fewer_losses, look 1: ship"
    assert (found.running, found.faults, list(found.pictures)) == (0, (), ["experiment-fewer_losses"])
    (criterion,) = recorded_criteria(lake, "7")
    (row,) = results(lake)
    assert (criterion.criterion, criterion.passed, criterion.value) == ("experiment", True, row["ratio"])
    assert find(lake, "fewer_losses").state == "finished"
    assert assign(home, DAY + timedelta(days=30))[0] is None


def test_units_of_an_experiment_that_was_stopped_are_assigned_no_more(home: Home) -> None:
    lake = lake_of(home)
    started(lake)
    assert assign(home, DAY)[0].snapshot.rows > 0
    end(lake, "fewer_losses", reason="enough", who="me")
    assert assign(home, DAY)[0].snapshot.rows == 0
    assert lake.read_arrow(ASSIGNMENTS).schema.equals(assigned_schema(pa.int64()))
    assert assign(home, DAY + timedelta(days=1)) == (None, [])


def test_a_unit_stays_in_its_arm_where_it_is_no_longer_eligible(home: Home) -> None:
    lake = lake_of(home)
    started(lake, ramp="[{share: 1}]")
    assign(home, DAY)
    rows = lake.read_arrow(ASSIGNMENTS).to_pylist()
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({row["unit_id"]: row["arm"] for row in rows}))
    expose_day(lake, PROBLEM, DAY, report=pytest.fail)
    lake.write("user_profiles", profiles(UNITS, age=[10] * UNITS))
    assign(home, DAY + timedelta(days=1))
    later = lake.read_arrow(ASSIGNMENTS, [(DAY + timedelta(days=1)).isoformat()]).to_pylist()
    assert sorted(later, key=lambda row: row["unit_id"]) == sorted(rows, key=lambda row: row["unit_id"])


def test_days_go_on_where_an_earlier_version_started_what_cannot_be_computed(home: Home) -> None:
    lake = lake_of(home)
    started(lake)
    row = lake.read_arrow(EXPERIMENTS).to_pylist()[0]
    lost = {"experiment": "lost", "content": text(name="lost", looks="[28d, 4000000d]")}
    lake.append(EXPERIMENTS, pa.Table.from_pylist([row | lost]))
    assigned, said = assign(home, DAY)
    assert assigned.running == ("fewer_losses, version 1",)
    assert ["lost, version 1 assigns no unit" in each for each in said] == [True]
    assert ["ten years at most" in each for each in look(home, history()).faults] == [True]


def test_two_experiments_share_the_units_of_a_group(home: Home) -> None:
    lake = lake_of(home)
    started(lake, ramp="[{share: 1}]", exclusion="{first: 0, last: 0.5}")
    started(lake, ramp="[{share: 1}]", exclusion="{first: 0.5, last: 1}", name="other")
    assign(home, DAY)
    # It refuses a unit with two rows.
    rows = assigned_units(lake, DAY)
    assert rows is not None
    counts = rows.group_by("experiment").agg(units=rows.count()).to_pyarrow()["units"].to_pylist()
    assert len(counts) == 2
    assert sum(counts) == UNITS - 1 - UNITS // 20


def test_the_experiment_of_the_problem_file_starts_by_itself_once(home: Home, tmp_path: Path) -> None:
    problem = named(tmp_path, text().replace("start: 2024-03-01\n", ""))
    lake = lake_of(home)
    pointer = pointer_path(home.bundles(problem.key), CHAMPION)
    content = pointer.read_text()
    pointer.unlink()
    assert start_named(home, lake, problem, DAY) is None
    pointer.write_text(content)
    # A day that is scored afterwards.
    assert start_named(home, lake, problem, DAY - timedelta(days=2)) is None
    assigned, said = assign(home, DAY, problem)
    assert said == []
    assert assigned.running == ("fewer_losses, version 1",)
    (begun,) = experiments(lake)
    assert (begun.start, begun.who, begun.reason) == (DAY, "problem file", problem.hypothesis)
    assert start_named(home, lake, problem, DAY + timedelta(days=1)) is None
    end(lake, "fewer_losses", reason="enough", who="me")
    assert start_named(home, lake, problem, DAY + timedelta(days=2)) is None


def test_a_world_that_stands_still_starts_none(home: Home) -> None:
    still = PROBLEM.model_copy(
        update={"source": SimulatorSource(), "experiment": PROBLEM.experiment.model_copy(update={"file": "x.yaml"})}
    )
    assert start_named(home, lake_of(home), still, DAY) is None


def test_a_named_file_that_was_changed_is_refused_and_the_day_is_planned_all_the_same(
    home: Home, tmp_path: Path
) -> None:
    problem = named(tmp_path, text())
    assert assign(home, DAY, problem)[0].running
    (tmp_path / "named.yaml").write_text(text(alpha="0.01"))
    with pytest.raises(InputError, match="a change is a new version; write version: 2"):
        check_named(lake_of(home), problem)
    assigned, (said,) = assign(home, DAY, problem)
    assert assigned.running == ("fewer_losses, version 1",)
    assert "a change is a new version" in said


REFUSED = {
    "no champion": ({}, "An arm follows the champion, and there is none yet"),
    "no challenger": (
        {
            "arms": "[{name: generic, policy: champion, weight: 0.5}, {name: new, policy: challenger, weight: 0.5}]",
        },
        "An arm follows the challenger, and there is none",
    ),
    "nobody": ({"eligibility": "[{column: age, min: 99}]"}, "no unit is eligible"),
    "window longer than the data": ({"outcome_window": "60d", "looks": "[70d]"}, "the data span 30 days"),
    "start that is over": ({"start": "2024-02-29"}, "is over, since 2024-03-01 is the first day"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_cannot_be_started_is_one_sentence_and_changes_nothing(case: str, home: Home, tmp_path: Path) -> None:
    changes, sentence = REFUSED[case]
    if case == "no champion":
        pointer_path(home.bundles(PROBLEM.key), CHAMPION).unlink()
    path = tmp_path / "experiment.yaml"
    path.write_text(text(**changes))
    with pytest.raises(InputError, match=sentence):
        start_from_file(home, lake_of(home), PROBLEM, str(path), who="me")
    assert not lake_of(home).exists(EXPERIMENTS)


def test_a_file_starts_on_the_day_after_the_last_that_is_planned(home: Home, tmp_path: Path) -> None:
    path = tmp_path / "experiment.yaml"
    path.write_text(text().replace("start: 2024-03-01\n", ""))
    begun = start_from_file(home, lake_of(home), PROBLEM, str(path), who="me", reason="curious")
    assert (begun.start, begun.reason) == (DAY, "curious")
    # Those that are there, and nobody new.
    assert begun.planned_units == UNITS - 1 - UNITS // 20


def test_broken_exposure_is_seen_on_the_first_day(home: Home) -> None:
    lake = lake_of(home)
    started(lake, ramp="[{share: 1}]")
    arms = {unit: "generic" if unit % 5 < 2 else "personal" for unit in range(1, UNITS + 1)}
    lake.write_partition(SEND_PLAN, DAY.isoformat(), plan({**arms}))
    expose_day(lake, PROBLEM, DAY, report=pytest.fail)
    lake.write_partition(
        SEND_PLAN, (DAY + timedelta(days=1)).isoformat(), plan({1: "personal"}, DAY + timedelta(days=1))
    )
    expose_day(lake, PROBLEM, DAY + timedelta(days=1), report=pytest.fail)
    assert lake.snapshot(EXPOSURES).rows == UNITS + 1
    found = look(home, history((1, 2.0, False)))
    assert len(found.faults) == 2
    assert "of 1,600 units, 50.00% were planned" in found.faults[0]
    assert "1 unit was seen in more than one variant" in found.faults[1]
    assert running(lake)


def test_exposures_of_a_day_whose_run_was_killed_after_its_plan_are_recorded_by_the_next(home: Home) -> None:
    lake = lake_of(home)
    started(lake, ramp="[{share: 1}]")
    days = [DAY + timedelta(days=number) for number in range(4)]
    # Unit 2 is lost on the day whose run was killed, unit 4 is new after it.
    met = [{1: "generic"}, {1: "generic", 2: "personal", 3: "generic"}, {1: "generic", 3: "generic"}, {4: "personal"}]
    for day, arms in zip(days, met, strict=True):
        lake.write_partition(SEND_PLAN, day.isoformat(), plan({**arms}, day))
    added = [expose_day(lake, PROBLEM, day, report=pytest.fail) for day in (days[0], days[2], days[2], days[3])]
    assert added == [1, 2, 0, 1]
    rows = lake.read_arrow(EXPOSURES).to_pylist()
    found = {row["unit_id"]: (row["arm"], row["exposed_at"].date()) for row in rows}
    assert found == {
        1: ("generic", days[0]),
        2: ("personal", days[1]),
        3: ("generic", days[1]),
        4: ("personal", days[3]),
    }


def test_whichever_met_a_unit_first_counts_the_plan_or_the_api(home: Home) -> None:
    lake = lake_of(home)
    started(lake, ramp="[{share: 1}]")
    # The API answered on a day that was not planned.
    schema, at = log_schema(PROBLEM.decision), datetime.combine(DAY, time(9))
    met = {"experiment": "fewer_losses", "experiment_version": 1, "arm": "personal", "model_version": "7"}
    row = {"request_id": "r", "endpoint": "recommend", "variant": "champion", "answered_at": at, "user_id": 2}
    lake.write_partition(
        PREDICTION_LOG,
        DAY.isoformat(),
        pa.Table.from_pylist([dict.fromkeys(schema.names) | row | met], schema=schema),
    )
    later = DAY + timedelta(days=1)
    lake.write_partition(SEND_PLAN, later.isoformat(), plan({2: "personal", 3: "personal"}, later))
    assert expose_day(lake, PROBLEM, later, report=pytest.fail) == 2
    found = {row["unit_id"]: (row["origin"], row["exposed_at"]) for row in lake.read_arrow(EXPOSURES).to_pylist()}
    assert found == {2: ("api", at), 3: ("plan", datetime.combine(later, time()))}


def test_an_experiment_that_the_problem_file_no_longer_fits_is_a_fault(home: Home) -> None:
    lake = lake_of(home)
    started(lake)
    values = PROBLEM.model_dump(mode="json", by_alias=True, exclude_none=True)
    values["tables"]["user_profiles"]["columns"]["age"] = {"kind": "category"}
    tables = tables_of_actions(lake, PROBLEM)
    found = look_day(home, lake, Problem.model_validate(values), tables=tables, run_id="run")
    (fault,) = found.faults
    assert fault.startswith("fewer_losses, version 1, no longer fits the problem file: eligibility.0: 'age' holds no")


def test_servers_follow_the_experiments_of_the_newest_day(home: Home) -> None:
    lake, bundles = lake_of(home), home.bundles(PROBLEM.key)
    begun = started(lake)
    assign(home, DAY)
    assert read_routes(bundles) == (route_of(begun.experiment, 0.1),)
    later = DAY + timedelta(days=2)
    lake.write_partition(SEND_PLAN, later.isoformat(), plan({}, later))
    assign(home, later)
    assert read_routes(bundles) == (route_of(begun.experiment, 1.0),)
    # An earlier day is scored again.
    assign(home, DAY)
    assert read_routes(bundles) == (route_of(begun.experiment, 1.0),)
    end(lake, "fewer_losses", reason="enough", who="me")
    assign(home, later)
    assert read_routes(bundles) == ()


def test_an_experiment_on_the_challenger_is_followed_where_there_is_one(home: Home) -> None:
    arms = "[{name: generic, policy: champion, weight: 0.5}, {name: new, policy: challenger, weight: 0.5}]"
    started(lake_of(home), arms=arms)
    assert assign(home, DAY)[0].running
    (route,) = read_routes(home.bundles(PROBLEM.key))
    assert route.is_served_by("7", "8")
    assert not route.is_served_by("7", None)
