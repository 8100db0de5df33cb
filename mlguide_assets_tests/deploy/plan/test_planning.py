"""Plans in the lake: one that may have chosen sends is never replaced, and a false propensity is noticed."""

import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.policies import Exploration
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.plan.figures import check_plan, plan_figures
from mlguide_assets.deploy.plan.planning import Planned, plan_day
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.deploy.plans import DAY, NOW, PLAN, THRESHOLD, predictions_of
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.train.sends import PROBLEM, replaced

EXPLORING = PROBLEM.model_copy(update={"exploration": Exploration(share=0.25)})
MORNING = datetime(DAY.year, DAY.month, DAY.day, 9)
LATER = MORNING + timedelta(days=3)

RISKS = np.random.default_rng(0).uniform(0, 1.5 * THRESHOLD, (400, 5))
FIRST, SECOND = predictions_of(RISKS, version="1"), predictions_of(RISKS[:, ::-1], version="2")


def planned(
    lake: Lake, predictions: pa.Table, now: datetime, problem: Problem = EXPLORING, run_id: str = "run"
) -> Planned:
    return plan_day(lake, ibis.memtable(predictions), problem, day=DAY, now=now, run_id=run_id)


def stored(lake: Lake) -> pa.Table:
    return lake.read_arrow(SEND_PLAN, [DAY.isoformat()])


def version(lake: Lake) -> list[Any]:
    versions: list[Any] = stored(lake)["model_version"].unique().to_pylist()
    return versions


