"""What a run that has ended was to make, and why it failed.

For alerts, the record of retraining and the command line: all of them say the same.
"""

import contextlib
import os
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlguide_assets.define.secrets import addresses_in_environment, masked
from mlguide_assets.defs.workspace import is_watched_here, other_problem
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.observe.alerts.failed_runs import PROCESS_GONE
from mlguide_assets.prepare.hosts.database import database_refusal
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from mlguide_assets.observe.alerts.failed_runs import Work

_REASON_CHARACTERS = 300
_REASONS = 3
_REFUSALS = (
    "InputError", "AnsweredError", "MissingTableError", "LostVersionError", "UnscorableError", "StoreError",
    "DamagedError", "UnresolvedFeatureError", "AwayError", "DecidedMeanwhileError",
)  # fmt: skip
"""Errors of ours, whose text is a sentence for people: InputError and all that are one."""

_INTERRUPTIONS = ("DagsterExecutionInterruptedError", "KeyboardInterrupt")
"""What is raised in a step that a signal, or a person in the Dagster UI, ends. They have no words for people."""

_NOT_BEGUN = (
    "Its process could not be started: 'daemon.log' and 'code_server.log' in the folder 'dagster' of the home say why."
)

_LOOKED_AT = 100
_RANGE = "dagster/asset_partition_range_start", "dagster/asset_partition_range_end"


class NotDoneError(dg.DagsterError):
    """What is to follow from the end of a run could not be done."""


@contextlib.contextmanager
def until_done() -> Iterator[None]:
    """Have a sensor of runs look at the same run again where a disk or a database refuses what it is to do.

    Dagster takes an error of such a sensor for its work done, and goes on with the next run: of this one nobody would
    ever be told. Only an error of Dagster's own kind leaves the cursor where it is.
    """
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except (InputError, OSError, OperationalError) as error:
        raise NotDoneError(str(error)) from error
    except Exception as error:
        if refusal := database_refusal(f"{type(error).__module__}.{type(error).__name__}: {error}"):
            raise NotDoneError(str(refusal)) from error
        raise


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
    """The causes of the steps that failed, or of the run itself, in their own words; else what became of its process.

    Args:
        source: the address that the problem reads, whose password is masked.
    """
    addresses = [*addresses_in_environment(), *([os.path.expandvars(source)] if source else [])]
    found: dict[str, str] = {}
    steps = [(f"{event.step_key}: ", event.step_failure_data.error) for event in context.get_step_failure_events()]
    ended = context.failure_event.job_failure_data
    for place, error in steps or [("", ended.error if ended else None)]:
        chain = causes(error)
        if not chain:
            continue
        said = refusal_in(chain) or next(filter(None, (database_refusal(each.message) for each in chain)), None)
        text = masked(str(said), *addresses) if said else innermost(chain, *addresses)
        found.setdefault(text, text if said else f"{place}{text}")
    if not found:
        return _why_no_step_failed(context.instance, context.dagster_run)
    shown = [*found.values()][:_REASONS]
    more = len(found) - len(shown)
    return " ".join([*shown, *([f"And {counted(more, 'other cause')}."] if more else [])])


def _why_no_step_failed(instance: dg.DagsterInstance, run: dg.DagsterRun) -> str:
    """Dagster's own sentences name its parts, and not what became of them."""
    record = instance.get_run_record_by_id(run.run_id)
    return PROCESS_GONE if record and record.start_time else _NOT_BEGUN


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


def is_done_since(instance: dg.DagsterInstance, failed: dg.DagsterRun, work: "Work", home: Home) -> bool:
    """Whether a later run has made up for one that failed: of runs that ended long ago, no order is kept in looking."""
    record = instance.get_run_record_by_id(failed.run_id)
    if record is None:
        return False
    succeeded = dg.RunsFilter(statuses=[dg.DagsterRunStatus.SUCCESS], created_after=record.create_timestamp)
    later = [each.dagster_run for each in instance.get_run_records(succeeded, limit=_LOOKED_AT)]
    return any(
        work_of(instance, run, other_problem(run)).makes_up_for(work) for run in later if is_told_of_here(run, home)
    )


def is_told_of_here(run: dg.DagsterRun, home: Home) -> bool:
    """Whether a run may make up for failures whose alerts this code location raised.

    A problem that succeeds gets a code location of its own, which knows nothing of its earlier failures.
    """
    return other_problem(run) is not None or is_watched_here(run, home)


def is_no_earlier(instance: dg.DagsterInstance, run: dg.DagsterRun, than: str | None) -> bool:
    """Whether a run was not made before another, which may be unknown; one that was given up may succeed itself."""
    one, other = instance.get_run_record_by_id(run.run_id), instance.get_run_record_by_id(than) if than else None
    return one is None or other is None or one.storage_id >= other.storage_id


def _planned(instance: dg.DagsterInstance, run: dg.DagsterRun) -> set[dg.AssetKey]:
    """The assets that a run of a job makes."""
    planned = dg.DagsterEventType.ASSET_MATERIALIZATION_PLANNED
    records = instance.get_records_for_run(run.run_id, of_type=planned).records
    events = [record.event_log_entry.dagster_event for record in records]
    return {event.asset_key for event in events if event and event.asset_key}
