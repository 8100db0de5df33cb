"""What every asset needs: the home, the problem and the lake; and how tables pass between assets."""

import contextlib
import functools
import os
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg

from mlguide_assets.define.loading import current_problem, load_problem, name_in_home, readable_problems
from mlguide_assets.define.problem import Problem
from mlguide_assets.defs.tags import PROBLEM_TAG
from mlguide_assets.english import counted
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.shared_problems import fetch_problems
from mlguide_assets.settings import Home, LakePlace

if TYPE_CHECKING:
    from mlguide_assets.deploy.online_store.store import OnlineStore
    from mlguide_assets.prepare.computing import EngineName
    from mlguide_assets.prepare.lake.lake import Lake

HOME = Home.locate()
fetch_problems(HOME)
PROBLEM = current_problem(HOME)
"""The problem of this code location: its rules are checks and its history is the range of partitions.

Another problem is another process: `mlguide run --problem` starts one; the UI picks it up on reload.
"""

NAME = name_in_home(PROBLEM, HOME)
"""What this problem is called beside others of its home; None where it is the only one."""
PREFIX = [NAME] if NAME else []
"""In front of the keys of all assets, so that several problems share one Dagster: `fraud/batch_predictions`."""

RUN_TAGS = {PROBLEM_TAG: PROBLEM.key}
"""The tags of every run of a job of this code location."""

OWNERS = [PROBLEM.owner]
SCORING_DATES = dg.DynamicPartitionsDefinition(name=f"{PROBLEM.key}_days")
"""The days that can be scored. They follow the data, not the calendar: `days.known_days` keeps them."""


def key_of(table: str) -> dg.AssetKey:
    """The key of the asset that makes a table of this problem."""
    return dg.AssetKey([*PREFIX, table])


def keys_of(*tables: str) -> dg.AssetSelection:
    """The assets that make these tables."""
    return dg.AssetSelection.assets(*map(key_of, tables))


def other_problem(run: dg.DagsterRun) -> str | None:
    """The key of the problem of a run, where it is not the one of this code location."""
    key = run.tags.get(PROBLEM_TAG)
    return None if key == PROBLEM.key else key


def is_of_this_problem(run: dg.DagsterRun) -> bool:
    """Whether a run is of the problem of this code location.

    One without a tag, of assets that a person chose or of an earlier version, counts by its code location, and where
    it has none.
    """
    if PROBLEM_TAG in run.tags:
        return run.tags[PROBLEM_TAG] == PROBLEM.key
    return not NAME or run.remote_job_origin is None or run.remote_job_origin.location_name == NAME


def is_watched_here(run: dg.DagsterRun, home: Home) -> bool:
    """Whether this code location raises the alerts of a run.

    It raises those of its own problem. A problem that no run has succeeded with yet, such as one with another source,
    has no code location: its alerts are raised by that of the problem that the home works on. Nor has one whose file
    is broken.
    """
    other = other_problem(run)
    if other is None:
        return is_of_this_problem(run)
    readable = readable_problems(home)
    return other not in readable and _worked_on(home, readable) in (None, PROBLEM.key)


def _worked_on(home: Home, readable: Iterable[str]) -> str | None:
    """The key of the problem that a home works on; where its file is broken, the first of those that go on."""
    try:
        return load_problem(str(home.active_problem)).key if home.active_problem.is_file() else None
    except InputError:
        return next(iter(readable), None)


class Workspace(dg.ConfigurableResource):  # type: ignore[type-arg]
    """The home of one problem, as assets see it."""

    root: str = str(HOME.root)

    @property
    def home(self) -> Home:
        return Home(Path(self.root))

    @property
    def problem(self) -> Problem:
        """The problem, with its features as the data have decided them."""
        from mlguide_assets.prepare.features.building import DECLARATIONS

        lake = self.lake
        return _as_decided(lake, lake.snapshot(DECLARATIONS).id if lake.exists(DECLARATIONS) else None)

    @property
    def source(self) -> str | None:
        """The address that the problem reads, as its file has it; None where it reads none."""
        return getattr(PROBLEM.source, "uri", None)

    @property
    def lake(self) -> "Lake":
        return _lake(self.home.lake(PROBLEM.key), PROBLEM.engine)

    @property
    def candidates(self) -> Path:
        return self.home.candidates(self.problem.key)

    @property
    def online_store(self) -> "OnlineStore":
        from mlguide_assets.deploy.online_store.opening import STORE_VARIABLE, open_store

        return open_store(self.home, self.problem.key, os.environ.get(STORE_VARIABLE))


class LakeIOManager(dg.ConfigurableIOManager):
    """Tables pass between assets as snapshots in the lake; an asset gets and gives Ibis expressions."""

    workspace: dg.ResourceDependency[Workspace]

    @contextlib.contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Generator["LakeIOManager", None, None]:
        """One run at a time, whoever started it. Here, because sensors, which never wait, pass no tables."""
        from mlguide_assets.prepare.hosts.run_lock import run_lock

        home = self.workspace.home
        home.ensure_writable()
        with run_lock(home, context.log.info if context.log else print):
            yield self

    def handle_output(self, context: dg.OutputContext, obj: Any) -> None:
        """Write a table, whole or what of it is new; or partitions of Dagster's: one, or several as key → table."""
        from mlguide_assets.defs.metadata import data_version, table_metadata, version_of
        from mlguide_assets.prepare.lake.data_files import Partitions

        lake, table = self.workspace.lake, context.asset_key.path[-1]
        if isinstance(obj, Partitions):
            snapshot = lake.write_partitions(table, obj)
            counts = {"partitions_rebuilt": len(obj.rebuilt), "partitions_kept": len(obj.kept)}
            context.log.info(f"{table}: {len(obj.rebuilt)} of {counted(len(snapshot.partitions), 'partition')} rebuilt")
            context.add_output_metadata(table_metadata(lake, snapshot, self.workspace.problem, None) | counts)
            _set_version(context, data_version(snapshot))
            return
        if not context.has_asset_partitions:
            snapshot = lake.write(table, obj)
            context.add_output_metadata(table_metadata(lake, snapshot, self.workspace.problem, None))
            _set_version(context, data_version(snapshot))
            return
        given = obj if isinstance(obj, dict) else {context.asset_partition_key: obj}
        for key, rows in given.items():
            snapshot = lake.write_partition(table, key, rows)
        if given:
            context.add_output_metadata(table_metadata(lake, snapshot, self.workspace.problem, key))
            _set_version(context, version_of(*(data_version(snapshot, key).value for key in given)))

    def load_input(self, context: dg.InputContext) -> Any:
        table = context.asset_key.path[-1]
        keys = list(context.asset_partition_keys) if context.has_asset_partitions else None
        return self.workspace.lake.read(table, partitions=keys)


def _set_version(context: dg.OutputContext, version: dg.DataVersion) -> None:
    """Before the event is made, which is when the manager returns: only then the content is known."""
    context.step_context.set_data_version(context.asset_key, version)


@functools.lru_cache(maxsize=1)
def _as_decided(lake: "Lake", _declarations: str | None) -> Problem:
    """Read once for each snapshot of the declarations: every asset and every sensor asks."""
    from mlguide_assets.prepare.features.building import resolved_from

    return resolved_from(lake, PROBLEM)


@functools.cache
def _lake(place: LakePlace, engine: "EngineName") -> "Lake":
    """One lake, and so one DuckDB, per process: expressions of one asset can then be joined in another."""
    from mlguide_assets.prepare.lake.lake import Lake

    return Lake(place, engine=engine)
