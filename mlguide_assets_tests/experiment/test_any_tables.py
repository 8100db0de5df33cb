"""Experiments on what is nobody's emails: coupons for customers, both with texts as ids, of whom no table tells."""

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest

from mlguide_assets.define.policies import Exploration, Policies
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.plan.choices import Choosing, plan_choices
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.actions import actions_of, members_of, tables_of_actions, versions_of
from mlguide_assets.experiment.analysis.analysis import analyse
from mlguide_assets.experiment.analysis.design import Looks
from mlguide_assets.experiment.assignment import assigned_on
from mlguide_assets.experiment.exposure import exposed_by_plan, exposures_of, record_exposures
from mlguide_assets.experiment.looks import design_of
from mlguide_assets.experiment.off_policy.planned import planned_decisions, policy_log
from mlguide_assets.experiment.outcomes import changing_slices, ended_before, unit_outcomes
from mlguide_assets.experiment.sizing import population_of
from mlguide_assets.experiment.specification import refuse_without_choice
from mlguide_assets.prepare.decisions.rows import decision_rows
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.train.propensity import uniform_ratios
from mlguide_assets_tests.experiment.coupons import COUPONS, offers
from mlguide_assets_tests.experiment.files import parse, text
from mlguide_assets_tests.experiment.worlds import DAY, START, started
from mlguide_assets_tests.other_tables import PAYMENTS, problem_of

PROBLEM = problem_of(COUPONS, Path("nowhere"))
CUSTOMERS, CODES = [f"c-{number:02}" for number in range(40)], ["A10", "B20", "C30"]


@pytest.fixture
def lake(tmp_path: Path) -> Lake:
    """Everybody was offered something before, and one of them has left."""
    kept = Lake(tmp_path / "lake")
    earlier = START - timedelta(days=9)
    kept.write("offers", offers(*((customer, "A10", earlier, customer == "c-03") for customer in CUSTOMERS)))
    kept.write("coupons", pa.table({"code": CODES, "kind": ["a", "b", "c"]}))
    return kept


def planned(assigned: ibis.Table | None, day: date = DAY) -> pa.Table:
    """A plan of a day: the lower the place of the code, the better."""
    pairs = [(customer, code) for customer in CUSTOMERS for code in CODES]
    predictions = pa.table(
        {
            "customer_id": [customer for customer, _ in pairs],
            "coupon_id": [code for _, code in pairs],
            "probability": np.tile([0.01, 0.02, 0.5], len(CUSTOMERS)),
            "decision": ["offer", "offer", "withhold"] * len(CUSTOMERS),
            "model_version": ["7"] * len(pairs),
        }
    )
    choosing = Choosing(PROBLEM.decision, Exploration(share=0.5), Policies(champion=0.5, random=0.5), assigned)
    before = datetime.combine(day, datetime.min.time()) - timedelta(hours=2)
    return plan_choices(ibis.memtable(predictions), choosing, day=day, planned_at=before, run_id="run").read_all()


def test_units_are_assigned_planned_exposed_and_counted(lake: Lake) -> None:
    tables = tables_of_actions(lake, PROBLEM)
    assert set(tables) == {"offers"}, "no table tells of the customers"
    actions, members = actions_of(tables, PROBLEM), members_of(tables, PROBLEM)
    assert sorted(members.to_pyarrow()["id"].to_pylist()) == CUSTOMERS
    gone = ended_before(actions, PROBLEM, START)
    assert gone.to_pyarrow()["customer_id"].to_pylist() == ["c-03"]
    begun = started(lake, eligibility="[]", ramp="[{share: 1}]")
    assigned = assigned_on(DAY, [begun], members, gone, None, PROBLEM)
    assert assigned is not None
    plan = planned(ibis.memtable(assigned.to_pyarrow()))
    arms = {row["customer_id"]: row["arm"] for row in plan.to_pylist() if row["arm"]}
    assert set(arms) == {*CUSTOMERS} - {"c-03"}
    assert record_exposures(lake, exposed_by_plan(ibis.memtable(plan), begun, "customer_id")) == len(arms)
    exposures = exposures_of(lake, begun)
    assert exposures is not None
    left = offers(*((customer, "A10", START + timedelta(hours=9), customer == "c-07") for customer in CUSTOMERS))
    later = actions_of({"offers": ibis.memtable(left)}, PROBLEM)
    until = START + timedelta(days=30)
    found = unit_outcomes(exposures, later, members, begun.experiment, PROBLEM, until=until).to_pyarrow().to_pylist()
    assert {row["unit_id"]: row["outcome"] for row in found} == {unit: int(unit == "c-07") for unit in arms}


