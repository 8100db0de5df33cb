"""The tables of a problem: entities, events, and what their columns hold.

An *entity* is a thing with an id (a user, a product, a race). An *event* is something that happened to
entities at a time (a send, a purchase, a result). Nothing here reads data.
"""

import re
from functools import cached_property
from typing import Annotated, Any, Literal, get_args

from pydantic import BaseModel, BeforeValidator, ConfigDict, Discriminator, Field, Tag, field_validator, model_validator

from mlguide_assets.define.dates import parse_format
from mlguide_assets.define.values import NAME_PATTERN, Duration, TimeZone, asset_name


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


ColumnKind = Literal["number", "integer", "category", "text", "flag", "time", "id"]
"""`integer` is a number without a fraction, `text` is free text, which no model sees. Ids need not be listed."""
NUMBERS: tuple[ColumnKind, ...] = ("number", "integer", "flag")
"""The kinds that can be added up, and of which there can be more."""

Noun = Annotated[str, Field(pattern=NAME_PATTERN)]
"""What the problem file calls an entity or an event: lower case, in the singular."""

TAKEN_NOUNS = ("request", "run")
"""Not for entities: their ids would be called as those of requests and runs are in the tables of predictions."""

TableName = str
"""What the problem file calls a table: the name of an asset of Dagster, of a folder and of a table in SQL."""


DECIMAL_COMMA = "decimal_comma"


class Column(Strict):
    """A column of a source table."""

    kind: ColumnKind = "text"
    name: str | None = Field(default=None, description="Its name in the source; default: its own.")
    format: str | None = Field(
        default=None,
        description="Of a column of times: a strptime pattern, such as '%d/%m/%Y', or epoch_s, epoch_ms, epoch_us or "
        "epoch_ns for numbers that count from 1970, or excel for days as spreadsheets count them. Default: ISO 8601. "
        "Of a column of numbers: decimal_comma, for 1.234,56. Default: a decimal point.",
    )
    description: str = Field(default="", description="What it means, for the data dictionary.")

    @field_validator("format", mode="before")
    @classmethod
    def _is_known(cls, value: object) -> object:
        return value if value is None or value == DECIMAL_COMMA else parse_format(value)

    @model_validator(mode="after")
    def _format_is_of_the_kind(self) -> "Column":
        if self.format == DECIMAL_COMMA and self.kind != "number":
            raise ValueError(f"format: {DECIMAL_COMMA} is for columns of kind number, not {self.kind}; leave it out")
        if self.format not in (None, DECIMAL_COMMA) and self.kind != "time":
            raise ValueError(f"format: a column of kind {self.kind} holds no times; leave it out")
        return self


def _kind(value: object) -> object:
    return {"kind": value} if isinstance(value, str) else value


Columns = dict[str, Annotated[Column, BeforeValidator(_kind)]]


class SourceTable(Strict):
    """What entity and event tables have in common."""

    from_: str | None = Field(
        default=None, alias="from", description="File stem, folder or database table; default: the table's name here."
    )
    description: str = Field(default="", description="What one row is.")
    timezone: TimeZone = Field(default="UTC", description="Of times that carry no zone.")
    known_at: str | None = Field(default=None, description="The column that says when a row was written.")
    columns: Columns = Field(default_factory=dict, description="Column: its kind, or kind, name and format.")

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)

    def _require_times(self, names: dict[str, str | None]) -> None:
        for field, name in names.items():
            if name is not None and (name not in self.columns or self.columns[name].kind != "time"):
                raise ValueError(f"{field}: {name!r} must be listed under columns with the kind time")

    def of_kind(self, *kinds: ColumnKind) -> list[str]:
        """The listed columns of these kinds, in the order of the file."""
        return [name for name, column in self.columns.items() if column.kind in kinds]


