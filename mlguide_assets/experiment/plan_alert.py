"""The alert, and the warnings of a run, about experiments whose plans decide nothing or by another version."""

from datetime import UTC, date, datetime

from mlguide_assets.define.problem import Problem
from mlguide_assets.experiment.tables import EXPERIMENTS
from mlguide_assets.observe.alerts.alert import EXPERIMENT_PLANS, Alert
from mlguide_assets.prepare.lake.lake import Lake


def plan_warnings(lake: Lake, problem: Problem) -> list[str]:
    """What is wrong with the last planned day of the experiments that run, a text for each fault."""
    return [f"{title}: {fault}" for title, _, fault in _faults(lake, problem)]


def plan_alert(lake: Lake, problem: Problem) -> Alert | None:
    """The same as an alert; None where nothing is wrong."""
    faults = _faults(lake, problem)
    if not faults:
        return None
    return Alert(
        key=EXPERIMENT_PLANS,
        kind="data",
        level="warn",
        title="The plans of an experiment do not do what its arms say",
        happened=" ".join(f"{title}: {fault}" for title, _, fault in faults),
        since=min(started_at for _, started_at, _ in faults),
        severity="Its looks have no numbers, or those of other versions than were to be compared.",
        next_step="'mlguide experiment status' names the versions of each arm, and who was exposed.",
        facts={"experiments": sorted({title for title, _, _ in faults})},
    )


def _faults(lake: Lake, problem: Problem) -> list[tuple[str, datetime, str]]:
    """Title, start and fault. Of the last planned day alone: this is asked often."""
    if not problem.chooses or not lake.exists(EXPERIMENTS):
        return []
    from mlguide_assets.experiment.ledger import running
    from mlguide_assets.experiment.plan_faults import plan_faults
    from mlguide_assets.experiment.starting import last_planned

    last = last_planned(lake, problem) or date.min
    return [
        (each.title, datetime.fromisoformat(each.started_at).astimezone(UTC), fault)
        for each in running(lake)
        for fault in plan_faults(lake, problem, each, since=last)
    ]
