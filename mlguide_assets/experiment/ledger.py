"""The record of experiments: started, stopped, finished, by whom and why, with the file as it was. Rows are only added.

An experiment cannot be changed once it was started: the same version with other content is refused, and so is a
version that was used before. It imports neither Ibis nor DuckDB, so that a home without experiments pays nothing.
"""

import contextlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, date, datetime
from typing import Any, Literal

import pyarrow as pa

from mlguide_assets.deploy.gate.held_challenger import ENDED, MODELS_FIXED, STARTED
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.specification import Experiment
from mlguide_assets.experiment.started import Started, Unreadable, of_rows
from mlguide_assets.experiment.tables import EXPERIMENTS, RESULTS
from mlguide_assets.prepare.hosts.host_lock import locked_on_all_hosts
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.lake.small_tables import small_table

Event = Literal["started", "models", "stopped", "finished"]

_SCHEMA = pa.schema(
    [
        ("at", pa.string()),
        ("event", pa.string()),
        ("experiment", pa.string()),
        ("version", pa.int64()),
        ("start", pa.string()),
        ("planned_units", pa.int64()),
        ("reason", pa.string()),
        ("who", pa.string()),
        ("content", pa.string()),
        ("fingerprint", pa.string()),
    ]
)

COLUMNS = {
    "experiment": "Name of the experiment.",
    "version": "Its version.",
    "at": "When it was recorded, UTC.",
    "event": "started, stopped by a person, finished by its results; or models: the versions of its arms.",
    "start": "The first day of the experiment.",
    "planned_units": "Units whose outcome window is expected to be closed at the last look; null but for starts.",
    "reason": "Why it was started or ended.",
    "who": "Who did it: a person, the problem file, or a look.",
    "content": "Of a start, the experiment file as it was; of models, the versions by policy, as JSON; else null.",
    "fingerprint": "A hash of what the file says, however it is written; null but for starts.",
}
"""Column → meaning."""


def recorded(lake: Lake) -> list[Started | Unreadable]:
    """All experiments that were ever started, in the order in which they were."""
    rows = _rows(lake)
    ends = {_key(row): row for row in rows if row["event"] in ENDED}
    models = {_key(row): json.loads(row["content"]) for row in rows if row["event"] == MODELS_FIXED}
    starts = (row for row in rows if row["event"] == STARTED)
    return [of_rows(row, ends.get(_key(row)), models.get(_key(row), {})) for row in starts]


def experiments(lake: Lake) -> list[Started]:
    """Those of which results can be computed, in the same order."""
    return [each for each in recorded(lake) if isinstance(each, Started)]


def running(lake: Lake) -> list[Started]:
    """The experiments that were started and have not ended."""
    return [each for each in experiments(lake) if each.state == "running"]


def unreadable(lake: Lake) -> list[Unreadable]:
    """The experiments that have not ended and of which nothing can be computed."""
    return [each for each in recorded(lake) if isinstance(each, Unreadable) and each.state == "running"]


def find(lake: Lake, name: str) -> Started:
    """The newest version of an experiment.

    Raises:
        InputError: none of that name was ever started, and the text names those that were; or it is `Unreadable`.
    """
    found = _newest(lake, name)
    if isinstance(found, Unreadable):
        raise InputError(f"{found.title} has no results: {found.fault}")
    return found


def _newest(lake: Lake, name: str) -> Started | Unreadable:
    known = recorded(lake)
    found = next((each for each in reversed(known) if each.key[0] == name), None)
    if found is None:
        names = ", ".join(sorted({each.key[0] for each in known}))
        raise InputError(
            f"No experiment {name!r} was started here (started: {names or 'none yet'}): "
            f"'mlguide experiment start FILE' starts one."
        )
    return found


def results(lake: Lake, started: Started | None = None) -> list[dict[str, Any]]:
    """Every look that is on record, of one experiment or of all, the oldest first."""
    rows: list[dict[str, Any]] = lake.read_arrow(RESULTS).to_pylist() if lake.exists(RESULTS) else []
    return [row for row in rows if started is None or (row["experiment"], row["version"]) == started.key]


def start(
    lake: Lake,
    experiment: Experiment,
    content: str,
    *,
    first_day: date,
    planned_units: int,
    who: str,
    reason: str = "",
) -> Started:
    """Put an experiment on record as started. Two processes that start it at once add one row; the second is refused.

    Args:
        content: the file's text, kept as it is.
        first_day: the first day whose units can still be assigned.
        planned_units: see `Started`.

    Raises:
        InputError: this version was started before, its content has changed, it shares units with one that runs, or
            its start or its end is over.
    """
    with table_lock(lake, EXPERIMENTS):
        refuse_start(experiment, lake)
        day = start_of(experiment, first_day)
        row = _row(STARTED, experiment.key, day.isoformat(), who=who, reason=reason) | {
            "planned_units": planned_units,
            "content": content,
            "fingerprint": experiment.fingerprint,
        }
        lake.append(EXPERIMENTS, small_table([row], _SCHEMA))
    return Started(experiment, day, planned_units=planned_units, started_at=row["at"], who=who, reason=reason)


