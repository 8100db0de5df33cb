"""Assignment: which units take part in an experiment, and in which arm. It follows from salts and ids alone.

A unit has four draws, by four salts, so that none says anything of another: the permanent hold-out, the slice of the
exclusion group, inclusion, and the arm. Each is compared with a range that keeps its start while it grows: a ramp
lets units in and never moves one. Python (`arm_of`) and DuckDB (`assignments`) give the same answer bit for bit,
since both compare whole numbers below 2^52 with the same bounds.
"""

from collections.abc import Mapping, Sequence
from datetime import date
from itertools import accumulate
from types import MappingProxyType

import ibis

from mlguide_assets.define.policies import POLICIES
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.plan.policies import exactly
from mlguide_assets.deploy.routing import Arm, Range, Route
from mlguide_assets.experiment.eligibility import may_take_part
from mlguide_assets.experiment.salts import GROUP_SALT, HOLDOUT_SALT
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.statistics.draws import SIZE, Unit, draw_column


def route_of(experiment: Experiment, share: float, models: Mapping[str, str] = MappingProxyType({})) -> Route:
    """The ranges of draws that decide whether a unit takes part and in which arm.

    Args:
        share: of the units that take part, see `Experiment.share_on`.
        models: see `Route`.
    """
    exclusion = experiment.exclusion
    ranges = (
        Range(HOLDOUT_SALT, _bound(experiment.holdout), SIZE),
        Range(f"{GROUP_SALT}{exclusion.group}", _bound(exclusion.first), _bound(exclusion.last)),
        Range(experiment.salts.inclusion, 0, _bound(share)),
    )
    # Rounding leaves no unit without an arm.
    ends = [*(_bound(total) for total in accumulate(arm.weight for arm in experiment.arms[:-1])), SIZE]
    return Route(
        experiment.name,
        experiment.version,
        # A range that is all there is needs no draw.
        tuple(each for each in ranges if (each.low, each.high) != (0, SIZE)),
        experiment.salts.arm,
        tuple(Arm(arm.name, arm.policy, end) for arm, end in zip(experiment.arms, ends, strict=True)),
        by_eligibility=bool(experiment.eligibility),
        models=dict(models),
    )


def arm_of(experiment: Experiment, unit: Unit, share: float) -> str | None:
    """The arm of a unit, or None where it does not take part. Eligibility is not checked."""
    arm = route_of(experiment, share).arm_of(unit)
    return arm.name if arm else None


def assignments(experiment: Experiment, units: ibis.Table, share: float) -> ibis.Table:
    """The units that take part, each with its arm: as `arm_of`, computed by DuckDB.

    Args:
        units: a table whose column `unit_id` holds each id once.
        share: see `route_of`.

    Returns:
        The rows that take part, with one more column, `arm`.
    """
    route, unit = route_of(experiment, share), units.unit_id
    taking_part = [draw_column(each.salt, unit).between(each.low, each.high - 1) for each in route.ranges]
    members = units.filter(*taking_part) if taking_part else units
    drawn = draw_column(route.arm_salt, members.unit_id)
    *earlier, last = route.arms
    return members.mutate(arm=ibis.cases(*((drawn < arm.end, arm.name) for arm in earlier), else_=last.name))


def assigned_on(
    day: date,
    started: Sequence[Started],
    members: ibis.Table,
    gone: ibis.Table,
    exposed: ibis.Table | None,
    problem: Problem,
) -> ibis.Table | None:
    """Whom the running experiments assign on a day, as the plan takes it (`deploy.policies.assigned_schema`).

    A unit that was exposed stays in its arm, also where it is no longer eligible.

    Args:
        members: as of `actions.members_of`.
        gone: the ids of the units that no action reaches any more, in one column.
        exposed: rows of `exposures`, if there are any.

    Returns:
        One row per unit; None where no unit is assigned.
    """
    parts, positives = [], gone.rename(unit_id=gone.columns[0])
    for each in started:
        share = each.share_on(day)
        if share:
            may = members.filter(may_take_part(members, each.experiment, exposed, problem))
            units = may.select(unit_id="id").anti_join(positives, "unit_id")
            parts.append(_rows(each.experiment, assignments(each.experiment, units, share)))
    return ibis.union(*parts) if len(parts) > 1 else next(iter(parts), None)


def _rows(experiment: Experiment, members: ibis.Table) -> ibis.Table:
    policies = {arm.name: arm.policy for arm in experiment.arms}
    weights = {policy: sum(arm.weight for arm in experiment.arms if arm.policy == policy) for policy in POLICIES}
    shares = ibis.struct({policy: exactly(weight) for policy, weight in weights.items()})
    return members.select(
        unit_id=members.unit_id,
        experiment=ibis.literal(experiment.name),
        arm=members.arm,
        policy=ibis.cases(*((members.arm == arm, policy) for arm, policy in policies.items())),
        policy_shares=shares,
    )


def _bound(share: float) -> int:
    """The draw at which a share of all ends. It grows with the share, so what is below it once stays below it."""
    return round(share * SIZE)