def test_plans_of_texts_are_a_log_of_what_was_done_and_how_probably() -> None:
    plan = planned(None)
    made = [
        (row["customer_id"], row["coupon_id"], START + timedelta(hours=9), row["customer_id"] == "c-07")
        for row in plan.to_pylist()
        if row["decision"] == "offer"
    ]
    actions = actions_of({"offers": ibis.memtable(offers(*made))}, PROBLEM)
    until = START + timedelta(days=30)
    decisions = planned_decisions(ibis.memtable(plan), actions, PROBLEM, until=until)
    assert decisions["unit_id"].to_pylist() == CUSTOMERS
    assert decisions["followed"].to_pylist() == [True] * len(CUSTOMERS)
    assert decisions.filter(decisions["reward"].to_numpy() > 0)["unit_id"].to_pylist() == ["c-07"]
    assert policy_log(decisions, "random").weights.mean() == pytest.approx(1, abs=0.25)
    rows = actions.to_pyarrow()
    ratios = uniform_ratios(rows, ibis.memtable(plan), PROBLEM.decision)
    expected = {row["customer_id"]: 1 / (row["supported"] * row["propensity"]) for row in plan.to_pylist()}
    assert dict(zip(rows["customer_id"].to_pylist(), ratios, strict=True)) == pytest.approx(expected)


def test_units_of_another_problem_and_columns_that_they_lack_are_refused() -> None:
    with pytest.raises(InputError, match=r"unit: the plan decides for customer_id, not 'user_id'"):
        parse(text(unit="user_id", eligibility="[]"), PROBLEM)
    with pytest.raises(InputError, match=r"'age' is no column of the units \(none are listed\)"):
        parse(text(), PROBLEM)
    assert parse(text(unit="customer_id", eligibility="[]"), PROBLEM).unit == "customer_id"


def test_where_nothing_is_chosen_there_is_nothing_to_compare() -> None:
    payments = problem_of(PAYMENTS, Path("nowhere"))
    with pytest.raises(InputError, match="nothing is chosen for a payment"):
        refuse_without_choice(payments)
    for key, value in {"canary": {}, "policies": {"random": 0.1, "champion": 0.9}}.items():
        with pytest.raises(ValueError, match=f"{key}: nothing is chosen for a payment"):
            problem_of({**PAYMENTS, key: value}, Path("nowhere"))


def test_who_had_an_outcome_that_ends_nobody_takes_part_and_stays_in_its_arm(lake: Lake) -> None:
    label = {key: value for key, value in COUPONS["predict"]["label"].items() if key != "ends_unit"}
    ignored = problem_of({**COUPONS, "predict": {**COUPONS["predict"], "label": label}}, Path("nowhere"))
    tables = tables_of_actions(lake, ignored)
    actions, members = actions_of(tables, ignored), members_of(tables, ignored)
    begun = started(lake, eligibility="[]", ramp="[{share: 1}]")
    assigned = assigned_on(DAY, [begun], members, ended_before(actions, ignored, START), None, ignored)
    assert assigned is not None
    assert sorted(assigned.to_pyarrow()["unit_id"].to_pylist()) == CUSTOMERS
    until = START + timedelta(days=30)
    which = parse(text(unit="customer_id", eligibility="[]"), ignored)
    later = ibis.memtable(offers(("c-01", "A10", until, False), ("c-03", "A10", START, False)))
    both = {"offers": tables["offers"].to_pyarrow(), "later": later.to_pyarrow()}
    everything = actions_of({"offers": ibis.memtable(pa.concat_tables(both.values()))}, ignored)
    found = population_of(which, ignored, actions=everything, members=members, until=until)
    assert (found.units, found.lost) == (len(CUSTOMERS), 0)
    found = population_of(which, PROBLEM, actions=everything, members=members, until=until)
    assert (found.units, found.lost) == (len(CUSTOMERS) - 1, 1)


