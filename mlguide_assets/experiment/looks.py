"""The looks at an experiment: on the days that its file names, its units are analysed and the answer goes on record.

An answer is a row of `experiment_results`; rows are only ever added, one per look. A decisive one ends the experiment,
and so does the last look: then the record of experiments says so, too. What a crash leaves undone, the next call does.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime
from typing import Any

import ibis

from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.analysis.analysis import analyse, withheld
from mlguide_assets.experiment.analysis.design import Design, Guardrail, Kind, Looks, Metric
from mlguide_assets.experiment.analysis.health import check_health
from mlguide_assets.experiment.analysis.results import Analysis, Effect, HealthCheck
from mlguide_assets.experiment.analysis.rows import check_rows
from mlguide_assets.experiment.analysis.units import read_units
from mlguide_assets.experiment.arm_effects import FIGURES, figures_of
from mlguide_assets.experiment.arm_models import fallback_fault, lost_version, versions_of_arms
from mlguide_assets.experiment.criterion import record_verdict
from mlguide_assets.experiment.exposure import exposures_of
from mlguide_assets.experiment.ledger import finish, is_running, results, running, table_lock
from mlguide_assets.experiment.outcomes import ACTIONS, COLUMNS, EARLIER, OUTCOME, changing_slices, unit_outcomes
from mlguide_assets.experiment.results_table import SCHEMA
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.experiment.started import Started
from mlguide_assets.experiment.tables import RESULTS
from mlguide_assets.experiment.triggering import TRIGGER, with_trigger
from mlguide_assets.experiment.unplanned import unplanned_actions
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table
from mlguide_assets.statistics.missing import finite_or_none, with_finite_numbers
from mlguide_assets.statistics.sequential import boundaries

BY_LOOK = "look"
"""Who ended an experiment, in the record, where its results did."""

_KINDS: dict[str, Kind] = {OUTCOME: "binary", ACTIONS: "mean"}
_DAILY = ("sample_ratio", "mixed_exposure")
"""Checks that may be made every day: the sample ratio is tested sequentially."""

_STEP = 0.01
"""By so much the information grows at a look that found nothing new, and so much of it is kept for each later look."""


@dataclass(frozen=True)
class Look:
    """A look that is due: which of them, counted from 1, and whether none follows."""

    number: int
    day: date
    is_final: bool


def look_due(started: Started, recorded: Sequence[dict[str, Any]], until: datetime) -> Look | None:
    """The newest look whose day the data have reached, unless it is on record. Looks that were missed are left out."""
    days = started.look_days()
    reached = [number for number, day in enumerate(days, start=1) if until >= midnight(day)]
    if not reached or any(row["look"] >= reached[-1] for row in recorded):
        return None
    return Look(reached[-1], days[reached[-1] - 1], reached[-1] == len(days))


def take_looks(
    lake: Lake, problem: Problem, *, actions: ibis.Table, members: ibis.Table, until: datetime, run_id: str
) -> list[dict[str, Any]]:
    """Analyse every running experiment that has a look due, put the answers on record, and return their rows.

    Args:
        actions, members: see `unit_outcomes`.
        until: the data's clock.
    """
    added = []
    with table_lock(lake, RESULTS):
        for started in running(lake):
            recorded = results(lake, started)
            look = look_due(started, recorded, until)
            if look is not None:
                units = units_of(lake, started, problem, actions, members, until)
                fault = _fault(lake, problem, started, actions, until)
                row = _row(
                    started, look, recorded, units, fault, changing=changing_slices(problem), until=until, run_id=run_id
                )
                # An analysis takes a while, and a person may have stopped it: then it decides nothing any more.
                if not is_running(lake, started):
                    continue
                lake.append(RESULTS, small_table([row], SCHEMA))
                recorded = [*recorded, row]
                added.append(row)
            if recorded and recorded[-1]["is_final"]:
                record_verdict(lake, problem, started, recorded[-1])
                reason = f"{recorded[-1]['verdict']}: {recorded[-1]['reason']}"
                finish(lake, started, reason=reason, who=BY_LOOK)
    return added


def _fault(
    lake: Lake, problem: Problem, started: Started, actions: ibis.Table, until: datetime
) -> tuple[str, str] | None:
    """What keeps the arms from showing their policies, though their rows do not show it: a check, and a sentence."""
    if lost := lost_version(started, versions_of_arms(lake, problem, started)) or fallback_fault(lake, started):
        return "version", lost
    if unplanned := unplanned_actions(lake, problem, started, actions, until):
        return "plans", unplanned
    return None


def units_of(
    lake: Lake, started: Started, problem: Problem, actions: ibis.Table, members: ibis.Table, until: datetime
) -> ibis.Table | None:
    """The exposed units of an experiment with their outcomes; None before the first exposure."""
    exposures = exposures_of(lake, started)
    if exposures is None or not exposures.count().to_pyarrow().as_py():
        return None
    units = unit_outcomes(exposures, actions, members, started.experiment, problem, until=until)
    return with_trigger(units, exposures, lake, started, problem)


def faults_of(units: ibis.Table, experiment: Experiment) -> list[str]:
    """What is wrong with the units of an experiment so far, in words: of the checks that hold on every day.

    The other checks are made at the looks: made every day, they would alarm too often by chance.
    """
    design = design_of(experiment, units, Looks((1.0,)))
    try:
        arms = check_rows(units, design)
    except InputError as error:
        return [str(error)]
    health = check_health(read_units(units, design, arms), design)
    return [check.text for check in health if check.check in _DAILY and not check.passed]


def design_of(
    experiment: Experiment, units: ibis.Table, looks: Looks | None, *, changing: Sequence[str] = ()
) -> Design:
    """How the units of an experiment are analysed, as its file says.

    Args:
        changing: see `outcomes.changing_slices`.
    """
    primary = experiment.primary
    return Design(
        unit="unit_id",
        variant="arm",
        control=experiment.control,
        metrics=(Metric(primary.metric, _KINDS[primary.metric], primary.better),),
        guardrails=tuple(
            Guardrail(each.metric, each.margin, _KINDS[each.metric], each.better, relative=True)
            for each in experiment.guardrails
        ),
        covariates=(EARLIER,),
        segments=tuple(name for name in units.columns if name not in _NO_SEGMENTS),
        changing=tuple(changing),
        weights={arm.name: arm.weight for arm in experiment.arms},
        alpha=experiment.alpha,
        looks=looks,
        closed="closed",
        trigger=TRIGGER if TRIGGER in units.columns else None,
        smallest_effect=primary.smallest_effect,
    )


_NO_SEGMENTS = (*COLUMNS, TRIGGER)


def information(closed: int, planned: int, before: float, look: Look, looks: int) -> float:
    """The information fraction of a look: units whose window is closed, over those planned; above that of the last.

    Where more units came than were planned, an early look keeps some of alpha for those after it.
    """
    most = 1.0 if look.is_final else 1 - _STEP * (looks - look.number)
    return max(min(closed / max(planned, 1), most), before + _STEP)


_NOBODY = "No exposure: no plan that was made in time and no answer of the API gave a unit its arm."
_UNEXPOSED = Analysis(
    (HealthCheck("exposure", 0.0, None, False, _NOBODY),), {}, {}, (), "unhealthy", "no_exposure", _NOBODY
)


def _row(
    started: Started,
    look: Look,
    recorded: Sequence[dict[str, Any]],
    units: ibis.Table | None,
    fault: tuple[str, str] | None,
    *,
    changing: Sequence[str],
    until: datetime,
    run_id: str,
) -> dict[str, Any]:
    experiment = started.experiment
    earlier = [row["information"] for row in recorded]
    # In memory: with the SQL of its present release, Ibis cannot drop what `cache` leaves.
    known = ibis.memtable(units.to_pyarrow()) if units is not None else None
    closed = int(known.filter(known.closed).unit_id.nunique().to_pyarrow().as_py()) if known is not None else 0
    before = earlier[-1] if earlier else 0.0
    now = information(closed, started.planned_units, before, look, len(experiment.looks))
    fractions = (*earlier, now)
    if known is None:
        analysis = _UNEXPOSED
    else:
        looks = Looks(fractions, look.is_final)
        analysis = analyse(known, design_of(experiment, known, looks, changing=changing))
        analysis = withheld(analysis, *fault) if fault else analysis
    return {
        "experiment": experiment.name,
        "version": experiment.version,
        "look": look.number,
        "looks": len(experiment.looks),
        "look_day": look.day.isoformat(),
        "data_until": until.isoformat(),
        "recorded_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "is_final": look.is_final or analysis.verdict in ("ship", "keep"),
        "information": now,
        "boundary": boundaries(fractions, experiment.alpha)[-1],
        "run_id": run_id,
        **_answer(analysis, experiment),
    }


def _answer(analysis: Analysis, experiment: Experiment) -> dict[str, Any]:
    """What an analysis says, as columns; of several arms the one to ship, else the first in the file."""
    shown = _shown(analysis, experiment)
    figures = {} if shown is None else figures_of(asdict(shown))
    return {
        "verdict": analysis.verdict,
        "rule": analysis.rule,
        "reason": analysis.reason,
        "variant": analysis.variant,
        "units": sum(analysis.units.values()),
        "waiting": sum(analysis.waiting.values()),
        "evidence": json.dumps(evidence_of(analysis)),
        **{name: finite_or_none(figures.get(name)) for name in FIGURES},
    }


def evidence_of(analysis: Analysis) -> dict[str, Any]:
    """All that led to a verdict, as JSON."""
    return {**with_finite_numbers(asdict(analysis)), "healthy": analysis.healthy}


def _shown(analysis: Analysis, experiment: Experiment) -> Effect | None:
    arms = [analysis.variant, *(arm.name for arm in experiment.arms)]
    primary = {each.variant: each for each in analysis.results if each.role == "primary"}
    return next((primary[arm] for arm in arms if arm in primary), None)
