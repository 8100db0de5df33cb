"""Dagster's history follows the names of assets: where a home gets a second problem, those of the first get a prefix.

Dagster knows an asset by its key only. What was recorded under the key of before would stay in the catalogue for ever,
without code, and the asset under its new key would look as if it had never been made.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import dagster as dg
from dagster import DagsterEventType

from mlguide_assets.define.loading import name_in_home, readable_problems
from mlguide_assets.settings import Home

MOST_EVENTS = 1000
"""The newest of each asset that are taken along."""

_INPUT_TAGS = ("dagster/input_data_version/", "dagster/input_event_pointer/")
"""Of a materialization; the key of the input follows."""


def follow_names(home: Home, instance: dg.DagsterInstance, problem_tag: str) -> int:
    """Give what is recorded of assets the names that these have now; how many assets had another.

    Each asset is first recorded under its new key, with the metadata, data version, run and time of before, then
    wiped under its old one: what a crash leaves undone, the next call does, and records nothing twice.

    Args:
        problem_tag: of runs, the key of their problem.
    """
    names = {key: name_in_home(problem, home) for key, problem in readable_problems(home).items()}
    moved = 0
    for key in instance.get_asset_keys():
        if len(key.path) > 1 and key.path[0] in names.values():
            continue
        entries = _materializations(instance, key)
        run = instance.get_run_by_id(entries[-1].run_id) if entries else None
        name = names.get(run.tags.get(problem_tag, "")) if run else None
        if name is None:
            continue

        def renamed(old: dg.AssetKey, prefix: str = name) -> dg.AssetKey:
            return dg.AssetKey([prefix, old.path[-1]])

        _record(instance, entries, _materializations(instance, renamed(key)), renamed)
        _record_checks(instance, key, entries[-1].run_id, renamed)
        instance.wipe_assets([key])
        moved += 1
    return moved


def _materializations(instance: dg.DagsterInstance, key: dg.AssetKey) -> list[dg.EventLogEntry]:
    """The oldest first."""
    records = instance.fetch_materializations(key, limit=MOST_EVENTS).records
    return [record.event_log_entry for record in reversed(records)]


def _record(
    instance: dg.DagsterInstance,
    entries: list[dg.EventLogEntry],
    known: list[dg.EventLogEntry],
    renamed: Callable[[dg.AssetKey], dg.AssetKey],
) -> None:
    """Record materializations under another key, but for those that are there."""
    there = {(entry.run_id, entry.timestamp) for entry in known}
    for entry in entries:
        event = entry.dagster_event
        if event is None or (entry.run_id, entry.timestamp) in there:
            continue
        data = event.step_materialization_data
        made = data.materialization
        made = made._replace(asset_key=renamed(made.asset_key), tags=dict(_tags(made.tags or {}, renamed)))
        instance.event_log_storage.store_event(
            entry._replace(dagster_event=event._replace(event_specific_data=data._replace(materialization=made)))
        )


def _record_checks(
    instance: dg.DagsterInstance, key: dg.AssetKey, run_id: str, renamed: Callable[[dg.AssetKey], dg.AssetKey]
) -> None:
    """Record what the checks of an asset last found, as if they had found it now."""
    newest: dict[str, Any] = {}
    for entry in instance.all_logs(run_id, of_type=DagsterEventType.ASSET_CHECK_EVALUATION):
        found: Any = entry.dagster_event.event_specific_data if entry.dagster_event else None
        if found is not None and found.asset_key == key:
            newest[found.check_name] = found
    for found in newest.values():
        check = dg.AssetCheckKey(renamed(key), found.check_name)
        if instance.event_log_storage.get_latest_asset_check_execution_by_key([check]).get(check) is None:
            instance.report_runless_asset_event(
                dg.AssetCheckEvaluation(
                    asset_key=check.asset_key,
                    check_name=check.name,
                    passed=found.passed,
                    metadata=found.metadata,
                    severity=found.severity,
                    description=found.description,
                    blocking=found.blocking,
                )
            )


def _tags(tags: Mapping[str, str], renamed: Callable[[dg.AssetKey], dg.AssetKey]) -> Iterator[tuple[str, str]]:
    """The tags of a materialization, with the new keys of its inputs: else it would look older than these."""
    for tag, value in tags.items():
        prefix = next((prefix for prefix in _INPUT_TAGS if tag.startswith(prefix)), None)
        if prefix is not None:
            key = dg.AssetKey.from_user_string(tag.removeprefix(prefix))
            yield prefix + renamed(key).to_user_string(), value
        else:
            yield tag, value
