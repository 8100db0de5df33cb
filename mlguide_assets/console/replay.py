"""`mlguide replay`: the jobs of the daemon, day after day of a simulated world, in this process.

Nothing is modelled: sensors are evaluated and jobs run as `mlguide ui` does it; only the clock is set by the replay.
What a replay leaves out is waiting, the search for recipes, and Dagster's record on disk.
"""

import os
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from mlguide_assets.console.environment import enter, leave_services
from mlguide_assets.console.interruption import removed_when_ended
from mlguide_assets.console.out import check_out
from mlguide_assets.console.terminal import console, print_json, screen
from mlguide_assets.define.loading import dump_problem, load_problem
from mlguide_assets.define.problem import Problem
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.connection import read_parquet
from mlguide_assets.prepare.files import replace_file
from mlguide_assets.prepare.lake.failures import writing
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.prepare.memory import return_large_blocks
from mlguide_assets.prepare.oracle import FILE
from mlguide_assets.prepare.sources.simulated import world_of
from mlguide_assets.prepare.sources.simulation_clock import WORLD_TIME_VARIABLE
from mlguide_assets.retrain.replay.events import Event
from mlguide_assets.retrain.replay.experiments import experiment_found
from mlguide_assets.retrain.replay.observing import Observer
from mlguide_assets.retrain.replay.outcome import Outcome, outcome_of
from mlguide_assets.retrain.replay.scenario import Scenario, live_of, load_scenario, refuse_too_short, replayed_problem
from mlguide_assets.retrain.replay.truth import Worth, worth_of_day
from mlguide_assets.settings import Home

if TYPE_CHECKING:
    from mlguide_assets.console.in_process import Daemon

PROBLEM = "planeswalker"

VALUED_EVERY = 7
"""Days between two on which the choices are held against the truth."""


def replay(
    *, days: int, scenario: str, seed: int, sends: int | None, home: Path | None, out: Path | None, as_json: bool
) -> None:
    """Replay days of the default problem and print what happened; with `out`, also as a page.

    Raises:
        InputError: a scenario that cannot be replayed, a home that is in use, a page that cannot be written.
    """
    planted = load_scenario(scenario)
    refuse_too_short(planted, days)
    problem = replayed_problem(load_problem(PROBLEM), planted, days=days, seed=seed, sends=sends)
    if out is not None:
        check_out(out, (".html",))
    began = time.monotonic()
    with _place(home) as place:
        outcome = _played(place, problem, planted, days)
    outcome = outcome.taking(time.monotonic() - began)
    if out is not None:
        from mlguide_assets.retrain.replay.page import page

        with writing(f"The page {out.name}", out.absolute().parent):
            replace_file(out, page(outcome, planted).encode())
    if as_json:
        print_json(outcome.to_json())
        return
    from mlguide_assets.console.replay_table import print_outcome

    print_outcome(outcome, planted, screen)
    if out is not None:
        screen.print(f"The page is {out.absolute()}: open it in a browser.")


@contextmanager
def _place(home: Path | None) -> Iterator[Home]:
    """The home given, which must be new; else one that is removed at the end."""
    if home is not None:
        place = Home.locate(home)
        if place.is_used:
            raise InputError(
                f"The home {place.root} is in use, and a replay needs a new one for its own world: name a folder that "
                f"does not exist, or leave --home out."
            )
        yield place
        return
    with tempfile.TemporaryDirectory(prefix="mlguide-replay-") as folder, removed_when_ended(folder) as path:
        yield Home.locate(path)


def _played(home: Home, problem: Problem, scenario: Scenario, days: int) -> Outcome:
    """Train on day 0, then live through each day."""
    world, live = world_of(problem), live_of(problem)
    _set_clock(live.start)
    leave_services()
    return_large_blocks()
    enter(home, problem)
    from mlguide_assets.console.in_process import daemon_of

    lake, events, worth = Lake(home.lake(problem.key)), list[Event](), Worth()
    observer = Observer(home, lake, problem)
    with daemon_of(home) as daemon, _progress(days) as progress:
        _train(daemon, progress, 0, "the first training")
        replace_file(home.active_problem, dump_problem(problem).encode(), mode=0o600)
        for day in range(days + 1):
            today = live.start + timedelta(days=day)
            _set_clock(today)
            events += [Event(day, "planted", "planted", plant.in_words) for plant in scenario.planted_on(day)]
            _settle(daemon, progress, day)
            _by_hand(observer, scenario, day, daemon, progress)
            found = observer.look(day)
            events += found
            if day % VALUED_EVERY == 0:
                worth += worth_of_day(world, today, lake, problem)
            progress.done(day, found)
    experiment = experiment_found(lake, problem, read_parquet(lake.connection, home.oracle(problem.key) / FILE))
    named: dict[str, Any] = {"seed": world.seed, "days": days, "start": live.start.isoformat()}
    return outcome_of(lake, scenario, observer, events, worth, experiment=experiment, **named)


def _set_clock(day: date) -> None:
    os.environ[WORLD_TIME_VARIABLE] = day.isoformat()


def _settle(daemon: "Daemon", progress: "_Shown", day: int) -> None:
    for job in daemon.settle():
        progress.now(day, job)


def _train(daemon: "Daemon", progress: "_Shown", day: int, why: str) -> None:
    """The training of `mlguide run`, without its search for a better recipe."""
    progress.begins(day, why)
    daemon.run("lifecycle")


def _by_hand(observer: Observer, scenario: Scenario, day: int, daemon: "Daemon", progress: "_Shown") -> None:
    """What persons do on a day."""
    from mlguide_assets.deploy.gate.override import promote

    if not scenario.planted_on(day, "training", "promotion_by_hand"):
        return
    if scenario.planted_on(day, "training"):
        _train(daemon, progress, day, "training by hand")
    if scenario.planted_on(day, "promotion_by_hand"):
        for version in observer.harmful(scenario)[-1:]:
            promote(observer.home, observer.problem, version=version, reason="planted: against the gate")
    _settle(daemon, progress, day)


class _Shown:
    """Progress on a terminal; elsewhere a line per event, per training that takes long, and every ten days."""

    def __init__(self, bar: Progress | None, days: int) -> None:
        self._bar, self._days = bar, days
        self._task = bar.add_task("day 0", total=days + 1) if bar else None

    def now(self, day: int, job: str) -> None:
        if self._bar and self._task is not None:
            self._bar.update(self._task, description=f"day {day}: {job}")

    def begins(self, day: int, what: str) -> None:
        """Something that takes as long as many days do."""
        self.now(day, what)
        if self._bar is None:
            console.print(f"day {day:>3}  {what} …")

    def done(self, day: int, events: list[Event]) -> None:
        for event in events:
            console.print(f"day {day:>3}  {event.side}: {event.what}")
        if self._bar and self._task is not None:
            self._bar.advance(self._task)
        elif day and day % 10 == 0:
            console.print(f"day {day:>3} of {self._days}")


@contextmanager
def _progress(days: int) -> Iterator[_Shown]:
    if not console.is_terminal:
        yield _Shown(None, days)
        return
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        yield _Shown(bar, days)
