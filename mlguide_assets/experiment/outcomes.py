"""What became of the exposed units: one row per unit and arm, which is what an analysis takes.

By intention to treat: a unit counts in the arm that it met first, whatever was done with it afterwards. What happens
within the outcome window after its first exposure counts, and only once all of it is final; until then the unit waits.
An empty label is not known yet, as in training: a unit with one, and without a positive outcome, goes on waiting.
"""

from datetime import datetime, timedelta

import ibis

from mlguide_assets.define.entity_features import entity_features
from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.specification import Experiment

OUTCOME, ACTIONS = "outcome", "actions"
EARLIER = "earlier_actions"
"""Actions that a unit met in `BEFORE` before its exposure: no arm can have changed them, so they reduce variance."""

BEFORE = timedelta(days=28)


def unit_outcomes(
    exposures: ibis.Table,
    actions: ibis.Table,
    members: ibis.Table,
    experiment: Experiment,
    problem: Problem,
    *,
    until: datetime,
) -> ibis.Table:
    """Outcomes of exposed units, as known at an instant.

    Args:
        exposures: unit_id, arm and exposed_at, one row per unit and arm.
        actions: as of `actions.actions_of`.
        members: as of `actions.members_of`.
        until: the data's clock.

    Returns:
        unit_id, arm, exposed_at, `closed`, `outcome` (0 or 1) and `actions` within the window (null while it is
        open), `earlier_actions`, and the unit's columns by which slices are made.
    """
    window, closes = experiment.window(problem), experiment.closes_after(problem)
    decision, label = problem.decision, problem.label
    # The columns of the actions carry other names than those of the exposures: a join must not mix them up.
    made = actions.filter(actions[decision.time].notnull()).select(
        done_to=actions[decision.unit_id],
        at=actions[decision.time],
        positive=actions[label.column].cast("string") == label.positive,
    )
    met = exposures.left_join(made, exposures.unit_id == made.done_to)
    within = (met["at"] >= met.exposed_at) & (met["at"] < met.exposed_at + _interval(window))
    before = (met["at"] < met.exposed_at) & (met["at"] >= met.exposed_at - _interval(BEFORE))
    counted = met.group_by("unit_id", "arm", "exposed_at").agg(
        positives=(within & met.positive).sum().fill_null(0),
        unknown=(within & met.positive.isnull()).sum().fill_null(0),
        actions=within.sum(),
        earlier=before.sum(),
    )
    over = counted.exposed_at + _interval(closes) <= ibis.timestamp(until)
    closed = over & ((counted.positives > 0) | (counted.unknown == 0))
    names = entity_features(problem.schema, problem.predict, problem.features.declared)
    columns = {names[of]: of[1] for of in names if of[0] == problem.decision.unit and of[1] in members.columns}
    slices = [name for name in problem.slices if name in columns]
    known = members.select("id", **{name: members[columns[name]] for name in slices})
    return counted.left_join(known, counted.unit_id == known.id).select(
        "unit_id",
        "arm",
        "exposed_at",
        *slices,
        **{
            "closed": closed,
            OUTCOME: ibis.ifelse(closed, (counted.positives > 0).cast("int8"), ibis.null("int8")),
            ACTIONS: ibis.ifelse(closed, counted.actions.fill_null(0).cast("int64"), ibis.null("int64")),
            EARLIER: counted.earlier.fill_null(0).cast("int64"),
        },
    )


def lost_before(actions: ibis.Table, problem: Problem, instant: datetime) -> ibis.Table:
    """The ids of the units that a positive outcome ended before an instant: no action reaches them any more.

    An outcome counts as soon as it is on record, as a matured one always is. Nobody is lost where the problem file
    does not say that the outcome ends the unit (`label.ends_unit`).
    """
    decision, label = problem.decision, problem.label
    earlier = actions.filter(
        ibis.literal(problem.ends_unit),
        actions[decision.time] < ibis.timestamp(instant),
        actions[label.column].cast("string") == label.positive,
    )
    return earlier.select(decision.unit_id).distinct()


def _interval(span: timedelta) -> ibis.Value:
    return ibis.interval(seconds=int(span.total_seconds()))
