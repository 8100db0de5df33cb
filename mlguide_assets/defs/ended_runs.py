"""What a run that has ended was to make, and why it failed.

For alerts, the record of retraining and the command line: all of them say the same.
"""

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlguide_assets.define.secrets import addresses_in_environment, masked
from mlguide_assets.english import counted
from mlguide_assets.prepare.hosts.database import database_refusal

if TYPE_CHECKING:
    from mlguide_assets.observe.alerts.failed_runs import Work

_REASON_CHARACTERS = 300
_REASONS = 3
_REFUSALS = (
    "InputError", "AnsweredError", "MissingTableError", "LostVersionError", "UnscorableError", "StoreError",
    "DamagedError", "UnresolvedFeatureError", "AwayError",
)  # fmt: skip
"""Errors of ours, whose text is a sentence for people: InputError and all that are one."""

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
"""What is raised in a step that a signal, or a person in the Dagster UI, ends. They have no words for people."""

_RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


def causes(error: Any) -> list[Any]:
    """An error of Dagster's record and what it was raised from, the outermost first."""
    chain = []
    while error is not None:
        chain.append(error)
        error = error.cause
    return chain


def refusal_in(chain: Iterable[Any]) -> str | None:
    """The sentence of ours among errors of Dagster's record; None where there is none."""
    for error in chain:
        if error.cls_name in _REFUSALS:
            return str(error.message.partition(": ")[2].strip())
    return None


def innermost(chain: list[Any], *addresses: str) -> str:
    """What the last of the errors says, in one line of bounded length, without secrets of the addresses."""
    if any(error.cls_name in _INTERRUPTIONS for error in chain):
        return "It was ended by a signal before it was done."
    return " ".join(masked(chain[-1].message, *addresses).split())[:_REASON_CHARACTERS]


def why_it_failed(context: dg.RunFailureSensorContext, source: str | None) -> str:
    """The causes of the steps that failed, in their own words; Dagster's sentence where no step has begun.

    Args:
        source: the address that the problem reads, whose password is masked.
    """
    addresses = [*addresses_in_environment(), *([os.path.expandvars(source)] if source else [])]
    found: dict[str, str] = {}
    for event in context.get_step_failure_events():
        chain = causes(event.step_failure_data.error)
        if not chain:
            continue
        said = refusal_in(chain) or next(filter(None, (database_refusal(each.message) for each in chain)), None)
        text = masked(str(said), *addresses) if said else innermost(chain, *addresses)
        found.setdefault(text, text if said else f"{event.step_key}: {text}")
    if not found:
        return masked(context.failure_event.message or "no reason given", *addresses)
    shown = [*found.values()][:_REASONS]
    more = len(found) - len(shown)
    return " ".join([*shown, *([f"And {counted(more, 'other cause')}."] if more else [])])


def work_of(instance: dg.DagsterInstance, run: dg.DagsterRun, problem: str | None) -> "Work":
    """What a run was to make.

    Args:
        problem: the key of its problem, where that is not the one of this code location.
    """
    from mlguide_assets.defs.run_requests import REASON
    from mlguide_assets.observe.alerts.failed_runs import Work

    first, last = (run.tags.get(name) for name in _RANGE)
    if first and REASON in run.tags:
        # A sensor asks for all days that are due, and its next run is of all that still are.
        return Work(run.job_name, problem=problem)
    day = run.tags.get("dagster/partition")
    assets = tuple(sorted(key.path[-1] for key in run.asset_selection or _planned(instance, run)))
    return Work(run.job_name, assets, first or day, last or day, problem)


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that a run of a job makes."""
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    records = instance.get_records_for_run(run.run_id, of_type=planned).records
    events = [record.event_log_entry.dagster_event for record in records]
    return {event.asset_key for event in events if event and event.asset_key}
