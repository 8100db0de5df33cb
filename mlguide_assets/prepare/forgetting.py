"""The list of forgotten entities, such as users, which keeps them away when a source delivers them again.

It holds a salted hash of each key, never the key. That is pseudonymous, not anonymous: the list and a key together tell
whether that key was forgotten.
"""

import hashlib
import json
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import ibis

from mlguide_assets.define.schema import TableName
from mlguide_assets.prepare.files import replace_file

Key = int | str

UNIT = "unit_id"
"""What the tables of experiments call the entity that is assigned to an arm."""


@dataclass(frozen=True)
class Entity:
    """What can be forgotten: the table with one row of each, its key there, and the column that other tables have."""

    noun: str
    table: TableName
    key: str
    column: str

    def column_in(self, table: str, columns: Iterable[str]) -> str | None:
        """The column of a table that says which entity a row is of; None where rows are of none."""
        names = (self.key,) if table == self.table else (self.column, UNIT)
        return next((name for name in names if name in set(columns)), None)


USER = Entity("user", "user_profiles", "id", "user_id")


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
        """The list in a file; an empty one, with a salt of its own, where there is none."""
        if not path.exists():
            return cls(path, secrets.token_hex(16))
        stored = json.loads(path.read_bytes())
        return cls(path, stored["salt"], tuple(Forgotten(**entry) for entry in stored["entries"]))

    def save(self) -> None:
        content = {"salt": self.salt, "entries": [asdict(entry) for entry in self.entries]}
        replace_file(self.path, json.dumps(content, indent=1).encode() + b"\n", mode=0o600)

    def hash_of(self, key: Key) -> str:
        return hashlib.sha256(f"{self.salt}{key}".encode()).hexdigest()

    def entry(self, key: Key) -> Forgotten | None:
        return next((entry for entry in self.entries if entry.hash == self.hash_of(key)), None)

    def with_entry(self, entry: Forgotten) -> "ForgetList":
        """The list with an entry, in place of the one with the same hash."""
        return replace(self, entries=(*(each for each in self.entries if each.hash != entry.hash), entry))

    def learned(self, version: str) -> Forgotten | None:
        """The first forgotten entity that a model version had learned from, if any."""
        return next((entry for entry in self.entries if version in entry.learned), None)

    def rows_without(self, name: str, rows: ibis.Table, entity: Entity) -> ibis.Table:
        """The rows of a table that are of no forgotten entity."""
        column = entity.column_in(name, rows.columns)
        if column is None or not self.entries:
            return rows
        # Few keys are distinct, and few of these forgotten: every row is compared with the latter, and none is hashed.
        keys = rows.select(key=rows[column]).distinct()
        hashed = (ibis.literal(self.salt) + keys.key.cast("string")).hexdigest("sha256")
        found = keys.filter(hashed.isin([entry.hash for entry in self.entries])).to_pyarrow()["key"].to_pylist()
        return rows.filter(rows[column].isnull() | rows[column].notin(found)) if found else rows
