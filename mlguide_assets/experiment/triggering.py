"""Which units an experiment could change at all: those for which its two policies decide otherwise.

Where both would do the same, arms cannot differ, and such units only thin out the effect. The send plan states for
every unit with which probability each policy would have done what was done, from the scores of both models. So it
tells in both arms alike whether they agree, whatever was done and whatever came of it.
"""

import ibis

from mlguide_assets.define.tables import SEND_PLAN
from mlguide_assets.experiment.exposure import PLAN
from mlguide_assets.experiment.ledger import Started
from mlguide_assets.prepare.lake import Lake

TRIGGER = "decided_otherwise"

_APART = 0.5
"""Two policies that do the same differ by what they explore at most."""


def with_trigger(units: ibis.Table, exposures: ibis.Table, lake: Lake, started: Started) -> ibis.Table:
    """The same units, with a column that says whether the two policies decided otherwise on their first day.

    Only the first day counts: later ones follow from what the arm has done. Units that met their arm by the API first
    are not triggered, in either arm.

    Args:
        units: unit_id and arm, a row each.
        exposures: of the experiment.

    Returns:
        The units as they are where the experiment does not compare exactly two policies, or no plan tells.
    """
    policies = sorted({arm.policy for arm in started.experiment.arms})
    known = lake.snapshot(SEND_PLAN).partitions if lake.exists(SEND_PLAN) else ()
    days = [day for day in known if day >= started.start.isoformat()]
    plan = lake.read(SEND_PLAN, partitions=days, by_name=True) if days else None
    if len(policies) != 2 or plan is None or "policy_propensities" not in plan.columns:
        return units
    one, other = (plan.policy_propensities[policy] for policy in policies)
    planned = plan.filter(plan.experiment == started.experiment.name).select(
        planned_for=plan[started.experiment.unit], day=plan.scoring_date, apart=((one - other).abs() > _APART)
    )
    first = exposures.filter(exposures.origin == PLAN).select(exposed=exposures.unit_id, first_at=exposures.exposed_at)
    met = first.inner_join(planned, [first.exposed == planned.planned_for, first.first_at.date() == planned.day])
    triggered = met.filter(met.apart).select(triggered="exposed").distinct()
    joined = units.left_join(triggered, units.unit_id == triggered.triggered)
    return joined.select(*units.columns, **{TRIGGER: joined.triggered.notnull()})