def record_models(lake: Lake, started: Started, models: Mapping[str, str], *, who: str) -> Started:
    """Put on record which model versions the arms of an experiment are decided by, unless that is on record.

    A version that is on record stays; what comes later adds those of policies that had none.

    Args:
        models: by policy.
    """
    with table_lock(lake, EXPERIMENTS):
        known = next(each.models for each in experiments(lake) if each.key == started.key)
        found = {**models, **known}
        if found != known:
            row = _row(MODELS_FIXED, started.key, started.start.isoformat(), who=who, reason="")
            lake.append(EXPERIMENTS, small_table([row | {"content": json.dumps(found)}], _SCHEMA))
    return replace(started, models=found)


def start_of(experiment: Experiment, first_day: date) -> date:
    """The day on which an experiment starts.

    Args:
        first_day: the first day whose units can still be assigned.

    Raises:
        InputError: its start is over, or its days do not fit together.
    """
    if experiment.start is not None and experiment.start < first_day:
        raise InputError(
            f"{experiment.title}: start {experiment.start} is over, since {first_day} is the first day that is not "
            f"planned yet: write a later start, or leave it out."
        )
    day = experiment.start or first_day
    if fault := experiment.fault_of_days(day):
        raise InputError(f"{experiment.title}, {fault}.")
    return day


def end(lake: Lake, name: str, *, reason: str, who: str) -> Started | Unreadable:
    """Put on record that a person stopped an experiment. From the next planned day on, its units are as all others.

    Raises:
        InputError: no reason is given, or it does not run.
    """
    if not reason.strip():
        raise InputError("Stopping an experiment needs a reason for those who come later: --reason 'why'.")
    with table_lock(lake, EXPERIMENTS):
        found = _newest(lake, name)
        if found.state != "running":
            raise InputError(f"{found.title} does not run: it was {found.state} at {found.ended_at}.")
        row = _row("stopped", found.key, str(found.start), who=who, reason=reason.strip())
        lake.append(EXPERIMENTS, small_table([row], _SCHEMA))
    return _newest(lake, name)


def finish(lake: Lake, started: Started, *, reason: str, who: str) -> None:
    """Put on record that an experiment ended by its results, unless a person has stopped it meanwhile."""
    with table_lock(lake, EXPERIMENTS):
        if is_running(lake, started):
            row = _row("finished", started.key, str(started.start), who=who, reason=reason)
            lake.append(EXPERIMENTS, small_table([row], _SCHEMA))


def is_running(lake: Lake, started: Started) -> bool:
    """Whether an experiment, by its name and version, has not ended by now."""
    return any(each.key == started.key for each in running(lake))


def refuse_start(experiment: Experiment, lake: Lake) -> None:
    """Refuse a version that was started before, or that shares units with an experiment that runs.

    Raises:
        InputError: naming the other one, and what to write.
    """
    refuse_used_version(experiment, recorded(lake))
    _refuse_shared_units(experiment, running(lake))


def refuse_used_version(experiment: Experiment, known: Sequence[Started | Unreadable]) -> None:
    """Refuse a version that was started before.

    Raises:
        InputError: saying whether its content has changed since, and which version is free.
    """
    versions = [each for each in known if each.key[0] == experiment.name]
    newest = max((each.key[1] for each in versions), default=0)
    before = next((each for each in versions if each.key[1] == experiment.version), None)
    if before is not None and before.fingerprint != experiment.fingerprint:
        raise InputError(
            f"{experiment.title} was started on {before.start} with other content, and what was started cannot be "
            f"changed: a change is a new version; write version: {newest + 1}."
        )
    if before is not None:
        now = "runs already" if before.state == "running" else f"was {before.state} at {before.ended_at}"
        raise InputError(f"{experiment.title} {now}; to start it again, write version: {newest + 1}.")
    if experiment.version < newest:
        raise InputError(
            f"{experiment.title} is older than version {newest}, which was started: write a later version."
        )


def _refuse_shared_units(experiment: Experiment, others: list[Started]) -> None:
    for other in (each.experiment for each in others):
        if experiment.exclusion.overlaps(other.exclusion):
            raise InputError(
                f"{experiment.title} and {other.title}, which runs, would share units (exclusion {_slice(experiment)} "
                f"and {_slice(other)}): give them disjoint slices of one group, or stop the other."
            )


def _slice(experiment: Experiment) -> str:
    slice_ = experiment.exclusion
    return f"{slice_.group} {slice_.first:g} to {slice_.last:g}"


def _row(event: Event, key: tuple[str, int], start: str, *, who: str, reason: str) -> dict[str, Any]:
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "event": event,
        "experiment": key[0],
        "version": key[1],
        "start": start,
        "reason": reason,
        "who": who,
    }


def _key(row: dict[str, Any]) -> tuple[str, int]:
    return row["experiment"], row["version"]


def _rows(lake: Lake) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = lake.read_arrow(EXPERIMENTS).to_pylist() if lake.exists(EXPERIMENTS) else []
    return rows


@contextlib.contextmanager
def table_lock(lake: Lake, table: str) -> Iterator[None]:
    """What is read inside is what the rows added to a table inside follow from: one process at a time."""
    with contextlib.ExitStack() as turn:
        with writing(f"Table {table!r}", lake.root):
            turn.enter_context(locked_on_all_hosts(lake.root / f".{table}.lock", f"{table} of {lake.root.name}"))
        yield
