"""Ibis's backend for DuckDB, which writes SQL in less time: for a day's rows, most of a run's time went there.

SELECTs stay one inside the other, as the expression has them. And an expression is compiled once: over other tables of
the same columns, or at other instants, it becomes the same SQL with these put in. DuckDB is given the same to compute.
"""

import re
import sys
import threading
from collections import OrderedDict
from collections.abc import Hashable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from types import MappingProxyType
from typing import Any

import ibis
import ibis.expr.operations as ops
import sqlglot.expressions as sge
from ibis.backends.duckdb import Backend
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler
from ibis.common.graph import Graph

from mlguide_assets.prepare.duckdb.connection import quoted
from mlguide_assets.prepare.duckdb.expression_shape import EPOCH, Shape, shape_of

MOST_NESTED = 200
"""DuckDB refuses five hundred, one inside another; SQLGlot writes each in ten calls of functions: see `_DEPTH`."""

MOST_KEPT = 256
"""Texts of SQL that are kept."""


class NestedSelects(DuckDBCompiler):  # type: ignore[misc]  # Ibis has no types
    """Ibis's compiler for DuckDB, which merges SELECTs only where an order would be lost otherwise.

    Merging them, as Ibis does by default, takes half the time of compiling, and DuckDB plans both alike. Of more than
    `MOST_NESTED` they are merged all the same.
    """

    def __init__(self, places: Mapping[Any, Any] = MappingProxyType({})) -> None:
        """
        Args:
            places: tables and literals that others are written for, see `Shape.places`.
        """
        super().__init__()
        self.places = places

    def visit_node(self, op: Any, **arguments: Any) -> Any:
        place = self.places.get(op)
        return super().visit_node(op, **arguments) if place is None else super().visit_node(place, **_arguments(place))

    def translate(self, op: Any, *, params: Any) -> Any:
        if is_ordered_inside(op) or depth(op) > MOST_NESTED:
            return super().translate(op, params=params)
        with selects_apart():
            return super().translate(op, params=params)

    def visit_NonNullLiteral(self, op: Any, *, value: Any, dtype: Any) -> Any:  # noqa: N802, which Ibis looks up
        """A text of the data may hold a NUL, at which DuckDB takes its SQL to end: a function puts it in."""
        if dtype.is_string() and "\0" in value:
            first, *others = value.split("\0")
            nul = self.f.chr(sge.convert(0))
            return self.f.concat(sge.convert(first), *(part for each in others for part in (nul, sge.convert(each))))
        return super().visit_NonNullLiteral(op, value=value, dtype=dtype)

    def visit_TimestampAdd(self, op: Any, *, left: Any, right: Any) -> Any:  # noqa: N802, which Ibis looks up
        """Microseconds since 1970 as a time: DuckDB has a function for it, which takes half of adding an interval."""
        added = op.right
        counted = isinstance(added, ops.IntervalFromInteger) and added.unit.short == "us"
        if counted and isinstance(op.left, ops.Literal) and op.left.value == EPOCH:
            return self.f.make_timestamp(right.expressions[0])
        return self.binop(sge.Add, left, right)


class DuckDBBackend(Backend):  # type: ignore[misc]  # Ibis has no types
    """Ibis's backend, with a memory for the SQL that it has written."""

    name = "duckdb"
    compiler = NestedSelects()

    def compile(self, expr: Any, /, **kwargs: Any) -> str:
        with _room_to_recurse():
            return self._compile(expr, **kwargs)

    def _compile(self, expr: Any, /, *, limit: int | str | None = None, **kwargs: Any) -> str:
        op = expr.as_table().op()
        # As `execute` of an expression says where no limit is given.
        limit = ibis.options.sql.default_limit if limit == "default" else limit
        if any(value is not None for value in (limit, *kwargs.values())):
            return str(super().compile(expr, limit=limit, **kwargs))
        shape = shape_of(op)
        kept = _KEPT.get(shape.key)
        if kept is None:
            kept = _KEPT.put(shape.key, _compiled(op, shape))
        return kept.of(shape.given) if kept.is_whole else str(super().compile(expr))

    def to_parquet(self, expr: Any, /, path: Path | str, *, params: Any = None, **kwargs: Any) -> None:
        """Write rows to a file. Ibis writes its path as Python does: with a `\\` or both quotes it is another."""
        self._run_pre_execute_hooks(expr)
        options = ["FORMAT parquet", *(f"{name.upper()} {value!r}" for name, value in kwargs.items())]
        self.raw_sql(f"COPY ({self.compile(expr, params=params)}) TO {quoted(path)} ({', '.join(options)})")


