"""The send plan: what is chosen, how, and that the propensities it states are those with which it chooses."""

from datetime import date, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from mlguide_assets.define.policies import Exploration, Policies
from mlguide_assets.deploy.batch import best_choices
from mlguide_assets.deploy.plan import choices
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.statistics.draws import draw_index, draw_share
from mlguide_assets_tests.deploy.plans import DAY, NOW, PLAN, THRESHOLD, predictions_of
from mlguide_assets_tests.train.sends import PROBLEM

USERS = 2000
CHAMPION_ONLY = Policies(champion=1.0)
RISKS = (0.01, 0.03, 0.02, 0.09, 0.035)
"""Of the emails 1 to 5; the fourth is too risky to send."""

GOLDEN_PLAN = [
    *[(4, "best", 3), (6, "best", 1), (2, "best", 2), (3, "best", 4), (2, "best", 1), (2, "explore", 3)],
    *[(6, "best", 3), (5, "best", 3), (6, "best", 3), (6, "best", 5), (3, "best", 4), (4, "best", 3)],
]
"""Email, choice and candidates of the first users."""


def plan(predictions: pa.Table, *, day: date = DAY, **exploration: Any) -> pa.Table:
    settings = Choosing(PROBLEM.decision, Exploration(**{"share": 0.2, **exploration}), CHAMPION_ONLY)
    return plan_choices(ibis.memtable(predictions), settings, day=day, planned_at=NOW, run_id="run 1").read_all()


@pytest.fixture(scope="module")
def alike() -> pa.Table:
    """Every user has the same risks, so that each is one more draw of the same plan."""
    return predictions_of(np.tile(RISKS, (USERS, 1)))


@pytest.fixture(scope="module")
def various() -> pa.Table:
    return predictions_of(np.random.default_rng(0).uniform(0, 2 * THRESHOLD, (500, 6)))


def test_a_golden_plan(various: pa.Table) -> None:
    first = plan(various).slice(0, len(GOLDEN_PLAN))
    rows = zip(*(first[name].to_pylist() for name in ("email_id", "choice", "candidates")), strict=True)
    assert list(rows) == GOLDEN_PLAN


def test_the_draw_is_the_one_that_is_documented(various: pa.Table) -> None:
    candidates: dict[int, list[int]] = {}
    for row in various.to_pylist():
        candidates.setdefault(row["user_id"], []).extend([row["email_id"]] if row["decision"] == "send" else [])
    explored = [row for row in plan(various).to_pylist() if row["choice"] == "explore"]
    assert len(explored) > 50
    for row in explored:
        user, emails = row["user_id"], sorted(candidates[row["user_id"]])
        assert draw_share(f"exploration/explore:{DAY}", user) < 0.2
        assert row["email_id"] == emails[draw_index(f"exploration/which:{DAY}", user, len(emails))]


def test_every_user_has_one_row_that_says_by_what_and_for_when(various: pa.Table) -> None:
    planned = plan(various)
    assert planned.schema.equals(PLAN)
    assert planned["user_id"].to_pylist() == list(range(1, 501))
    assert {name for name in PLAN.names if planned[name].null_count} == {"experiment", "arm"}
    same = {
        "scoring_date": DAY,
        "exploration_share": 0.2,
        "salt": "exploration",
        "model_version": "7",
        "policy": "champion",
    }
    for name, value in {**same, "planned_at": NOW, "run_id": "run 1"}.items():
        assert planned[name].unique().to_pylist() == [value], name


def test_each_row_states_the_probability_and_the_decision_that_its_email_has(various: pa.Table) -> None:
    said = {(row["user_id"], row["email_id"]): row for row in various.to_pylist()}
    for row in plan(various).to_pylist():
        assert row["probability"] == said[row["user_id"], row["email_id"]]["probability"]
        assert row["decision"] == said[row["user_id"], row["email_id"]]["decision"]
        assert row["best_probability"] == min(said[row["user_id"], email]["probability"] for email in range(1, 7))


