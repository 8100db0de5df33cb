"""What happens to the experiments of a home on a day: units are assigned, exposed, and looked at.

Where no experiment was ever started, each of these returns at once, and imports nothing: the schema of a file alone
takes longer to be made than all that there is to do.
"""

from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import TYPE_CHECKING

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.log.landing import PREDICTION_LOG
from mlguide_assets.deploy.plan.policies import ASSIGNMENTS
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.tables import CANARY_STEPS, EXPERIMENTS, EXPOSURES, RESULTS
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.snapshots import Snapshot
from mlguide_assets.progress import Report
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    import ibis

    from mlguide_assets.experiment.actions import Tables
    from mlguide_assets.experiment.started import Started


@dataclass(frozen=True)
class Assigned:
    """The snapshot that holds the day's assignments, and the experiments that run, with the canary."""

    snapshot: Snapshot
    running: tuple[str, ...]


def assign_day(home: Home, lake: Lake, problem: Problem, day: date, *, report: Report) -> Assigned | None:
    """Write whom the running experiments assign on a day; None where there is nothing to write.

    First the experiment that the problem file names is started, where it is time. What keeps it from starting is
    reported: a day must be planned all the same.
    """
    if problem.experiment.file is None and not lake.exists(EXPERIMENTS) and not lake.exists(CANARY_STEPS):
        return None
    from mlguide_assets.experiment.arm_models import keep_models
    from mlguide_assets.experiment.canary.day import with_canary
    from mlguide_assets.experiment.canary.record import running_canary
    from mlguide_assets.experiment.ledger import running, unreadable
    from mlguide_assets.experiment.publishing import publish_routes
    from mlguide_assets.experiment.starting import last_planned, start_named

    try:
        start_named(home, lake, problem, day)
    except InputError as error:
        report(f"The experiment of the problem file was not started: {error}")
    for lost in unreadable(lake):
        report(f"{lost.title} assigns no unit: {lost.fault}")
    present = [keep_models(home, lake, problem, each) for each in running(lake) if each.share_on(day)]
    # Servers follow the newest day, also while an earlier one is scored again.
    if day >= (last_planned(lake, problem) or day):
        publish_routes(home, problem, present, day)
    rows = with_canary(lake, problem, _assignments(lake, problem, present, day) if present else None)
    if rows is None and day.isoformat() not in _partitions(lake, ASSIGNMENTS):
        return None
    # An experiment that was stopped since the day was assigned leaves it without rows.
    if rows is None:
        rows = lake.read(ASSIGNMENTS, partitions=[day.isoformat()]).limit(0)
    snapshot = lake.write_partition(ASSIGNMENTS, day.isoformat(), rows)
    canary = running_canary(lake) if lake.exists(CANARY_STEPS) else None
    names = (*(each.experiment.title for each in present), *([canary.experiment] if canary else ()))
    return Assigned(snapshot, names)


def expose_day(lake: Lake, problem: Problem, day: date, *, report: Report) -> int:
    """Record who met an arm by the plans up to a day, or by the API since; how many did for the first time.

    A plan of an earlier day whose run was killed, or never came so far, was followed all the same.

    A plan that was made too late to expose anybody is reported.
    """
    if not lake.exists(EXPERIMENTS):
        return 0
    from mlguide_assets.experiment.exposure import exposed_by_api, exposed_by_plan, record_exposures, unrecorded_days
    from mlguide_assets.experiment.ledger import running
    from mlguide_assets.experiment.plans import late_plan

    table, unit = problem.decision.plan_table, problem.decision.unit_id
    added = 0
    for each in running(lake):
        found = []
        days = unrecorded_days(lake, each, day, _partitions(lake, table))
        plans = lake.read(table, partitions=days, by_name=True) if days else None
        # A plan that an earlier version made knows no experiment.
        if plans is not None and "experiment" in plans.columns:
            found.append(exposed_by_plan(plans, each, unit))
        if late := late_plan(lake, problem, each.experiment.name, day):
            report(f"{each.title}: {late}")
        log = _answers(lake, problem, each)
        if log is not None:
            found.append(exposed_by_api(log, each, unit))
        # Together: the plan may have met a unit first, or the API.
        added += record_exposures(lake, *found)
    return added


@dataclass(frozen=True)
class Looked:
    """What the looks of a day found.

    Attributes:
        version: another one where results were added.
        running: how many experiments run afterwards.
        verdicts: of the looks that were taken, in words.
        faults: what is wrong with the experiments that run.
        pictures: PNG bytes by name, of experiments that were looked at.
    """

    version: str = "no experiment"
    running: int = 0
    verdicts: str = "no look was due"
    faults: tuple[str, ...] = ()
    pictures: dict[str, bytes] = field(default_factory=dict)


