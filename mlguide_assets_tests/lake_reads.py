"""Which tables of the lake assets read, watched while they run.

An asset may read what it depends on, directly or through others, and what it or others made of it before: what follows
from it cannot come before it. Any other table it would read behind Dagster's back: nothing would show that the asset is
out of date once the table has changed.
"""

import inspect
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import dagster as dg
from dagster._core.errors import DagsterInvariantViolationError

READS = "reads.json"

TYPES_ONLY = {"prediction_log"}
"""Assets that look at the types of features, from which no row follows. With an edge, answers would not land where a
source is refused."""


@contextmanager
def watched(read: Callable[[str, str, bool], None]) -> Iterator[None]:
    """Tell of every table that a step reads: by which asset, which table, and whether the graph shows it."""
    from mlguide_assets.prepare.lake.lake import Lake

    snapshot = Lake.snapshot

    def told(lake: Lake, table: str, snapshot_id: str | None = None) -> object:
        for context in _contexts():
            read(context.op_def.name, table, _is_shown(context, table))
        return snapshot(lake, table, snapshot_id)

    Lake.snapshot = told  # type: ignore[method-assign, assignment]
    try:
        yield
    finally:
        Lake.snapshot = snapshot  # type: ignore[method-assign]


def refuse_hidden(asset: str, table: str, is_shown: bool) -> None:
    """Fail the step that reads what its asset does not depend on."""
    assert is_shown, f"{asset} reads {table}, which is neither before nor after it in the graph of assets"


def run_recorded(into: Path, *arguments: str) -> None:
    """Do a command of `mlguide`, and write `READS` into a folder: how many reads, and which the graph does not show."""
    from mlguide_assets.cli import app

    reads: dict[tuple[str, str], bool] = {}
    try:
        with watched(lambda asset, table, is_shown: reads.update({(asset, table): is_shown})):
            app(arguments)
    finally:
        hidden = sorted(each for each, is_shown in reads.items() if not is_shown)
        (into / READS).write_text(json.dumps({"reads": len(reads), "hidden": hidden}))


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


def _is_shown(context: dg.OpExecutionContext, table: str) -> bool:
    """Whether a table is before or after a step in the graph, at any distance, or is made by no asset.

    Others, such as the experiments that people start, are records of commands.
    """
    graph, definition = _graph(), context.assets_def
    made = {key for key in graph.get_all_asset_keys() if key.path[-1] == table}
    own = {*definition.keys, *(key for keys in definition.asset_deps.values() for key in keys)}
    for spec in definition.check_specs:
        own |= {spec.asset_key, *(dep.asset_key for dep in spec.additional_deps)}
    around = _reached(graph, own, "parent_keys") | _reached(graph, {*definition.keys}, "child_keys")
    return not made or bool(made & around) or context.op_def.name in TYPES_ONLY


@cache
def _graph() -> Any:
    """That of all assets: a run may have a part of it."""
    from mlguide_assets.definitions import defs

    return defs().resolve_asset_graph()


def _reached(graph: Any, left: set[dg.AssetKey], direction: str) -> set[dg.AssetKey]:
    found: set[dg.AssetKey] = set()
    while left:
        key = left.pop()
        found.add(key)
        if graph.has(key):
            left |= getattr(graph.get(key), direction) - found
    return found
