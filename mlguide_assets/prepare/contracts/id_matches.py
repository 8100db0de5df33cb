"""Whether the tables of a problem write the ids of an entity alike: `S-01` in one and `s-01` in another are two.

Of an entity without a table the ids of events are compared with each other. Few ids that have no row elsewhere are no
fault: a contract may forbid them, by the rule `references`.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import ibis
import ibis.expr.datatypes as dt

from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.english import counted, with_article
from mlguide_assets.errors import InputError
from mlguide_assets.prepare.duckdb.functions import duckdb_function

Tables = Mapping[TableName, ibis.Table]

_LOOKED_AT = 10_000
"""Rows of a table whose ids are looked for in another: where one of them is there, no more need be read."""
_MOSTLY = 0.5
_FEW = 20
"""Ids of a column, below which it is no fault that none of them is found: a table may have just begun."""
_BY_CHANCE = 0.01
"""The share of ids up to which others differ in nothing but case or marks because their letters are random."""


@dataclass(frozen=True)
class _Column:
    """A column of ids of an entity."""

    table: TableName
    name: str

    def __str__(self) -> str:
        return f"{self.table}.{self.name}"

    def ids(self, tables: Tables, *, first: int | None = None) -> ibis.Table:
        """The different ids as text, of all rows or of the first so many."""
        rows = tables[self.table] if first is None else tables[self.table].limit(first)
        ids = rows.select(id=rows[self.name].cast("string"))
        return ids.filter(ids.id.notnull()).distinct()


def refuse_unmatched_ids(problem: Problem, tables: Tables) -> list[str]:
    """Refuse a column none of whose ids are those of its entity; what is strange, but may be meant, is returned.

    Args:
        tables: of the source, cast.

    Raises:
        InputError: names both columns, and where only the spelling of ids differs, two of them.
    """
    warnings: list[str] = []
    for noun in problem.schema.entities:
        first, *others = _columns_of(noun, problem)
        found = [_warning(noun, other, first, problem, tables) for other in others]
        if not any(found):
            found = [_in_case_alone(noun, [first, *others], tables)]
        warnings += [warning for warning in found if warning]
    return warnings


def _warning(noun: str, column: _Column, first: _Column, problem: Problem, tables: Tables) -> str | None:
    if _shares_one(column, first, tables):
        return _some_otherwise(noun, column, first, tables)
    return _none_found(noun, column, first, problem, tables)


def _columns_of(noun: str, problem: Problem) -> list[_Column]:
    """All columns that hold ids of an entity, first the one that others are compared with."""
    schema = problem.schema
    keys = [_Column(name, table.key) for name, table in schema.entity_tables.items() if table.entity == noun]
    decided = schema.table_of(problem.predict.each)
    events = sorted(schema.event_tables.items(), key=lambda each: each[0] != decided)
    return [*keys, *(_Column(name, event.of[noun]) for name, event in events if noun in event.of)]


def _shares_one(column: _Column, other: _Column, tables: Tables) -> bool:
    """Whether both have an id in common; also where one has none."""
    some = column.ids(tables, first=_LOOKED_AT).to_pyarrow()["id"].to_pylist()
    if not some or _has_one_of(other, some, tables):
        return True
    every = column.ids(tables)
    return bool(every.filter(every.id.isin(other.ids(tables).id)).limit(1).count().execute())


def _has_one_of(column: _Column, ids: list[str], tables: Tables) -> bool:
    rows = tables[column.table]
    wanted = ibis.memtable({"id": ids}).cast({"id": rows[column.name].type()})
    return bool(rows.filter(rows[column.name].isin(wanted.id)).limit(1).count().execute())


def _none_found(noun: str, column: _Column, other: _Column, problem: Problem, tables: Tables) -> str | None:
    ids, keys = (_spelled(each.ids(tables)).to_pyarrow() for each in (column, other))
    if not len(keys):
        return None
    spelled = dict(zip(keys["plain"].to_pylist(), keys["id"].to_pylist(), strict=True))
    pairs = zip(ids["id"].to_pylist(), ids["plain"].to_pylist(), strict=True)
    alike = sorted((id_, spelled[plain]) for id_, plain in pairs if plain in spelled)
    if len(alike) >= max(_MOSTLY * len(ids), 1):
        here, there = alike[0]
        raise InputError(
            f"{column} and {other} write the ids of {noun} differently, such as {here!r} and {there!r}, so that no "
            f"{noun} of one is found in the other: write them alike in the source."
        )
    if problem.schema.table_of(noun) is None:
        return (
            f"{column}: none of {counted(len(ids), 'id')} of {with_article(noun)} is in {other}, so that they explain "
            f"nothing of each other; where they are ids of something else, give it another noun under of"
        )
    if len(ids) < _FEW:
        return f"{column}: none of {counted(len(ids), 'id')} of {with_article(noun)} has a row in {other.table}"
    raise InputError(
        f"tables.{column.table}.of: none of the {len(ids):,} values of {column.name!r} is the id of "
        f"{with_article(noun)} in {other.table}: name the column that holds the ids of {noun}, or another key there."
    )


def _some_otherwise(noun: str, column: _Column, other: _Column, tables: Tables) -> str | None:
    """Of ids that are texts, those that another column has in another spelling alone; a few are met by chance."""
    if not all(tables[each.table][each.name].type().is_string() for each in (column, other)):
        return None
    ids, keys = (_spelled(each.ids(tables)) for each in (column, other))
    alike = ids.anti_join(keys, "id").inner_join(keys.rename(there="id"), "plain")
    found = alike.aggregate(ids=alike.id.nunique(), here=alike.id.min(), there=alike.there.argmin(alike.id))
    count, here, there = found.to_pyarrow().to_pylist()[0].values()
    every = int(ids.count().execute())
    if not count or count <= _BY_CHANCE * every:
        return None
    return (
        f"{column}: {count:,} of {counted(every, 'id')} of {with_article(noun)} are in {other} in another spelling "
        f"alone, such as {here!r} for {there!r}, and count as others; write them alike in the source"
    )


def _spelled(ids: ibis.Table) -> ibis.Table:
    """Ids, and what they are whatever their case, zeros in front and marks within."""
    return ids.select("id", plain=_composed(ids.id).lower().re_replace(r"[^\p{L}\p{N}]", "").re_replace("^0+", ""))


def _composed(ids: ibis.Column) -> ibis.Column:
    """With `é` as one letter, also where it is written as two."""
    normalized = duckdb_function("nfc_normalize", (dt.string,), dt.string)
    return normalized(ids)


def _in_case_alone(noun: str, columns: list[_Column], tables: Tables) -> str | None:
    if not all(tables[each.table][each.name].type().is_string() for each in columns):
        return None
    ids = ibis.union(*(each.ids(tables) for each in columns), distinct=True) if columns[1:] else columns[0].ids(tables)
    alike = ids.group_by(alike=_composed(ids.id).lower()).aggregate(
        spellings=ids.count(), one=ids.id.min(), another=ids.id.max()
    )
    every, several = ids.count().execute(), alike.filter(alike.spellings > 1)
    found = several.aggregate(
        ids=several.spellings.sum(), one=several.one.min(), another=several.another.argmin(several.one)
    )
    of, one, another = found.to_pyarrow().to_pylist()[0].values()
    if not of or of <= _BY_CHANCE * every:
        return None
    return (
        f"{of:,} of {every:,} ids of {noun} differ from others in case alone, or in how accents are encoded, such as "
        f"{one!r} and {another!r}, and each counts as {with_article(noun)} of its own; write them alike in the source"
    )
