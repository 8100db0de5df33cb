"""What became of the exposed units: one row per unit and arm, which is what an analysis takes.

By intention to treat: a unit counts in the arm that it met first, whatever was done with it afterwards. What happens
within the outcome window after its first exposure counts, and only once all of it is final; until then the unit waits.
An empty label is not known yet, as in training: a unit with one, and without a positive outcome, goes on waiting.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta

import ibis

from mlguide_assets.define.entity_features import entity_features
from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.prepare.features.events import AT, microseconds, with_entity

OUTCOME, ACTIONS = "outcome", "actions"
EARLIER = "earlier_actions"
"""Actions that a unit met in `BEFORE` before its exposure: no arm can have changed them, so they reduce variance."""

BEFORE = timedelta(days=28)

COLUMNS = ("unit_id", "arm", "exposed_at", "closed", OUTCOME, ACTIONS, EARLIER)
"""Of the table of outcomes, but those that slices are made by."""


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
        members: as of `actions.versions_of`: a unit's columns are taken as they were when it was exposed, since
            what an arm does may change them.
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
    slices = {name: column for name, column in _slices(problem).items() if column in members.columns}
    return _at_exposure(counted, members, slices, problem).select(
        "unit_id",
        "arm",
        "exposed_at",
        *slices,
        closed.name("closed"),
        ibis.ifelse(closed, (counted.positives > 0).cast("int8"), ibis.null("int8")).name(OUTCOME),
        ibis.ifelse(closed, counted.actions.fill_null(0).cast("int64"), ibis.null("int64")).name(ACTIONS),
        counted.earlier.fill_null(0).cast("int64").name(EARLIER),
    )


def changing_slices(problem: Problem) -> tuple[str, ...]:
    """Slices of units by what may have changed since their exposure: no table says what it was then."""
    table = problem.schema.entity(problem.decision.unit)
    changing = table.changing if table is not None else ()
    return tuple(name for name, column in _slices(problem).items() if column in changing)


def _slices(problem: Problem) -> dict[str, str]:
    """By which columns of their own units are sliced: the name of each slice, and its column."""
    names = entity_features(problem.schema, problem.predict, problem.features.declared)
    unit = problem.decision.unit
    columns = {name: column for (noun, column), name in names.items() if noun == unit}
    return {f"{unit}_{name}" if name in COLUMNS else name: columns[name] for name in problem.slices if name in columns}


def _at_exposure(units: ibis.Table, members: ibis.Table, wanted: Mapping[str, str], problem: Problem) -> ibis.Table:
    """Units with columns of their own table, as valid when they were exposed."""
    unit, schema = problem.decision.unit, problem.schema
    table = schema.entity(unit)
    if table is None or not wanted:
        return units
    tables = {str(schema.table_of(unit)): members.mutate({table.key: members.id})}
    asked = units.mutate({problem.decision.unit_id: units.unit_id, AT: microseconds(units.exposed_at)})
    found = with_entity(asked, unit, wanted, tables, schema, kept_before_known=True)
    return found.select(*units.columns, *wanted)


def ended_before(actions: ibis.Table, problem: Problem, instant: datetime) -> ibis.Table:
    """The ids of the units that a positive outcome ended before an instant: no action reaches them any more.

    An outcome counts as soon as it is on record, as a matured one always is. No unit is ended where the problem file
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
