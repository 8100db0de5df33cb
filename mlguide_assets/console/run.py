"""`mlguide run`: every asset of the graph, in this process, recorded in the home's Dagster history."""

import gc
from pathlib import Path
from typing import Any

from mlguide_assets.console.dead_runs import PROCESS_TAG
from mlguide_assets.console.environment import enter
from mlguide_assets.console.machine import sentence
from mlguide_assets.console.progress import progress_logger
from mlguide_assets.console.terminal import console
from mlguide_assets.define.loading import current_problem, dump_problem, find_problem, readable_problems, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.secrets import MASK
from mlguide_assets.define.sources import DatabaseSource, FilesSource, SimulatorSource
from mlguide_assets.errors import InputError, RunFailedError
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.hosts.database import database_refusal
from mlguide_assets.prepare.hosts.host_lock import this_process
from mlguide_assets.prepare.hosts.run_lock import run_lock
from mlguide_assets.prepare.hosts.shared_problems import publish_problems
from mlguide_assets.settings import Home

_GARBAGE = 10_000, 20, 20
"""How many new objects, and how many looks at these, make Python look for garbage; its default is 700, 10, 10."""


def choose_problem(
    home: Home, name_or_file: str | None, source: str | None, sends: int | None, engine: str | None = None
) -> Problem:
    """The given problem, else the home's, else the default; with its source, size or engine replaced where given."""
    problem = find_problem(home, name_or_file) if name_or_file else current_problem(home)
    if source is None and isinstance(problem.source, FilesSource | DatabaseSource) and MASK in problem.source.uri:
        raise InputError(
            f"This home keeps no password for {problem.source.uri}, since no run on it has succeeded yet: "
            f"give the address again, with --source or --problem, or write the password as ${{VARIABLE}}."
        )
    return with_overrides(problem, source=source, sends=sends, engine=engine)


def run(home: Home, problem: Problem, *, thorough: bool = False) -> None:
    """Materialise the graph. Once that has worked, the problem is the home's.

    Args:
        thorough: the assets that take minutes, too: backtest and tuning.

    Raises:
        InputError: the input is bad; nothing that was there before has changed.
        RunFailedError: anything else went wrong.
    """
    from mlguide_assets.experiment.starting import check_named
    from mlguide_assets.prepare.contracts.refused_runs import nothing_changed_if_refused
    from mlguide_assets.prepare.lake.lake import Lake

    # Now, rather than when its first day is planned.
    check_named(Lake(home.lake(problem.key)), problem)
    if isinstance(problem.source, SimulatorSource):
        from mlguide_assets.train.room import require_room_for_training

        # Of other sources it is known once they are read.
        require_room_for_training(problem.source.sends, problem)
    collect_garbage_rarely()
    enter(home, problem)
    with run_lock(home, console.print):
        if not home.active_problem.exists():
            # What a run that is refused leaves, such as rows set aside, is found as this problem's.
            replace_file(home.first_problem, dump_problem(problem).encode(), mode=0o600)
        with nothing_changed_if_refused(home.lake(problem.key), problem):
            _materialise(home, thorough)
        is_new = problem.key not in readable_problems(home)
        _keep(home, problem)
        _follow_names(home, is_new=is_new)


def _follow_names(home: Home, *, is_new: bool) -> None:
    """Where this run gave the home's only problem a neighbour, its assets have another name in Dagster from now on.

    A running UI still has the earlier names and would show no history, so they are changed when it starts again.
    """
    from mlguide_assets.console.asset_names import follow_names
    from mlguide_assets.console.run_history import recording
    from mlguide_assets.console.ui import works_on
    from mlguide_assets.defs.tags import PROBLEM_TAG

    if len(readable_problems(home)) == 1:
        return
    if where := works_on(home):
        if is_new:
            console.print(f"The UI on {where} does not know this problem yet: stop it, and start 'mlguide ui' again.")
        return
    with recording(home) as instance:
        if moved := follow_names(home, instance, PROBLEM_TAG):
            console.print(f"{moved} assets have the name of their problem in Dagster now", style="dim")


def _keep(home: Home, problem: Problem) -> None:
    """Make a problem one of the home's, and the one that the next command works on."""
    # A home of an earlier version has the one of its last run, and no list.
    for key, each in {**readable_problems(home), problem.key: problem}.items():
        _write(each, home.problems / f"{key}.yaml")
    _write(problem, home.active_problem)
    publish_problems(home, readable_problems(home).values(), problem)
    home.first_problem.unlink(missing_ok=True)


def _write(problem: Problem, path: Path) -> None:
    """With its password, for the eyes of this machine's user only."""
    replace_file(path, dump_problem(problem, passwords=True).encode(), mode=0o600)


def collect_garbage_rarely() -> None:
    """Libraries and definitions stay, and looking through them for garbage 2,200 times takes seconds."""
    gc.set_threshold(*_GARBAGE)


def _materialise(home: Home, thorough: bool) -> None:
    import dagster as dg

    from mlguide_assets.console.run_history import recording
    from mlguide_assets.definitions import defs
    from mlguide_assets.defs.days import known_days
    from mlguide_assets.defs.lifecycle import lifecycle
    from mlguide_assets.defs.tags import PROBLEM_TAG
    from mlguide_assets.defs.train import THOROUGH
    from mlguide_assets.defs.workspace import PROBLEM, Workspace

    definitions = dg.Definitions.merge(defs(), dg.Definitions(loggers={"progress": dg.logger(progress_logger)}))
    graph = definitions.resolve_asset_graph()
    job = definitions.resolve_job_def(lifecycle.name)
    searched = {key for key in job.asset_layer.selected_asset_keys if THOROUGH.items() <= graph.get(key).tags.items()}
    wanted = [key for key in job.asset_layer.selected_asset_keys if thorough or key not in searched]
    partitioned = [key for key in wanted if graph.get(key).partitions_def]
    others = [key for key in wanted if key not in partitioned]
    # What is there by now stays: no look for garbage needs to go through it again.
    gc.freeze()
    with recording(home) as instance:
        arguments: dict[str, Any] = {
            "instance": instance,
            "raise_on_error": False,
            "run_config": {"loggers": {"progress": {}}},
            "tags": {PROCESS_TAG: this_process(), PROBLEM_TAG: PROBLEM.key},
        }
        # The day to score for is the one after the last that the data reach, which is known once they are read.
        refuse_failure(job.execute_in_process(asset_selection=others, **arguments), home)
        if not partitioned:
            return
        day = known_days(instance, Workspace())[-1]
        console.print(f"scoring for {day}", style="dim")
        refuse_failure(job.execute_in_process(asset_selection=partitioned, partition_key=day, **arguments), home)


def refuse_failure(result: Any, home: Home) -> None:
    """Raise what made a run fail: InputError where it was the user's, RunFailedError otherwise."""
    from mlguide_assets.defs.ended_runs import causes, innermost, refusal_in

    if result.success:
        return
    for event in result.all_events:
        if event.is_step_failure:
            chain = causes(event.step_failure_data.error)
            if refused := refusal_in(chain):
                raise InputError(refused)
            for error in chain:
                if met := database_refusal(error.message) or sentence(error.message, home.root):
                    raise InputError(str(met))
            shown = f"'mlguide ui' shows the stack trace, in run {result.run_id}."
            raise RunFailedError(f"{event.step_key} failed: {innermost(chain)} {shown}")
    raise RunFailedError(f"The run {result.run_id} failed before any asset began: 'mlguide ui' shows why.")