class History(Strict):
    """Several rows per id, each valid in [from, to)."""

    from_: str = Field(alias="from")
    to: str

    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class EntityTable(SourceTable):
    """A table of things with an id."""

    entity: Noun
    key: str
    known_from: str | None = Field(default=None, description="It exists from then on, and is unknown before.")
    history: History | None = Field(default=None, description="Several rows per id, each valid from a time to another.")
    static: Literal[True] | tuple[str, ...] = Field(
        default=(), description="Columns that never change after known_from; true: none of them does."
    )

    @model_validator(mode="after")
    def _times_are_times(self) -> "EntityTable":
        history = self.history
        times = {"history.from": history.from_, "history.to": history.to} if history else {}
        self._require_times({"known_from": self.known_from, "known_at": self.known_at, **times})
        for name in () if self.static is True else self.static:
            if name not in self.columns:
                raise ValueError(f"static: {name!r} is not listed under columns")
        return self

    @property
    def noun(self) -> str:
        return self.entity

    @property
    def changing(self) -> list[str]:
        """Columns whose value may be younger than the decision: neither static nor under history."""
        if self.static is True or self.history is not None:
            return []
        times = {self.known_from, self.known_at}
        return [name for name in self.columns if name not in self.static and name not in times]


class EventTable(SourceTable):
    """A table of things that happened."""

    event: Noun
    at: str = Field(description="The column of its time, or noun.column: a time of an entity that it refers to.")
    of: dict[Noun, str] = Field(min_length=1, description="Noun of an entity: the column that holds its id.")
    key: tuple[str, ...] = Field(default=(), description="What makes a row unique; default: all of `of` and `at`.")
    arrives_within: Duration | None = Field(default=None, description="Rows are written at most so long after `at`.")

    @model_validator(mode="after")
    def _times_are_times(self) -> "EventTable":
        self._require_times({"known_at": self.known_at} | ({} if "." in self.at else {"at": self.at}))
        if "." in self.at and self.at.split(".")[0] not in self.of:
            raise ValueError(f"at: {self.at!r} names {self.at.split('.')[0]!r}, which is not one of `of`")
        if self.known_at and self.arrives_within:
            raise ValueError("known_at and arrives_within exclude each other; keep known_at")
        return self

    @property
    def noun(self) -> str:
        return self.event

    @property
    def own_time(self) -> str | None:
        """Its own column of time; None where the time is that of an entity."""
        return None if "." in self.at else self.at

    @property
    def unique_by(self) -> tuple[str, ...]:
        """What makes a row unique."""
        return self.key or tuple(dict.fromkeys([*self.of.values(), *([self.own_time] if self.own_time else [])]))


def _implicit(table: object) -> object:
    """A table as it is written: what it does not list but names (ids, `at`) is added to its columns.

    The ids of entities are ids whatever kind they are listed as: no model learns from them.
    """
    if not isinstance(table, dict):
        return table
    columns = dict(table.get("columns") or {})
    at, known_at = table.get("at"), table.get("known_at")
    for name in (known_at, at):
        if isinstance(name, str) and "." not in name:
            columns.setdefault(name, "time")
    for name in (table.get("known_from"), *dict(table.get("history") or {}).values()):
        if isinstance(name, str):
            columns.setdefault(name, "time")
    key = table.get("key")
    of = table.get("of")
    ids = [key] if isinstance(key, str) else list(key or [])
    of_entities = ids if "entity" in table else []
    if isinstance(of, dict):
        of_entities = [name for name in of.values() if isinstance(name, str)]
        ids += of_entities
    columns |= {name: _as_id(columns[name]) for name in of_entities if isinstance(name, str) and name in columns}
    listed = {name: "id" for name in ids if isinstance(name, str) and name not in columns}
    return {**table, "columns": {**listed, **columns}}


def _as_id(column: object) -> object:
    """A listed column as one of ids; what is no column is left to be refused."""
    if isinstance(column, Column):
        return column.model_copy(update={"kind": "id"})
    if isinstance(column, dict):
        return {**column, "kind": "id"}
    return "id" if column in get_args(ColumnKind) else column


def _shape(table: Any) -> str:
    given = table if isinstance(table, dict) else vars(table)
    return "EventTable" if "event" in given else "EntityTable"