def look_day(home: Home, lake: Lake, problem: Problem, *, tables: "Tables", run_id: str) -> Looked:
    """Take the looks that are due, and put a model that waited for a verdict before the gate.

    Args:
        tables: accepted, by their names in the problem file.
    """
    if not lake.exists(EXPERIMENTS):
        return Looked()
    from mlguide_assets.deploy.gate.promotion import install_challenger
    from mlguide_assets.experiment.actions import actions_of, versions_of
    from mlguide_assets.experiment.criterion import decide_on_waiting
    from mlguide_assets.experiment.ledger import results, running
    from mlguide_assets.experiment.looks import take_looks
    from mlguide_assets.experiment.picture import looks_picture
    from mlguide_assets.experiment.publishing import ended_on_servers, publish_routes
    from mlguide_assets.prepare.clock import data_clock

    before = {each.key: each for each in running(lake)}
    actions, members = actions_of(tables, problem), versions_of(tables, problem)
    until = data_clock(actions, problem.decision.time) if before else None
    added = (
        take_looks(lake, problem, actions=actions, members=members, until=until, run_id=run_id)
        if until is not None
        else []
    )
    decide_on_waiting(home, lake, problem, run_id=run_id)
    looked_at = [before[row["experiment"], row["version"]] for row in added]
    drawn = {f"experiment-{each.experiment.name}": looks_picture(each, results(lake, each)) for each in looked_at}
    now = running(lake)
    if len(now) < len(before) or ended_on_servers(home, problem, now):
        if any(each.kept_models for each in before.values() if each.key not in {one.key for one in now}):
            # The place of the challenger is free for a version that waits.
            install_challenger(home, lake, problem)
        publish_routes(home, problem, now, until.date() if until else date.min)
    return Looked(
        version=lake.snapshot(RESULTS).id if lake.exists(RESULTS) else "no look",
        running=len(now),
        verdicts="; ".join(f"{row['experiment']}, look {row['look']}: {row['verdict']}" for row in added)
        or "no look was due",
        faults=tuple(_faults(lake, problem, now, actions, members, until)),
        pictures={name: png for name, png in drawn.items() if png is not None},
    )


def _faults(
    lake: Lake,
    problem: Problem,
    present: "list[Started]",
    actions: "ibis.Table",
    members: "ibis.Table",
    until: datetime | None,
) -> Iterator[str]:
    from mlguide_assets.experiment.ledger import unreadable
    from mlguide_assets.experiment.looks import faults_of, units_of
    from mlguide_assets.experiment.plan_faults import plan_faults
    from mlguide_assets.experiment.specification import fault_of_eligibility
    from mlguide_assets.experiment.unplanned import unplanned_actions

    for lost in unreadable(lake):
        yield f"{lost.title}, assigns no unit: {lost.fault}"
    for each in present:
        if fault := fault_of_eligibility(each.experiment, problem):
            yield (
                f"{each.experiment.title}, no longer fits the problem file: {fault}. What was started cannot change: "
                f"stop it and start a new version, or take the change back."
            )
        for fault in plan_faults(lake, problem, each):
            yield f"{each.experiment.title}: {fault}"
        if until is None:
            continue
        if unplanned := unplanned_actions(lake, problem, each, actions, until):
            yield f"{each.experiment.title}: {unplanned}."
        units = units_of(lake, each, problem, actions, members, until)
        for fault in faults_of(units, each.experiment) if units is not None else ():
            yield f"{each.experiment.title}: {fault}."


def _assignments(lake: Lake, problem: Problem, present: "list[Started]", day: date) -> "ibis.Table | None":
    from mlguide_assets.experiment.actions import actions_of, members_of, tables_of_actions
    from mlguide_assets.experiment.assignment import assigned_on
    from mlguide_assets.experiment.outcomes import ended_before

    tables = tables_of_actions(lake, problem)
    gone = ended_before(actions_of(tables, problem), problem, midnight(day))
    exposed = lake.read(EXPOSURES) if lake.exists(EXPOSURES) else None
    return assigned_on(day, present, members_of(tables, problem), gone, exposed, problem)


def _answers(lake: Lake, problem: Problem, started: "Started") -> "ibis.Table | None":
    """The API's answers since an experiment started, about units without a positive outcome before; None without any.

    A server knows which units an experiment takes, but not their outcomes.
    """
    from mlguide_assets.experiment.actions import actions_of, tables_of_actions
    from mlguide_assets.experiment.outcomes import ended_before

    days = [day for day in _partitions(lake, PREDICTION_LOG) if day >= started.start.isoformat()]
    if not days:
        return None
    log = lake.read(PREDICTION_LOG, partitions=days, by_name=True)
    if "experiment" not in log.columns:
        return None
    instant = midnight(started.start)
    actions = actions_of(tables_of_actions(lake, problem), problem)
    return log.anti_join(ended_before(actions, problem, instant), problem.decision.unit_id)


def _partitions(lake: Lake, table: str) -> Collection[str]:
    return lake.snapshot(table).partitions if lake.exists(table) else ()