@dataclass(frozen=True)
class _Sql:
    """SQL in which other tables and instants can be put.

    Attributes:
        texts: what is between them.
        numbers: which of them comes after each text but the last.
        is_whole: whether all of them are in it. One that is left out, or is written in another way than alone, is not.
    """

    texts: tuple[str, ...]
    numbers: tuple[int, ...]
    is_whole: bool

    def of(self, given: Sequence[Any]) -> str:
        written = [_text(node) for node in given]
        between = (written[number] for number in self.numbers)
        return "".join(each for pair in zip_longest(self.texts, between, fillvalue="") for each in pair)


_DEPTH = 10_000
_recursing, _limit = 0, 0
_lock = threading.Lock()


@contextmanager
def _room_to_recurse() -> Iterator[None]:
    """Allow calls to be nested more deeply: features of some dozens of columns make a query of as many selects, each
    within another, and writing one takes a dozen calls. The limit is that of all threads.
    """
    global _recursing, _limit
    with _lock:
        if not _recursing:
            _limit = sys.getrecursionlimit()
            sys.setrecursionlimit(max(_limit, _DEPTH))
        _recursing += 1
    try:
        yield
    finally:
        with _lock:
            _recursing -= 1
            if not _recursing:
                sys.setrecursionlimit(_limit)


class _Kept:
    """The SQL that was used last, by the shape of its expression."""

    def __init__(self) -> None:
        self._by_key: OrderedDict[Hashable, _Sql] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, key: Hashable) -> _Sql | None:
        with self._lock:
            found = self._by_key.get(key)
            if found is not None:
                self._by_key.move_to_end(key)
            return found

    def put(self, key: Hashable, sql: _Sql) -> _Sql:
        with self._lock:
            self._by_key[key] = sql
            while len(self._by_key) > MOST_KEPT:
                self._by_key.popitem(last=False)
        return sql


_KEPT = _Kept()


def _compiled(op: Any, shape: Shape) -> _Sql:
    places = shape.places
    sql = _written(op, places)
    numbers = {_text(place): number for number, place in enumerate(places.values())}
    if not numbers:
        return _Sql((sql,), (), is_whole=True)
    pieces = re.split(f"({'|'.join(map(re.escape, numbers))})", sql)
    found = tuple(numbers[each] for each in pieces[1::2])
    return _Sql(tuple(pieces[::2]), found, is_whole=set(found) == set(numbers.values()))


def _written(op: Any, places: Mapping[Any, Any]) -> str:
    return str(NestedSelects(places).to_sqlglot(op.to_expr()).sql(dialect="duckdb", copy=False))


def _text(op: Any) -> str:
    """How a table or a literal is written in SQL."""
    return str(DuckDBBackend.compiler.visit_node(op, **_arguments(op)).sql(dialect="duckdb"))


def _arguments(op: Any) -> dict[str, Any]:
    return dict(zip(op.__argnames__, op.__args__, strict=True))


def depth(op: Any) -> int:
    """How many relations lie one inside the other, at most."""
    within, _ = Graph.from_bfs(op).toposort()
    depths: dict[Any, int] = {}
    for node, parts in within.items():
        depths[node] = isinstance(node, ops.Relation) + max((depths[each] for each in parts), default=0)
    return depths[op]


def is_ordered_inside(op: Any) -> bool:
    """Whether rows are filtered or lose columns after they were ordered, and are to keep their order.

    Of SELECTs inside one another, a database need only keep the order of the outermost. Below a join or an aggregate
    no order is kept anyway.
    """
    while not isinstance(op, ops.Aggregate | ops.Distinct) and hasattr(op, "parent"):
        op = op.parent
        if isinstance(op, ops.Sort):
            return True
    return False


@contextmanager
def selects_apart() -> Iterator[None]:
    """Have Ibis write nested SELECTs as they come."""
    before = ibis.options.sql.fuse_selects
    ibis.options.sql.fuse_selects = False
    try:
        yield
    finally:
        ibis.options.sql.fuse_selects = before
