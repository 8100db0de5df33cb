"""Policies of the send plan: who follows which, what each does, and that the propensities of a mixture are exact."""

from collections import Counter
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
from scipy.stats import binom

from mlguide_assets.define.policies import POLICIES, Exploration, Policies
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.deploy.plan.figures import check_plan, plan_figures
from mlguide_assets.deploy.plan.planning import plan_day
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS, assigned_schema, assigned_units
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.deploy.plans import DAY, EVERYTHING, NOW, arms, predictions_of
from mlguide_assets_tests.train.sends import PROBLEM

USERS = 4000
RISKS = (0.01, 0.03, 0.02, 0.09, 0.035)
"""Of the emails 1 to 5; the champion holds the fourth to be too risky."""
OTHER_RISKS = (0.05, 0.01, 0.02, 0.03, 0.06)
"""The challenger's: it would send the emails 2 to 4, best the second."""
SHARE = 0.2
GOLDEN = ["champion", "random", "generic", "champion", "champion", "champion"]

CHAMPION, CHALLENGER = (
    predictions_of(np.tile(RISKS, (USERS, 1))),
    predictions_of(np.tile(OTHER_RISKS, (USERS, 1)), version="8"),
)


def plan(
    policies: Policies,
    *,
    champion: pa.Table = CHAMPION,
    challenger: pa.Table | None = CHALLENGER,
    assigned: pa.Table | None = None,
    day: date = DAY,
    salt: str = "exploration",
) -> pa.Table:
    choosing = Choosing(
        PROBLEM.decision,
        Exploration(share=SHARE, salt=salt),
        policies,
        None if assigned is None else ibis.memtable(assigned),
        None if challenger is None else ibis.memtable(challenger),
    )
    return plan_choices(ibis.memtable(champion), choosing, day=day, planned_at=NOW, run_id="run").read_all()


def verdict(planned: pa.Table) -> tuple[bool, str]:
    found = check_plan(plan_figures(ibis.memtable(planned), PROBLEM))
    return found.exact, found.sentence


def within_chance(count: int, of: int, probability: float) -> bool:
    low, high = binom.interval(1 - 1e-6, of, probability)
    return bool(low <= count <= high)


def test_a_user_stays_with_a_policy_and_as_many_follow_each_as_asked() -> None:
    today, later = plan(EVERYTHING), plan(EVERYTHING, day=DAY + timedelta(days=40))
    assert today["policy"].equals(later["policy"])
    assert not today["policy"].equals(plan(EVERYTHING, salt="other")["policy"])
    counts = Counter(today["policy"].to_pylist())
    assert all(within_chance(counts[policy], USERS, share) for policy, share in EVERYTHING.shares.items())
    # Golden: no upgrade may move a user.
    assert today["policy"].to_pylist()[:6] == GOLDEN


def test_the_propensities_of_a_mixture_are_the_frequencies_of_its_actions_and_sum_to_one() -> None:
    planned = plan(EVERYTHING)
    stated = set(zip(planned["email_id"].to_pylist(), planned["propensity"].to_pylist(), strict=True))
    propensity = dict(stated)
    assert len(stated) == len(propensity) == 5
    assert sum(propensity.values()) == pytest.approx(1, abs=1e-12)
    for email, probability in propensity.items():
        assert within_chance(planned["email_id"].to_pylist().count(email), USERS, probability)
    (generic,) = planned.filter(pa.compute.equal(planned["policy"], "generic"))["email_id"].unique().to_pylist()
    expected = {
        1: 0.5 * (1 - SHARE * 3 / 4) + 0.15 / 5,
        2: 0.5 * SHARE / 4 + 0.25 * (1 - SHARE * 2 / 3) + 0.15 / 5,
        3: 0.5 * SHARE / 4 + 0.25 * SHARE / 3 + 0.15 / 5,
        4: 0.25 * SHARE / 3 + 0.15 / 5,
        5: 0.5 * SHARE / 4 + 0.15 / 5,
    }
    assert propensity == pytest.approx({email: p + 0.1 * (email == generic) for email, p in expected.items()})
    assert planned["supported"].unique().to_pylist() == [5]
    assert verdict(planned)[0], verdict(planned)


def test_each_policy_does_what_it_says() -> None:
    planned = plan(EVERYTHING).to_pandas()
    by = dict(iter(planned.groupby("policy")))
    assert set(by["generic"].choice) == {"fixed"}
    assert set(by["random"].choice) == {"explore"}
    for policy, best, usable, version, risks in (
        ("champion", 1, {1, 2, 3, 5}, "7", RISKS),
        ("challenger", 2, {2, 3, 4}, "8", OTHER_RISKS),
    ):
        rows = by[policy]
        assert set(rows[rows.choice == "best"].email_id) == {best}
        assert set(rows[rows.choice == "explore"].email_id) == usable
        assert within_chance((rows.choice == "explore").sum(), len(rows), SHARE)
        assert set(rows.model_version) == {version}
        assert set(rows.best_probability) == {min(risks)}
        assert (rows.probability == np.array(risks)[rows.email_id - 1]).all()


