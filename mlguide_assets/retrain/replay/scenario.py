"""A scenario of a replay: what is planted on which day, and what the system may rightly say of it.

A scenario is a YAML file: a shipped one, by its name, or any other, by its path.

    name: broken_feed
    statement: A column arrives empty for a week; then the feed is repaired.
    plants:
      - {day: 30, until: 37, what: empty_column, table: user_profiles, column: purchases}
"""

import difflib
from collections.abc import Mapping
from datetime import date, timedelta
from pathlib import Path
from typing import Any, Literal

from pydantic import Field, model_validator

from mlguide_assets.define.documents import find_document, parse_document, shipped_names
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import Strict
from mlguide_assets.define.sources import Live, SimulatorSource
from mlguide_assets.english import counted, percent
from mlguide_assets.errors import InputError
from mlguide_assets.experiment.ledger import start_of
from mlguide_assets.experiment.specification import load_experiment
from mlguide_assets.retrain.replay.events import Kind

SHIPPED = Path(__file__).parent / "scenarios"

What = Literal[
    "covariate_shift",
    "concept_shift",
    "empty_column",
    "shuffled_labels",
    "training",
    "promotion_by_hand",
    "experiment",
]

_EVERYTHING: frozenset[Kind] = frozenset({"drift", "performance", "data", "training", "rollback"})
EXPLAINS: Mapping[What, frozenset[Kind]] = {
    "covariate_shift": frozenset({"drift", "performance", "training"}),
    "concept_shift": frozenset({"drift", "performance", "training"}),
    "empty_column": frozenset({"data", "drift", "performance", "training"}),
    "shuffled_labels": _EVERYTHING,
    "training": frozenset(),
    "promotion_by_hand": frozenset({"drift", "performance", "training", "rollback"}),
    # What is sent changes, and with it the rows that the champion is held against.
    "experiment": frozenset({"drift", "performance", "training"}),
}
"""What the system may say after each, without it being a false alarm."""

_TRAINS: frozenset[Kind] = frozenset({"training", "decision", "rollback"})
ANSWERS: Mapping[What, frozenset[Kind]] = {
    "covariate_shift": _TRAINS,
    "concept_shift": _TRAINS,
    "empty_column": _TRAINS,
    "shuffled_labels": frozenset({"decision", "rollback"}),
    "training": frozenset({"decision"}),
    "promotion_by_hand": frozenset({"rollback"}),
    "experiment": frozenset({"experiment"}),
}
"""What the system may do about each."""


_ONCE = ("covariate_shift", "concept_shift", "experiment")
"""What happens once in a world, if ever."""

_DETAILS: Mapping[What, frozenset[str]] = {
    "empty_column": frozenset({"until", "table", "column", "share"}),
    "shuffled_labels": frozenset({"until", "share"}),
}
"""The keys of a plant that say more of it; of all others there is nothing to say but the day."""

_LAST_DAY = 3650
"""Far beyond the longest replay: what is planted for longer is planted for good."""


class Plant(Strict):
    """One planted event.

    Attributes:
        day: of the replay; day 0 is the one on which the first model is trained.
        until: the first day on which a fault of the feed is repaired.
    """

    day: int = Field(ge=0, le=_LAST_DAY)
    what: What
    until: int | None = Field(default=None, le=_LAST_DAY)
    table: str = "user_profiles"
    column: str = "purchases"
    share: float = Field(default=1.0, gt=0, le=1)

    @model_validator(mode="after")
    def _ends_after_it_begins(self) -> "Plant":
        if self.until is not None and self.until <= self.day:
            raise ValueError(f"until {self.until} must be after day {self.day}")
        return self

    @model_validator(mode="after")
    def _says_nothing_in_vain(self) -> "Plant":
        known = _DETAILS.get(self.what, frozenset())
        if idle := sorted(self.model_fields_set - {"day", "what"} - known):
            raise ValueError(f"{idle[0]} says nothing of {self.what}: leave it out")
        return self

    @property
    def in_words(self) -> str:
        """The event in words."""
        of_rows = "" if self.share == 1 else f" in {percent(self.share)} of the rows"
        return {
            "covariate_shift": "who is mailed what, and how often, becomes another",
            "concept_shift": "the same send carries another risk from here on",
            "empty_column": f"{self.table}.{self.column} arrives empty{of_rows}",
            "shuffled_labels": f"the labels arrive shuffled{of_rows}",
            "training": "somebody starts a training by hand",
            "promotion_by_hand": "somebody promotes the harmful version by hand, against the gate",
            "experiment": "the experiment begins",
        }[self.what]


