"""What there is to pick from: entities as the lists of the API show them, of any problem."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.deploy.online_store.store import Row, Snapshot
from mlguide_assets.deploy.serving.answers import Utc
from mlguide_assets.deploy.serving.types import record
from mlguide_assets.english import plural
from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.prepare.features.state_columns import state_features, time_names


@dataclass(frozen=True)
class List:
    """The list of an entity.

    Attributes:
        columns: of its state that are shown after the id: what its table says of it, times, and how many events it has.
        times: those of them that are times.
        counts: those that count its events.
        chosen: whether it is what a decision chooses: then the newest come first.
    """

    noun: str
    columns: tuple[str, ...]
    times: frozenset[str]
    counts: frozenset[str]
    chosen: bool

    @property
    def table(self) -> str:
        """Its table in the store, and its path."""
        return plural(self.noun)

    def found(self, snapshot: Snapshot, search: str, limit: int) -> list[Row]:
        """Rows whose id starts with a text; without one, the newest candidates, or entities with many events.

        Raises:
            StoreError: the store does not answer.
        """
        if search:
            return [self._shown(row) for row in snapshot.search(self.table, search, limit)]
        publication = snapshot.publication
        ids = (publication.candidates if self.chosen else publication.examples.get(self.table, ()))[:limit]
        rows = snapshot.look_up(self.table, ids) if ids else {}
        return [self._shown(rows[each]) for each in ids if each in rows]

    def _shown(self, row: Row) -> Row:
        shown = {name: row.get(name) for name in (id_column(self.noun), *self.columns)}
        return {name: _as_utc(value) if name in self.times else value for name, value in shown.items()}


def lists_of(problem: Problem) -> tuple[List, ...]:
    """The lists of a problem's API, one per entity of a decision."""
    times = time_names(problem)
    return tuple(_list(problem, noun, times) for noun in problem.decision.nouns)


def row_type(each: List, id_: Any) -> Any:
    """The type of a row of a list.

    Args:
        id_: the type of the entity's ids.
    """
    name = "".join(part.capitalize() for part in each.noun.split("_"))
    own = {column: Utc | None if column in each.times else float | str | None for column in each.columns}
    return record(name, {id_column(each.noun): id_, **own}, f"{name}, as the playground lists it.")


def _list(problem: Problem, noun: str, times: Mapping[str, str]) -> List:
    own = [feature for feature in state_features(problem, noun) if feature.noun == noun]
    columns = [feature.name for feature in own if feature.origin == "column"]
    dated = dict.fromkeys(times[feature.name] for feature in own if feature.name in times)
    counts = _counts(own)[:1]
    shown = dict.fromkeys([*columns, *dated, *counts])
    return List(noun, tuple(shown), frozenset(dated), frozenset(counts), problem.decision.choose == noun)


def _as_utc(time: str | None) -> str | None:
    """A time of the store as JSON has it: a browser takes one without a zone for its own."""
    return None if time is None else f"{datetime.fromisoformat(time).isoformat()}Z"


def _counts(features: Sequence[Feature]) -> list[str]:
    return [each.name for each in features if each.declaration is not None and each.declaration.operator == "count"]
