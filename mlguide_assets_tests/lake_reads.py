"""Which tables of the lake assets read, recorded during a run: `run_recorded` is the command itself, watched.

An asset may read what it depends on, directly or through others, and what it made before. Any other table it would read
behind Dagster's back: nothing would show that the asset is out of date once the table has changed.
"""

import inspect
import json
from collections.abc import Iterator
from pathlib import Path

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError

READS = "reads.json"


def run_recorded(into: Path, *arguments: str) -> None:
    """Do a command of `mlguide`, and write `READS` into a folder: how many reads, and which were of no dependency."""
    from mlguide_assets.cli import app
    from mlguide_assets.prepare.lake.lake import Lake

    reads: set[tuple[str, str]] = set()
    hidden: set[tuple[str, str]] = set()
    snapshot = Lake.snapshot

    def recorded(lake: Lake, table: str, snapshot_id: str | None = None) -> object:
        for context in _contexts():
            reads.add((context.op_def.name, table))
            if table in _made(context) and table not in _upstream(context):
                hidden.add((context.op_def.name, table))
        return snapshot(lake, table, snapshot_id)

    Lake.snapshot = recorded  # type: ignore[method-assign, assignment]
    try:
        app(arguments)
    finally:
        (into / READS).write_text(json.dumps({"reads": len(reads), "hidden": sorted(hidden)}))


def _contexts() -> Iterator[dg.OpExecutionContext]:
    """The step that computes now; none between steps, or while what it gave is written.

    What columns mean is looked up for every table that is written: no row follows from it.
    """
    try:
        context = dg.OpExecutionContext.get()
    except DagsterInvariantViolationError:
        return
    is_written = any(frame.function == "handle_output" for frame in inspect.stack(context=0))
    if context.has_assets_def and not is_written:
        yield context


def _made(context: dg.OpExecutionContext) -> set[str]:
    """The tables that assets make; others, such as the experiments that people start, are records of commands."""
    return {key.path[-1] for key in context.job_def.asset_layer.asset_graph.get_all_asset_keys()}


def _upstream(context: dg.OpExecutionContext) -> set[str]:
    """The tables that a step's assets or checks depend on, at any distance, and its own."""
    definition, graph = context.assets_def, context.job_def.asset_layer.asset_graph
    left = {*definition.keys, *(key for keys in definition.asset_deps.values() for key in keys)}
    for spec in definition.check_specs:
        left |= {spec.asset_key, *(dep.asset_key for dep in spec.additional_deps)}
    found: set[dg.AssetKey] = set()
    while left:
        key = left.pop()
        found.add(key)
        if graph.has(key):
            left |= graph.get(key).parent_keys - found
    return {key.path[-1] for key in found}