class Scenario(Strict):
    """What is planted in a replay.

    Attributes:
        experiment: a shipped experiment, or the path of an experiment file; it starts by itself on the first day that
            is planned. Its units are sent what the plan says; all others what the company draws.
    """

    name: str
    statement: str
    plants: tuple[Plant, ...] = ()
    experiment: str | None = None

    @model_validator(mode="after")
    def _can_happen(self) -> "Scenario":
        seen: set[What] = set()
        for place, plant in enumerate(self.plants):
            if plant.what in seen:
                raise ValueError(f"plants.{place}: {plant.what} happens once: leave all but one out")
            if plant.what == "experiment" and self.experiment is None:
                raise ValueError(f"plants.{place}: the scenario has no experiment: name one with the key experiment")
            seen |= {plant.what} & set(_ONCE)
        return self

    @property
    def harmful_days(self) -> frozenset[int]:
        """Days on which a training learns from labels that mean nothing: what it gives is a worse model."""
        spans = [plant for plant in self.plants if plant.what == "shuffled_labels" and plant.share == 1]
        return frozenset(day for plant in spans for day in range(plant.day, plant.until or plant.day + 1))

    def planted_on(self, day: int, *whats: What) -> list[Plant]:
        """The events that begin on a day, of the given sorts if any are given."""
        return [plant for plant in self.plants if plant.day == day and (not whats or plant.what in whats)]

    def explains(self, day: int, kind: Kind) -> bool:
        """Whether something that was planted by this day may have led to it."""
        return any(plant.day <= day and kind in EXPLAINS[plant.what] for plant in self.plants)


def shipped_scenarios() -> list[str]:
    """The names of the scenarios that come with the package."""
    return shipped_names(SHIPPED)


def load_scenario(name_or_file: str) -> Scenario:
    """Load a shipped scenario by its name, or any by the path of its file.

    Raises:
        InputError: no such scenario, or the file is not valid; the text names file, line, key and fix.
    """
    path = find_document(name_or_file, SHIPPED, "scenario")
    return parse_document(path.read_bytes(), path, Scenario)


def refuse_too_short(scenario: Scenario, days: int) -> None:
    """Raise InputError where something is planted after the last day."""
    late = [plant for plant in scenario.plants if plant.day > days]
    if late:
        last = max(plant.day for plant in late)
        raise InputError(
            f"--days {days} ends before day {last}, on which the scenario {scenario.name} plants: {late[-1].in_words}. "
            f"Replay at least {counted(last, 'day')}, or choose another scenario."
        )


def replayed_problem(problem: Problem, scenario: Scenario, *, days: int, seed: int, sends: int | None) -> Problem:
    """The problem of a replay: the world of the problem file with what is planted, and its year's end as day 0.

    Trainings by the clock come once a month or after 25,000 new outcomes: each takes as long as ten days of replay.
    Performance is looked at over the last four weeks, and Evidently writes its pages only where drift begins.

    Raises:
        InputError: the problem does not read from the simulator, has no such table or column as is planted, or cannot
            start the experiment on day 0.
    """
    source = problem.source
    if not isinstance(source, SimulatorSource):
        raise InputError(f"{problem.name} does not read from the simulator; a replay needs a world of known truth.")
    start = problem.history_start + timedelta(days=source.days)
    _refuse_unknown_columns(scenario, problem)
    if scenario.experiment is not None:
        experiment, _ = load_experiment(scenario.experiment, problem)
        start_of(experiment, start)
    end, faults = start + timedelta(days=days + 1), ("empty_column", "shuffled_labels")
    world = {
        "seed": seed,
        **({"sends": sends} if sends else {}),
        # What a champion chooses for all users is drift from the first day on.
        "live": {"start": start, "day_every": "24h", "end": end, "follows_plan": "experiments"},
        "faults": [_fault(plant, start) for plant in scenario.plants if plant.what in faults],
        **{each: _day_of(scenario, each, start) for each in ("covariate_shift", "concept_shift")},
    }
    changed: dict[str, Any] = {
        "source": {**source.model_dump(), **world},
        "experiment": {**problem.experiment.model_dump(), "file": scenario.experiment},
        "watching": {**problem.watching.model_dump(), "days": 28, "report_days": 0},
        "retraining": {
            **problem.retraining.model_dump(),
            "daily": "0 3 1 * *",
            "often": "0 4 * * *",
            "min_new_matured": 25_000,
        },
    }
    return Problem.model_validate({**problem.model_dump(), **changed})


def _refuse_unknown_columns(scenario: Scenario, problem: Problem) -> None:
    tables = problem.schema.tables
    for place, plant in enumerate(scenario.plants):
        if plant.what != "empty_column":
            continue
        key, name, known = "table", plant.table, list(tables)
        if plant.table in tables:
            key, name, known = "column", plant.column, list(tables[plant.table].columns)
        if name not in known:
            close = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are {', '.join(known)}."
            whose = f"table {plant.table} has" if key == "column" else f"{problem.name} has"
            raise InputError(f"Scenario {scenario.name}, plants.{place}.{key}: {whose} no {key} {name!r}; {hint}")


def live_of(problem: Problem) -> Live:
    """The clock of the problem's world; TypeError for one that does not go on."""
    if not isinstance(problem.source, SimulatorSource) or problem.source.live is None:
        raise TypeError(f"{problem.name} has no world that goes on")
    return problem.source.live


def _fault(plant: Plant, start: date) -> dict[str, Any]:
    labels = plant.what == "shuffled_labels"
    return {
        "what": "shuffled" if labels else "empty",
        "table": "user_emails" if labels else plant.table,
        "column": "unsubscribed" if labels else plant.column,
        "first": start + timedelta(days=plant.day),
        "until": start + timedelta(days=plant.until or plant.day + 1),
        "share": plant.share,
    }


def _day_of(scenario: Scenario, what: What, start: date) -> date | None:
    return next((start + timedelta(days=plant.day) for plant in scenario.plants if plant.what == what), None)
