"""The list of forgotten entities, such as users, which keeps them away when a source delivers them again.

It holds a salted hash of each key, never the key. That is pseudonymous, not anonymous: the list and a key together show
whether that key was forgotten.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.hosts.shared_files import read
from mlguide_assets.prepare.hosts.shared_files import replace as replace_content

if TYPE_CHECKING:
    import ibis

Key = int | str

UNIT = "unit_id"
"""What the tables of experiments call the entity that is assigned to an arm."""


@dataclass(frozen=True)
class Entity:
    """What can be forgotten.

    Attributes:
        noun: what the problem calls it.
        column: the column that tables made here have of its ids.
        table: of the source, with one row of each; None where no table declares it.
        key: its key in that table.
        named: tables of the source that name it, and the column that does.
        is_unit: whether experiments assign it.
    """

    noun: str
    column: str
    table: TableName | None = None
    key: str | None = None
    named: Mapping[TableName, str] = field(default_factory=dict)
    is_unit: bool = True

    def column_in(self, table: str, columns: Iterable[str]) -> str | None:
        """The column of a table that says which entity a row is of; None where rows are of none."""
        if table == self.table:
            names: tuple[str | None, ...] = (self.key,)
        else:
            names = (self.named.get(table), self.column, UNIT if self.is_unit else None)
        known = set(columns)
        return next((name for name in names if name in known), None)

    @property
    def places(self) -> tuple[tuple[TableName, str], ...]:
        """Where its ids stand in the source, as table and column: its own table first, then those that name it.

        >>> Entity("card", "card_id", "cards", "id", {"payments": "card"}).places
        (('cards', 'id'), ('payments', 'card'))
        """
        own = ((self.table, self.key),) if self.table and self.key else ()
        return (*own, *self.named.items())

    @property
    def columns(self) -> tuple[str, ...]:
        """All that its ids are called but the key of its own table."""
        return tuple(dict.fromkeys((self.column, *self.named.values())))


def entity_of(problem: Problem, noun: str) -> Entity:
    """What a problem knows of an entity.

    Raises:
        InputError: it has none of that noun.
    """
    schema = problem.schema
    if noun not in schema.entities:
        raise InputError(f"{problem.name} has no {noun!r} (it has {', '.join(schema.entities)}): name one of these.")
    table = schema.entity(noun)
    return Entity(
        noun,
        id_column(noun),
        schema.table_of(noun) if table else None,
        table.key if table else None,
        {name: event.of[noun] for name, event in schema.event_tables.items() if noun in event.of},
        is_unit=noun == problem.decision.unit,
    )


def entities_of(problem: Problem) -> list[Entity]:
    """Every entity of a problem, also those that only events name."""
    return [entity_of(problem, noun) for noun in problem.schema.entities]


@dataclass(frozen=True)
class Forgotten:
    """One entry. `learned` are the model versions that learned from the entity: version → training snapshot.

    `complete` once it was removed from everything; until then a run was interrupted.
    """

    hash: str
    at: str
    learned: Mapping[str, str] = field(default_factory=dict)
    complete: bool = False


@dataclass(frozen=True)
class ForgetList:
    """The forgotten entities of a problem, in a file that only its owner can read."""

    path: Path
    salt: str
    entries: tuple[Forgotten, ...] = ()

    @classmethod
    def load(cls, path: Path) -> "ForgetList":
        """The list in a file; an empty one, with a salt of its own, where there is none.

        Raises:
            InputError: the file is damaged. Who is on it is known from nowhere else.
        """
        if (content := read(path)) is None:
            return cls(path, secrets.token_hex(16))
        try:
            stored = json.loads(content)
            return cls(path, str(stored["salt"]), tuple(Forgotten(**entry) for entry in stored["entries"]))
        except (ValueError, LookupError, TypeError) as error:
            raise InputError(
                f"{path}, the list of who is forgotten, is damaged, and without it they would be read again: restore "
                f"it from a backup, or remove it and forget each of them again before the next run."
            ) from error

    def save(self) -> None:
        content = {"salt": self.salt, "entries": [asdict(entry) for entry in self.entries]}
        replace_content(self.path, json.dumps(content, indent=1).encode() + b"\n", mode=0o600)

    def hash_of(self, key: Key, entity: Entity) -> str:
        return hashlib.sha256(f"{self._salt_of(entity)}{key}".encode()).hexdigest()

    def entry(self, key: Key, entity: Entity) -> Forgotten | None:
        return next((entry for entry in self.entries if entry.hash == self.hash_of(key, entity)), None)

    def _salt_of(self, entity: Entity) -> str:
        # Two entities may have the same id; the unit alone could be forgotten at first, without its noun.
        return self.salt if entity.is_unit else f"{self.salt}{entity.noun}:"

    def with_entry(self, entry: Forgotten) -> "ForgetList":
        """The list with an entry, in place of the one with the same hash."""
        return replace(self, entries=(*(each for each in self.entries if each.hash != entry.hash), entry))

    def learned(self, version: str) -> Forgotten | None:
        """The first forgotten entity that a model version had learned from, if any."""
        return next((entry for entry in self.entries if version in entry.learned), None)

    def rows_without(self, name: str, rows: "ibis.Table", entity: Entity) -> "ibis.Table":
        """The rows of a table that are of no forgotten entity."""
        return rows_without(name, rows, entity, [Listed(self, entity)])

    def has(self, keys: "ibis.Column", entity: Entity) -> "ibis.Value":
        """Whether each of the keys of a table is on the list."""
        # Not above: a server reads the list, too.
        import ibis

        hashed = (ibis.literal(self._salt_of(entity)) + keys.cast("string")).hexdigest("sha256")
        return hashed.isin([entry.hash for entry in self.entries])


@dataclass(frozen=True)
class Listed:
    """A list, and the entity of its problem whose entries are meant."""

    list: ForgetList
    entity: Entity


def rows_without(name: str, rows: "ibis.Table", entity: Entity, lists: Iterable[Listed]) -> "ibis.Table":
    """The rows of a table that are of no entity on any of the lists.

    Args:
        entity: as the problem of the table knows it.
    """
    import ibis

    column, lists = entity.column_in(name, rows.columns), [each for each in lists if each.list.entries]
    if column is None or not lists:
        return rows
    # Few keys are distinct, and few of these forgotten: every row is compared with the latter, and none is hashed.
    keys = rows.select(key=rows[column]).distinct()
    is_listed = ibis.or_(*(each.list.has(keys.key, each.entity) for each in lists))
    found = keys.filter(is_listed).to_pyarrow()["key"].to_pylist()
    return rows.filter(rows[column].isnull() | rows[column].notin(found)) if found else rows