def test_where_the_outcome_ended_every_unit_the_refusal_says_so() -> None:
    until, which = START + timedelta(days=30), parse(text(unit="customer_id", eligibility="[]"), PROBLEM)
    rows = offers(("c-01", "A10", START, True), ("c-01", "A10", until, False))
    actions = actions_of({"offers": ibis.memtable(rows)}, PROBLEM)
    members = members_of({"offers": ibis.memtable(rows)}, PROBLEM)
    with pytest.raises(InputError, match=r"no unit is eligible: 1 unit that would be has had the outcome before; set"):
        population_of(which, PROBLEM, actions=actions, members=members, until=until)


def outcomes(problem: Problem, rows: pa.Table, until: datetime) -> dict[str, tuple[bool, int | None]]:
    """Whether each of two units, both exposed at the start, is closed, and with which outcome."""
    units = {"unit_id": ["c-1", "c-2"], "arm": ["generic", "personal"], "exposed_at": [START] * 2}
    actions, members = (each({"offers": ibis.memtable(rows)}, problem) for each in (actions_of, members_of))
    which = parse(text(unit="customer_id", eligibility="[]", outcome_window="7d", looks="[21d]"), problem)
    found = unit_outcomes(ibis.memtable(units), actions, members, which, problem, until=until)
    return {row["unit_id"]: (row["closed"], row["outcome"]) for row in found.to_pyarrow().to_pylist()}


def test_an_empty_label_is_waited_for_however_old_it_is() -> None:
    until, day = START + timedelta(days=90), START + timedelta(days=1)
    first, other = ("c-1", "A10", day, None), ("c-2", "A10", day, False)
    assert outcomes(PROBLEM, offers(first, other), until) == {"c-1": (False, None), "c-2": (True, 0)}
    left = ("c-1", "A10", START + timedelta(days=2), True)
    assert outcomes(PROBLEM, offers(first, left, other), until)["c-1"] == (True, 1)
    assert outcomes(PROBLEM, offers(("c-1", "A10", day, False), other), until)["c-1"] == (True, 0)
    decisions = planned_decisions(
        ibis.memtable(planned(None)),
        actions_of(
            {"offers": ibis.memtable(offers(*((unit, code, day, None) for unit in CUSTOMERS for code in CODES)))},
            PROBLEM,
        ),
        PROBLEM,
        until=until,
    )
    assert set(decisions["acted"].to_pylist()) == {False}


def test_rows_that_arrive_late_are_waited_for_as_in_training() -> None:
    late = {**COUPONS["tables"]["offers"], "arrives_within": "10d"}
    problem = problem_of({**COUPONS, "tables": {**COUPONS["tables"], "offers": late}}, Path("nowhere"))
    rows = offers(("c-1", "A10", START, False), ("c-2", "A10", START, True))
    # A window of 7 days, labels of 3, and 10 until the last row is there: as the decisions that are trained on.
    early, closes = START + timedelta(days=19, hours=23), START + timedelta(days=20)
    assert outcomes(problem, rows, early) == {"c-1": (False, None), "c-2": (False, None)}
    assert outcomes(problem, rows, closes) == {"c-1": (True, 0), "c-2": (True, 1)}
    tables = {"offers": ibis.memtable(rows), "coupons": ibis.memtable({"code": CODES, "kind": CODES})}
    trained = decision_rows(tables, problem, clock=closes).to_pyarrow().to_pylist()
    assert {row["matured_at"] for row in trained} == {START + problem.final_after}
    with pytest.raises(
        InputError, match=r"before 20 days \(outcome_window 7 days and label.window 3 days and arrives_"
    ):
        parse(text(unit="customer_id", eligibility="[]", outcome_window="7d", looks="[19d]"), problem)
    decisions = (
        planned_decisions(ibis.memtable(planned(None)), actions_of(tables, problem), problem, until=until)
        for until in (START + timedelta(days=14) - timedelta(hours=1), START + timedelta(days=14))
    )
    assert [bool(each.num_rows) for each in decisions] == [False, True]


