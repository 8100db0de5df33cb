"""Units that an experiment could change: those for which its policies decided otherwise on their first day."""

from datetime import date, timedelta
from pathlib import Path

import ibis
import pyarrow as pa

from mlguide_assets.define.tables import SEND_PLAN
from mlguide_assets.deploy.policies import PER_POLICY
from mlguide_assets.experiment.exposure import exposed_by_plan, exposures_of, record_exposures
from mlguide_assets.experiment.looks import design_of
from mlguide_assets.experiment.triggering import TRIGGER, with_trigger
from mlguide_assets.prepare.lake import Lake
from mlguide_assets_tests.experiment.files import experiment
from mlguide_assets_tests.experiment.worlds import DAY, plan, started

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
    record_exposures(lake, exposed_by_plan(planned(lake, DAY, APART), begun))
    # Later the policies differ for others, which may be what the arm has done.
    planned(lake, DAY + timedelta(days=1), dict.fromkeys(APART, (1.0, 0.0)))
    exposures = exposures_of(lake, begun)
    assert exposures is not None
    units = with_trigger(exposures.select("unit_id", "arm"), exposures, lake, begun)
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