def test_the_generic_policy_sends_all_the_same_email_and_another_on_other_days() -> None:
    one, days = CHAMPION.slice(0, 3 * len(RISKS)), [DAY + timedelta(days=number) for number in range(9)]
    sent = [plan(Policies(generic=1.0), champion=one, challenger=None, day=day)["email_id"].unique() for day in days]
    assert all(len(emails) == 1 for emails in sent)
    assert len({emails[0].as_py() for emails in sent}) > 2


def test_what_a_model_withholds_is_sent_by_the_policies_without_one() -> None:
    risky = predictions_of(np.full((USERS, 4), 0.2))
    planned = plan(Policies(champion=0.6, random=0.4), champion=risky, challenger=None)
    rows = planned.to_pandas()
    assert set(rows[rows.decision == "withhold"].policy) == {"champion"}
    assert set(rows[rows.decision == "send"].policy) == {"random"}
    assert set(rows[rows.decision == "withhold"].propensity) == {0.6}
    assert set(rows[rows.decision == "send"].propensity) == {0.4 / 4}
    assert verdict(planned)[0], verdict(planned)


def test_without_a_challenger_its_users_follow_the_champion() -> None:
    policies = Policies(champion=0.5, challenger=0.5)
    planned, champion = plan(policies, challenger=None), plan(Policies(champion=1.0), challenger=None)
    assert planned.equals(champion)


def test_units_of_an_experiment_follow_their_arm_and_all_others_the_problem_file() -> None:
    assigned = arms(1000, {"generic": 0.5, "champion": 0.5})
    planned = plan(Policies(champion=1.0), assigned=assigned, challenger=None)
    rows = planned.to_pandas()
    taking_part, others = rows[rows.user_id <= 1000], rows[rows.user_id > 1000]
    assert planned.num_rows == USERS
    assert planned["policy"].to_pylist()[:1000] == assigned["policy"].to_pylist()
    assert planned["arm"].to_pylist()[:1000] == assigned["arm"].to_pylist()
    assert set(taking_part.experiment) == {"content, version 1"}
    assert others.experiment.isna().all()
    assert set(others.policy) == {"champion"}
    # Both arms might have sent the email of the day.
    (generic,) = set(taking_part[taking_part.policy == "generic"].email_id)
    of_champion = dict(zip(others.email_id, others.propensity, strict=True))
    expected = {
        email: 0.5 * of_champion.get(email, 0.0) + 0.5 * (email == generic) for email in (*of_champion, generic)
    }
    assert dict(zip(taking_part.email_id, taking_part.propensity, strict=True)) == pytest.approx(expected)
    assert verdict(planned)[0], verdict(planned)


@pytest.mark.parametrize("column", ["propensity", "policy_shares", "policy_propensities"])
def test_a_false_propensity_of_a_mixture_is_noticed(column: str) -> None:
    rows = plan(EVERYTHING).to_pylist()
    first = next(row for row in rows if row["policy"] == "champion")
    if column == "propensity":
        first[column] += 0.01
    else:
        first[column]["champion"] += 0.01
        first["propensity"] = sum(
            first["policy_shares"][each] * first["policy_propensities"][each] for each in POLICIES
        )
    exact, sentence = verdict(pa.Table.from_pylist(rows))
    assert not exact
    assert sentence.startswith("1 row has a propensity")


def test_a_day_is_planned_by_the_assignments_of_that_day_and_asks_the_challenger_where_it_is_followed(
    tmp_path: Path,
) -> None:
    lake, asked = Lake(tmp_path), []

    def challenger() -> pa.RecordBatchReader:
        asked.append(1)
        return CHALLENGER.slice(0, 100 * 5).to_reader()

    def planned(day: date) -> pa.Table:
        plan_day(lake, lake.read("predictions"), PROBLEM, day=day, now=NOW, run_id="run", challenger=challenger)
        return lake.read_arrow("send_plan", [day.isoformat()])

    lake.write("predictions", CHAMPION.slice(0, 100 * 5))
    lake.write_partition(ASSIGNMENTS, DAY.isoformat(), arms(10, {"challenger": 0.5, "champion": 0.5}))
    assert Counter(planned(DAY)["policy"].to_pylist()) == {"champion": 95, "challenger": 5}
    assert asked == [1]
    assert Counter(planned(DAY + timedelta(days=1))["policy"].to_pylist()) == {"champion": 100}
    assert asked == [1]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"unit_id": 2}, "4 rows for 3 units"),
        ({"policy": "best"}, "1 row that cannot be right"),
        ({"policy_shares": {"generic": 0.5, "champion": 0.4, "challenger": 0.0, "random": 0.0}}, "1 row that cannot"),
        ({"policy_shares": {"generic": 0.0, "champion": 1.0, "challenger": 0.0, "random": 0.0}}, "1 row that cannot"),
        ({"policy_shares": None}, "1 row that cannot be right"),
    ],
    ids=["unit twice", "unknown policy", "shares that do not sum", "a policy that could not be drawn", "no shares"],
)
def test_an_assignment_that_cannot_be_right_is_refused(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    lake = Lake(tmp_path)
    first, *others = arms(4, {"generic": 0.5, "champion": 0.5}).to_pylist()
    lake.write_partition(
        ASSIGNMENTS, DAY.isoformat(), pa.Table.from_pylist([first | change, *others], assigned_schema(pa.int64()))
    )
    with pytest.raises(InputError, match=message):
        assigned_units(lake, DAY)
    assert assigned_units(lake, DAY + timedelta(days=1)) is None
