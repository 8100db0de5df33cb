"""Units that an experiment could change: those for which its policies decided otherwise on their first day."""

from datetime import date, datetime, timedelta
from pathlib import Path

import ibis
import pyarrow as pa

from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.log.log_table import log_schema
from mlguide_assets.deploy.plan.actions import generic_action
from mlguide_assets.deploy.plan.policies import PER_POLICY
from mlguide_assets.experiment.exposure import exposed_by_api, exposed_by_plan, exposures_of, record_exposures
from mlguide_assets.experiment.looks import design_of
from mlguide_assets.experiment.triggering import TRIGGER, with_trigger
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.email_case import SEND_PLAN
from mlguide_assets_tests.experiment.files import PROBLEM, experiment
from mlguide_assets_tests.experiment.worlds import DAY, plan, started

SCHEMA = log_schema(PROBLEM.decision)

ARMS = {1: "personal", 2: "personal", 3: "generic", 4: "generic"}
APART = {1: (1.0, 0.1), 2: (1.0, 0.9), 3: (0.1, 1.0), 4: (0.9, 1.0)}
"""By unit: with which probability champion and generic would have done what was done."""


def planned(lake: Lake, day: date, apart: dict[int, tuple[float, float]]) -> ibis.Table:
    rows = [{"champion": one, "generic": other, "challenger": one, "random": 0.5} for one, other in apart.values()]
    table = plan({unit: ARMS[unit] for unit in apart}, day)
    table = table.append_column("policy_propensities", pa.array(rows, PER_POLICY))
    lake.write_partition(SEND_PLAN, day.isoformat(), table)
    return lake.read(SEND_PLAN, partitions=[day.isoformat()])


def triggered(lake: Lake, **changes: str) -> dict[int, bool] | None:
    begun = started(lake, **changes)
    record_exposures(lake, exposed_by_plan(planned(lake, DAY, APART), begun, "user_id"))
    # Later the policies differ for others, which may be what the arm has done.
    planned(lake, DAY + timedelta(days=1), dict.fromkeys(APART, (1.0, 0.0)))
    exposures = exposures_of(lake, begun)
    assert exposures is not None
    units = with_trigger(exposures.select("unit_id", "arm"), exposures, lake, begun, PROBLEM)
    if TRIGGER not in units.columns:
        return None
    return {row["unit_id"]: row[TRIGGER] for row in units.to_pyarrow().to_pylist()}


def test_the_policies_are_held_against_each_other_in_both_arms_on_the_first_day(tmp_path: Path) -> None:
    assert triggered(Lake(tmp_path)) == {1: True, 2: False, 3: True, 4: False}


def test_of_three_policies_nothing_is_said(tmp_path: Path) -> None:
    arms = ", ".join(
        f"{{name: {name}, policy: {policy}, weight: {weight}}}"
        for name, policy, weight in (
            ("personal", "champion", 0.5),
            ("generic", "generic", 0.25),
            ("any", "random", 0.25),
        )
    )
    assert triggered(Lake(tmp_path), arms=f"[{arms}]") is None


def test_the_analysis_asks_for_triggered_units_where_they_are_known() -> None:
    columns = {"unit_id": "int64", "arm": "string", "country": "string"}
    assert design_of(experiment(), ibis.table(columns), None).trigger is None
    design = design_of(experiment(), ibis.table({**columns, TRIGGER: "boolean"}), None)
    assert (design.trigger, design.segments) == (TRIGGER, ("country",))


def logged(*rows: tuple[int, str, int, float, str], request: str = "r") -> pa.Table:
    """Rows of a recommendation: unit, variant, email, probability, decision; who answered met an arm."""
    values = [
        {
            **dict.fromkeys(SCHEMA.names),
            "request_id": request,
            "position": place,
            "answered_at": ANSWERED
            if variant in ("champion", "routed", "fallback")
            else ANSWERED + timedelta(seconds=1),
            "endpoint": "recommend",
            "variant": variant,
            "model_version": "2" if variant in ("routed", "challenger") else "1",
            "user_id": unit,
            "email_id": email,
            "delivered_at": ANSWERED,
            "probability": probability,
            "decision": decision,
            **({"experiment": "fewer_losses", "experiment_version": 1, "arm": MET[unit]} if variant in ANSWERS else {}),
        }
        for place, (unit, variant, email, probability, decision) in enumerate(rows)
    ]
    return pa.Table.from_pylist(values, schema=SCHEMA)