@pytest.mark.parametrize(
    ("more", "before", "passed", "warns"),
    [
        ({"history": {"from": "since", "to": "till"}}, {"basic"}, True, False),
        ({}, {"basic", "gold"}, True, True),
        # Whoever says that it never changes is taken at his word.
        ({"static": ["tier"]}, {"basic", "gold"}, False, True),
    ],
    ids=["a history", "as of today", "static"],
)
def test_a_slice_that_the_treatment_changes_does_not_withhold_the_numbers(
    more: dict[str, Any], before: set[str], passed: bool, warns: bool
) -> None:
    times = {"since": "time", "till": "time"} if more.get("history") else {}
    customers = {"entity": "customer", "key": "client", "columns": {"tier": "category"} | times, **more}
    values = {**COUPONS, "tables": {**COUPONS["tables"], "customers": customers}, "evaluation": {"slices": ["tier"]}}
    problem = problem_of(values, Path("nowhere"))
    units, changed = [f"c-{number}" for number in range(400)], START + timedelta(days=8)
    arms = [("generic", "personal")[number % 2] for number in range(400)]
    # The better offers made everybody gold, a week after the exposure.
    now = ["gold" if arm == "personal" else "basic" for arm in arms]
    rows = {"client": units, "tier": now}
    if times:
        first = {
            "client": units,
            "tier": ["basic"] * 400,
            "since": [START - changed.resolution] * 400,
            "till": [changed] * 400,
        }
        last = {**rows, "since": [changed] * 400, "till": [None] * 400}
        rows = pa.concat_tables([pa.table(first), pa.table(last).cast(pa.table(first).schema)])
    left = offers(*((unit, "A10", START + timedelta(days=1), place % 5 == 0) for place, unit in enumerate(units)))
    tables = {"offers": ibis.memtable(left), "customers": ibis.memtable(rows)}
    exposures = ibis.memtable({"unit_id": units, "arm": arms, "exposed_at": [START] * 400})
    which = parse(text(unit="customer_id", eligibility="[]", guardrails="[]", outcome_window="7d"), problem)
    actions, members = actions_of(tables, problem), versions_of(tables, problem)
    found = unit_outcomes(exposures, actions, members, which, problem, until=START + timedelta(days=21)).to_pyarrow()
    assert (found.num_rows, set(found["tier"].to_pylist())) == (400, before)
    rows = ibis.memtable(found)
    design = design_of(which, rows, Looks((1.0,), final=True), changing=changing_slices(problem))
    analysis = analyse(rows, design)
    check = next(each for each in analysis.health if each.check == "sample_ratio:tier")
    assert (check.passed, check.warning, analysis.healthy) == (passed, warns, passed)
    assert ("this only warns" in check.text) == (passed and warns)


@pytest.mark.parametrize("name", ["arm", "closed", "outcome"])
def test_a_slice_that_is_called_as_a_column_of_outcomes_gets_its_entity_in_front(name: str) -> None:
    customers = {"entity": "customer", "key": "client", "static": True, "columns": {name: "category"}}
    problem = problem_of({**COUPONS, "tables": {**COUPONS["tables"], "customers": customers}}, Path("nowhere"))
    tables = {
        "offers": ibis.memtable(offers(("c-1", "A10", START, False))),
        "customers": ibis.memtable({"client": ["c-1"], name: ["a"]}),
    }
    exposures = ibis.memtable({"unit_id": ["c-1"], "arm": ["generic"], "exposed_at": [START]})
    which = parse(text(unit="customer_id", eligibility="[]"), problem)
    actions, members = actions_of(tables, problem), versions_of(tables, problem)
    units = unit_outcomes(exposures, actions, members, which, problem, until=START + timedelta(days=21))
    assert units.to_pyarrow()[f"customer_{name}"].to_pylist() == ["a"]
    assert design_of(which, units, None).segments == (f"customer_{name}",)