def test_until_its_day_begins_a_plan_follows_the_champion(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert planned(lake, FIRST, NOW).kept is None
    assert planned(lake, SECOND, NOW).kept is None
    assert version(lake) == ["2"]


def test_once_its_day_has_begun_a_plan_stands_and_says_so(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    planned(lake, FIRST, NOW)
    before = stored(lake)
    for now in (datetime.combine(DAY, datetime.min.time()), MORNING, LATER):
        again = planned(lake, SECOND, now)
        assert again.kept == (
            "The plan that model version 1 made at 2024-04-19 22:30 stands: 2024-04-20 has begun, and it may have "
            "been followed."
        )
        assert again.snapshot == lake.snapshot(SEND_PLAN)
    assert stored(lake).equals(before)


def test_neither_another_share_nor_a_lost_champion_touches_a_plan_that_stands(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    planned(lake, FIRST, MORNING)
    before = stored(lake)
    planned(lake, FIRST, MORNING, PROBLEM)
    planned(lake, FIRST.slice(0, 0), LATER)
    assert stored(lake).equals(before)


def test_a_plan_that_was_made_after_its_day_chose_nothing_and_may_be_replaced(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    planned(lake, FIRST, LATER)
    assert planned(lake, SECOND, LATER).kept is None
    assert version(lake) == ["2"]


def test_an_empty_plan_stands_in_nobodys_way(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    assert planned(lake, FIRST.slice(0, 0), MORNING).snapshot.rows == 0
    assert stored(lake).schema.equals(PLAN)
    assert planned(lake, SECOND, MORNING).kept is None
    assert version(lake) == ["2"]


def test_planning_again_changes_nothing_and_no_other_day(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    first = planned(lake, FIRST, NOW).snapshot
    assert planned(lake, FIRST, NOW).snapshot == first
    tomorrow = DAY + timedelta(days=1)
    other = plan_day(lake, ibis.memtable(FIRST), EXPLORING, day=tomorrow, now=MORNING, run_id="run").snapshot
    assert other.partitions[DAY.isoformat()] == first.partitions[DAY.isoformat()]
    assert set(other.partitions) == {DAY.isoformat(), tomorrow.isoformat()}


def test_another_run_makes_the_same_choices(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    planned(lake, FIRST, NOW)
    before = stored(lake)
    planned(lake, FIRST, NOW + timedelta(minutes=5), run_id="another")
    assert not stored(lake)["run_id"].equals(before["run_id"])
    changing = ["run_id", "planned_at"]
    assert stored(lake).drop_columns(changing).equals(before.drop_columns(changing))


def test_of_two_that_plan_a_day_at_once_one_stands_and_the_other_says_so(tmp_path: Path) -> None:
    results: list[Planned] = []

    def plan(predictions: pa.Table) -> None:
        lake = Lake(tmp_path)
        lake.write(f"predictions_{predictions['model_version'][0]}", predictions)
        read = lake.read(f"predictions_{predictions['model_version'][0]}")
        results.append(plan_day(lake, read, EXPLORING, day=DAY, now=MORNING, run_id="run"))

    threads = [threading.Thread(target=plan, args=(predictions,)) for predictions in (FIRST, SECOND)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(result.kept is None for result in results) == [False, True]
    (standing,) = version(Lake(tmp_path))
    (message,) = [result.kept for result in results if result.kept]
    assert f"model version {standing} " in message


def rows_of(*changes: dict[str, Any], users: int = 1) -> pa.Table:
    """A plan of the champion's with some values replaced, row by row."""
    row = {
        "decision": "send",
        "policy": "champion",
        "choice": "best",
        "probability": 0.01,
        "best_probability": 0.01,
        "candidates": 2,
        "offered": 4,
        "exploration_share": 0.25,
        "propensity": 0.875,
        "policy_shares": {"generic": 0.0, "champion": 1.0, "challenger": 0.0, "random": 0.0},
        "policy_propensities": {"generic": 0.0, "champion": 0.875, "challenger": 0.875, "random": 0.25},
    }
    return pa.Table.from_pylist([row | change for change in changes] * users)


def test_figures_count_users_and_price_what_is_drawn() -> None:
    other = {"generic": 0.0, "champion": 0.125, "challenger": 0.125, "random": 0.25}
    none = {"generic": 0.0, "champion": 1.0, "challenger": 1.0, "random": 0.0}
    plan = rows_of(
        {},
        {"choice": "explore", "probability": 0.03, "propensity": 0.125, "policy_propensities": other},
        {"choice": "explore", "probability": 0.02, "best_probability": 0.02},
        {"decision": "withhold", "probability": 0.2, "candidates": 0, "propensity": 1.0, "policy_propensities": none},
    )
    figures = plan_figures(ibis.memtable(plan), PROBLEM)
    assert (figures.best, figures.explored, figures.withheld, figures.inexact) == (1, 2, 1, 0)
    assert figures.followers["champion"].units == 4
    assert figures.expected_lost_best == pytest.approx(0.01)
    assert figures.expected_lost_explore == pytest.approx(0.05)
    assert figures.exploration_cost == pytest.approx(0.02 * 12)
    assert figures.share_explored == pytest.approx(2 / 3)


@pytest.mark.parametrize("share", [0.0, 0.25, 1 / 3, 0.123456789012345678])
def test_a_plan_as_it_was_made_is_exact(tmp_path: Path, share: float) -> None:
    lake = Lake(tmp_path)
    problem = PROBLEM.model_copy(update={"exploration": Exploration(share=share)})
    planned(lake, FIRST, NOW, problem)
    assert stored(lake)["exploration_share"].unique().to_pylist() == [share]
    verdict = check_plan(plan_figures(ibis.memtable(stored(lake)), problem))
    assert verdict.exact, verdict.sentence


@pytest.mark.parametrize("wrong", [0.0, 1.1, 0.5, -0.1])
def test_a_false_propensity_is_noticed(tmp_path: Path, wrong: float) -> None:
    lake = Lake(tmp_path)
    planned(lake, FIRST, NOW)
    plan = stored(lake)
    false = replaced(plan, "propensity", [wrong, *plan["propensity"].to_pylist()[1:]])
    verdict = check_plan(plan_figures(ibis.memtable(false), EXPLORING))
    assert not verdict.exact
    assert verdict.sentence.startswith("1 row has a propensity")


def test_another_share_than_was_asked_for_is_noticed() -> None:
    four = {"generic": 0.0, "champion": 0.8125, "challenger": 0.8125, "random": 0.25}
    greedy = rows_of({"candidates": 4, "propensity": 0.8125, "policy_propensities": four}, users=1000)
    verdict = check_plan(plan_figures(ibis.memtable(greedy), EXPLORING))
    assert not verdict.exact
    assert verdict.sentence.startswith("0 of 1,000 units are explored; a share of 0.25 explains 1")


def test_a_policy_that_another_share_of_the_users_follows_is_noticed() -> None:
    shares = {"generic": 0.5, "champion": 0.5, "challenger": 0.0, "random": 0.0}
    plan = rows_of({"policy_shares": shares, "propensity": 0.875 / 2}, users=1000)
    plan = replaced(plan, "choice", ["explore" if row % 4 == 0 else "best" for row in range(1000)])
    verdict = check_plan(plan_figures(ibis.memtable(plan), EXPLORING))
    assert not verdict.exact
    assert "0 of 1,000 units follow the policy generic; its share explains 4" in verdict.sentence


def test_an_empty_plan_is_exact_and_costs_nothing() -> None:
    figures = plan_figures(ibis.memtable(PLAN.empty_table()), PROBLEM)
    assert (figures.explored, figures.exploration_cost, figures.share_explored) == (0, 0, 0)
    assert figures.followers["champion"].units == 0
    assert check_plan(figures).exact