ANSWERED, ANSWERS = datetime(2024, 3, 1, 9), ("champion", "routed", "fallback", "failed")
MET = {1: "old", 2: "old", 3: "new", 4: "new", 5: "new", 6: "old", 7: "old"}
MODELS = "[{name: old, policy: champion, weight: 0.5}, {name: new, policy: challenger, weight: 0.5}]"


def test_of_units_first_met_by_the_api_answer_and_shadow_tell_in_both_arms(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    begun = started(lake, arms=MODELS, control="old")
    table = logged(
        # The best email differs; the same one is best; one of the two withholds.
        *((1, "champion", email, risk, "send") for email, risk in ((3, 0.1), (5, 0.2))),
        *((1, "challenger", email, risk, "send") for email, risk in ((3, 0.2), (5, 0.1))),
        *((2, "champion", email, risk, "send") for email, risk in ((3, 0.1), (5, 0.2))),
        *((2, "challenger", email, risk, "send") for email, risk in ((3, 0.11), (5, 0.3))),
        *((3, "routed", email, risk, "send") for email, risk in ((3, 0.2), (5, 0.1))),
        *((3, "champion_shadow", email, risk, "send") for email, risk in ((3, 0.1), (5, 0.2))),
        *((4, "routed", email, risk, "withhold") for email, risk in ((3, 0.5), (5, 0.6))),
        *((4, "champion_shadow", email, risk, "withhold") for email, risk in ((3, 0.7), (5, 0.6))),
        *((6, "champion", email, risk, "send") for email, risk in ((3, 0.1), (5, 0.2))),
        *((6, "challenger", email, risk, "withhold") for email, risk in ((3, 0.5), (5, 0.6))),
        # The shadow passed one by, and one got no answer.
        (5, "routed", 3, 0.1, "send"),
        (7, "failed", 3, 0.1, "send"),
    )
    lake.write_partition(PREDICTION_LOG, DAY.isoformat(), table)
    record_exposures(lake, exposed_by_api(lake.read(PREDICTION_LOG), begun, "user_id"))
    exposures = exposures_of(lake, begun)
    assert exposures is not None
    units = with_trigger(exposures.select("unit_id", "arm"), exposures, lake, begun, PROBLEM)
    found = {row["unit_id"]: row[TRIGGER] for row in units.to_pyarrow().to_pylist()}
    assert found == {1: True, 2: False, 3: True, 4: False, 5: False, 6: True}


def test_the_api_tells_of_policies_without_a_model_too(tmp_path: Path) -> None:
    lake = Lake(tmp_path)
    begun = started(
        lake,
        arms="[{name: old, policy: generic, weight: 0.5}, {name: new, policy: champion, weight: 0.5}]",
        control="old",
    )
    salt = PROBLEM.exploration.salt
    generic = generic_action([3, 5], salt=salt, day=DAY)
    other = 8 - generic
    rows = [(1, "champion", generic, 0.1, "send"), (1, "champion", other, 0.2, "send")]
    rows += [(3, "champion", generic, 0.2, "send"), (3, "champion", other, 0.1, "send")]
    lake.write_partition(PREDICTION_LOG, DAY.isoformat(), logged(*rows))
    record_exposures(lake, exposed_by_api(lake.read(PREDICTION_LOG), begun, "user_id"))
    exposures = exposures_of(lake, begun)
    assert exposures is not None
    units = with_trigger(exposures.select("unit_id", "arm"), exposures, lake, begun, PROBLEM)
    assert {row["unit_id"]: row[TRIGGER] for row in units.to_pyarrow().to_pylist()} == {1: False, 3: True}
