"""The alerts, and the warnings of a run, about experiments whose plans decide nothing, or by versions that they should
not: one alert for each cause, since what is to be done differs."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.bundle import CHALLENGER
from mlguide_assets.deploy.gate.held_challenger import Held
from mlguide_assets.deploy.gate.history import withdrawing_decision
from mlguide_assets.experiment.tables import EXPERIMENTS
from mlguide_assets.observe.alerts.alert import EXPERIMENT_PLANS, EXPERIMENT_VERSIONS, EXPERIMENT_WITHDRAWN, Alert
from mlguide_assets.prepare.lake.lake import Lake

if TYPE_CHECKING:
    from mlguide_assets.experiment.plan_faults import Cause
    from mlguide_assets.experiment.started import Started


@dataclass(frozen=True)
class _Fault:
    started: "Started"
    cause: "Cause"
    sentence: str

    @property
    def warning(self) -> str:
        return f"{self.started.title}: {self.sentence}"

    @property
    def since(self) -> datetime:
        return datetime.fromisoformat(self.started.started_at).astimezone(UTC)


def plan_warnings(lake: Lake, problem: Problem) -> list[str]:
    """What is wrong with the last planned day of the experiments that run, a text for each fault."""
    return [fault.warning for fault in _faults(lake, problem)]


def experiment_alerts(lake: Lake, problem: Problem) -> Mapping[str, Alert | None]:
    """The same as alerts, by the key of the incident; None where nothing is wrong."""
    by_cause: dict[Cause, list[_Fault]] = {}
    for fault in _faults(lake, problem):
        by_cause.setdefault(fault.cause, []).append(fault)
    late, versions, withdrawn = (by_cause.get(cause, []) for cause in ("late", "versions", "withdrawn"))
    return {
        EXPERIMENT_PLANS: _late(late) if late else None,
        EXPERIMENT_VERSIONS: _versions(versions) if versions else None,
        EXPERIMENT_WITHDRAWN: _withdrawn(lake, withdrawn) if withdrawn else None,
    }


def _late(faults: Sequence[_Fault]) -> Alert:
    return Alert(
        key=EXPERIMENT_PLANS,
        kind="data",
        level="warn",
        title="The plans of an experiment came too late",
        happened=_happened(faults),
        since=min(fault.since for fault in faults),
        severity="Nobody meets an arm by them, so its looks have no numbers.",
        next_step="'mlguide experiment status' says who was exposed.",
        facts=_facts(faults),
    )


def _versions(faults: Sequence[_Fault]) -> Alert:
    return Alert(
        key=EXPERIMENT_VERSIONS,
        kind="data",
        level="warn",
        title="The plans of an experiment do not do what its arms say",
        happened=_happened(faults),
        since=min(fault.since for fault in faults),
        severity="What it shows is not the difference between the versions that it began with.",
        next_step="'mlguide experiment status' names the versions of each arm.",
        facts=_facts(faults),
    )


def _withdrawn(lake: Lake, faults: Sequence[_Fault]) -> Alert:
    version = faults[0].started.kept_models[CHALLENGER]
    held, row = Held(version, tuple(fault.started.key for fault in faults)), withdrawing_decision(lake, version)
    assert row is not None
    return Alert(
        key=EXPERIMENT_WITHDRAWN,
        kind="performance",
        level="act",
        title=f"Version {version} was withdrawn, and an experiment goes on with it",
        happened=_happened(faults),
        since=datetime.fromisoformat(row["decided_at"]).astimezone(UTC),
        severity=f"The units of its arm follow version {version} until the experiment ends.",
        next_step=f"If it harms them: {held.stops}. They follow the champion from then on.",
        facts=_facts(faults) | {"model_version": version},
    )


def _happened(faults: Sequence[_Fault]) -> str:
    return " ".join(fault.warning for fault in faults)


def _facts(faults: Sequence[_Fault]) -> dict[str, object]:
    return {"experiments": sorted({fault.started.title for fault in faults})}


def _faults(lake: Lake, problem: Problem) -> Iterator[_Fault]:
    """Of the last planned day alone: this is asked often."""
    if not problem.chooses or not lake.exists(EXPERIMENTS):
        return
    from mlguide_assets.experiment.ledger import running
    from mlguide_assets.experiment.plan_faults import faults_by_cause
    from mlguide_assets.experiment.starting import last_planned

    last = last_planned(lake, problem) or date.min
    for each in running(lake):
        for cause, sentence in faults_by_cause(lake, problem, each, since=last):
            yield _Fault(each, cause, sentence)