def test_without_exploration_it_is_the_best_email_for_certain(various: pa.Table) -> None:
    planned, best = plan(various, share=0.0), best_choices(ibis.memtable(various), PROBLEM).to_pyarrow()
    for name in ("user_id", "email_id", "probability", "decision"):
        assert planned[name].equals(best[name]), name
    assert planned["propensity"].unique().to_pylist() == [1.0]
    assert planned["choice"].unique().to_pylist() == ["best"]


@pytest.mark.parametrize("share", [0.05, 0.5, 1 / 3])
def test_propensities_are_the_frequencies_of_the_actions_and_sum_to_one(alike: pa.Table, share: float) -> None:
    planned = plan(alike, share=share)
    stated = set(zip(planned["email_id"].to_pylist(), planned["propensity"].to_pylist(), strict=True))
    propensity = dict(stated)
    assert set(propensity) == {1, 2, 3, 5}
    assert len(stated) == 4
    assert sum(propensity.values()) == pytest.approx(1, abs=1e-12)
    assert propensity[1] == pytest.approx(1 - share + share / 4)
    for email, probability in propensity.items():
        low, high = binom.interval(1 - 1e-6, USERS, probability)
        assert low <= planned["email_id"].to_pylist().count(email) <= high


def test_the_share_that_is_explored_is_the_share_asked_for_on_every_day(alike: pa.Table) -> None:
    days = [plan(alike, day=DAY + timedelta(days=offset), share=0.1) for offset in range(5)]
    explored = np.array([np.array(day["choice"].to_pylist()) == "explore" for day in days])
    low, high = binom.interval(1 - 1e-6, USERS, 0.1)
    assert ((low <= explored.sum(axis=1)) & (explored.sum(axis=1) <= high)).all()
    # Another day draws other users: whoever is drawn twice is so by chance.
    low, high = binom.interval(1 - 1e-6, USERS, 0.01)
    assert low <= (explored[0] & explored[1]).sum() <= high


def test_the_same_day_is_planned_the_same_again_and_another_salt_otherwise(various: pa.Table) -> None:
    assert plan(various).equals(plan(various))
    other = plan(various, salt="other")
    assert not other["choice"].equals(plan(various)["choice"])


def test_a_user_for_whom_every_email_is_too_risky_is_sent_nothing_for_certain() -> None:
    planned = plan(predictions_of(np.full((300, 4), THRESHOLD)), share=0.9)
    assert planned["decision"].unique().to_pylist() == ["withhold"]
    assert planned["choice"].unique().to_pylist() == ["best"]
    assert planned["propensity"].unique().to_pylist() == [1.0]
    assert planned["candidates"].unique().to_pylist() == [0]


@pytest.mark.parametrize("risks", [[0.01], [0.01, 0.09, 0.08]])
def test_where_one_email_may_be_sent_it_is_sent_for_certain(risks: list[float]) -> None:
    planned = plan(predictions_of(np.tile(risks, (300, 1))), share=0.3)
    assert planned["email_id"].unique().to_pylist() == [1]
    assert planned["propensity"].unique().to_pylist() == [1.0]
    assert set(planned["choice"].to_pylist()) == {"best", "explore"}


@pytest.mark.parametrize("at_once", [1, 3])
def test_slices_and_the_order_of_the_rows_do_not_matter(
    various: pa.Table, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = various.slice(0, 7 * 6)
    whole = plan(few)
    monkeypatch.setattr(choices, "PAIRS_AT_ONCE", 6 * at_once)
    shuffled = few.take(np.random.default_rng(1).permutation(few.num_rows))
    assert plan(shuffled).equals(whole)


def test_without_predictions_the_plan_is_empty(various: pa.Table) -> None:
    nothing = plan(various.slice(0, 0))
    assert nothing.num_rows == 0
    assert nothing.schema.equals(PLAN)