Table = Annotated[
    Annotated[EntityTable, Tag("EntityTable")] | Annotated[EventTable, Tag("EventTable")],
    Discriminator(_shape),
    BeforeValidator(_implicit),
]


class Schema(Strict):
    """All tables of a problem, in the order in which they are checked: entities before the events that name them."""

    tables: dict[TableName, Table] = Field(min_length=1)

    @model_validator(mode="after")
    def _names_are_names_of_assets(self) -> "Schema":
        for name, table in self.tables.items():
            if not re.fullmatch(r"[A-Za-z][A-Za-z0-9_]*", name):
                raise ValueError(
                    f"tables: {name!r} is the name of an asset, too, so it needs letters from a to z, digits and "
                    f"underscores, and a letter first; call it {asset_name(name)} and add from: {table.from_ or name}"
                )
        return self

    @model_validator(mode="after")
    def _ids_have_names_of_their_own(self) -> "Schema":
        for name, table in self.tables.items():
            for noun in table.of if isinstance(table, EventTable) else (table.entity,):
                if noun in TAKEN_NOUNS:
                    raise ValueError(
                        f"tables.{name}: an entity cannot be called {noun!r}, because {noun}_id is a column of "
                        f"predictions already; call it otherwise, such as {noun}_case"
                    )
        return self

    @model_validator(mode="after")
    def _nouns_are_distinct(self) -> "Schema":
        seen: dict[str, str] = {}
        for name, table in self.tables.items():
            if table.noun in seen:
                raise ValueError(f"tables: {seen[table.noun]} and {name} are both called {table.noun!r}; rename one")
            seen[table.noun] = name
        for name, event in self.event_tables.items():
            for noun in event.of:
                if noun in {other.event for other in self.event_tables.values()}:
                    raise ValueError(f"tables.{name}.of: {noun!r} is an event; name entities only")
            if event.own_time is None:
                noun, column = event.at.split(".")
                parent = self.entity_tables.get(self.table_of(noun) or "")
                if parent is None or column not in parent.of_kind("time"):
                    raise ValueError(f"tables.{name}.at: {event.at!r} is not a time of a declared entity")
        return self

    @cached_property
    def entity_tables(self) -> dict[TableName, EntityTable]:
        return {name: table for name, table in self.tables.items() if isinstance(table, EntityTable)}

    @cached_property
    def event_tables(self) -> dict[TableName, EventTable]:
        return {name: table for name, table in self.tables.items() if isinstance(table, EventTable)}

    @cached_property
    def ordered(self) -> dict[TableName, EntityTable | EventTable]:
        """Entity tables first: events are checked against them."""
        return {**self.entity_tables, **self.event_tables}

    def table_of(self, noun: str) -> TableName | None:
        """The table of a noun; None for an entity that is known by its ids alone."""
        return next((name for name, table in self.tables.items() if table.noun == noun), None)

    def entity(self, noun: str) -> EntityTable | None:
        name = self.table_of(noun)
        return self.entity_tables.get(name) if name else None

    def event(self, noun: str) -> EventTable:
        """The table of an event.

        Raises:
            KeyError: no event has this noun.
        """
        return next(table for table in self.event_tables.values() if table.event == noun)

    def tables_of_event(self, noun: str) -> tuple[TableName, ...]:
        """The tables that say what happened, and when: the event's, and that of the entity whose time it takes.

        Raises:
            KeyError: no event has this noun.
        """
        event = self.event(noun)
        parent = () if event.own_time else (self.table_of(event.at.split(".")[0]),)
        return tuple(name for name in (self.table_of(noun), *parent) if name)

    @cached_property
    def entities(self) -> tuple[str, ...]:
        """The nouns of all entities, also of those that only exist as ids in events."""
        declared = [table.entity for table in self.entity_tables.values()]
        return tuple(dict.fromkeys([*declared, *(noun for table in self.event_tables.values() for noun in table.of)]))

    @cached_property
    def events(self) -> tuple[str, ...]:
        return tuple(table.event for table in self.event_tables.values())
