"""Ibis's backend for DuckDB, which writes SQL in less time: for a day's rows, most of a run's time went there.

SELECTs stay one inside the other, as the expression has them. And an expression is compiled once: over other tables of
the same columns, or at other instants, it becomes the same SQL with these put in. DuckDB is given the same to compute.
"""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import uuid4

import ibis
import ibis.expr.operations as ops
from ibis.backends.duckdb import Backend
from ibis.backends.sql.compilers.duckdb import DuckDBCompiler
from ibis.common.graph import Graph

_PLACE = f"table {{number}} of {uuid4().hex}"
"""What a table is called in SQL that is kept."""

MOST_NESTED = 50
"""SQLGlot writes a SELECT inside another in ten calls of functions, of which Python allows a thousand by default."""

_LATEST = datetime(9990, 1, 1)
_FIRST_MICROSECOND, _LAST_MICROSECOND = 10**14, 9 * 10**18
"""Whole numbers from 1973 on are taken for microseconds since 1970: instants, not lengths of windows."""


class NestedSelects(DuckDBCompiler):  # type: ignore[misc]  # Ibis has no types
    """Ibis's compiler for DuckDB, which merges SELECTs only where an order would be lost otherwise.

    Merging them, as Ibis does by default, takes half the time of compiling, and DuckDB plans both alike. Of more than
    `MOST_NESTED` they are merged all the same.
    """

    def translate(self, op: Any, *, params: Any) -> Any:
        if is_ordered_inside(op) or depth(op) > MOST_NESTED:
            return super().translate(op, params=params)
        with selects_apart():
            return super().translate(op, params=params)


class DuckDBBackend(Backend):  # type: ignore[misc]  # Ibis has no types
    """Ibis's backend, with a memory for the SQL that it has written."""

    name = "duckdb"
    compiler = NestedSelects()

    def compile(self, expr: Any, /, **kwargs: Any) -> str:
        if any(value is not None for value in kwargs.values()):
            return str(super().compile(expr, **kwargs))
        op = expr.as_table().op()
        places = {node: place for number, node in enumerate(op.find(_varies)) if (place := _place(node, number))}
        named = {_text(place): _text(node) for node, place in places.items()}
        sql = _compiled(op.replace(places))
        if not all(place in sql for place in named):
            # Left out, or written in another way than alone.
            return str(super().compile(expr))
        # In one pass: what is put in is not looked at again.
        return re.sub("|".join(map(re.escape, named)), lambda found: named[found[0]], sql) if named else sql


@lru_cache(maxsize=256)
def _compiled(op: Any) -> str:
    return str(DuckDBBackend.compiler.to_sqlglot(op.to_expr()).sql(dialect="duckdb", copy=False))


def _varies(op: Any) -> bool:
    return isinstance(op, ops.PhysicalTable | ops.Literal)


def _place(op: Any, number: int) -> Any:
    """What stands in SQL that is kept for a table, or for an instant; none for other literals, which stay."""
    if isinstance(op, ops.PhysicalTable):
        return ops.UnboundTable(_PLACE.format(number=number), op.schema)
    if isinstance(op.value, datetime | date):
        return ops.Literal(_LATEST - timedelta(days=number), op.dtype)
    if op.dtype.is_int64() and op.value is not None and op.value >= _FIRST_MICROSECOND:
        return ops.Literal(_LAST_MICROSECOND - number, op.dtype)
    return None


def _text(op: Any) -> str:
    """How a table or a literal is written in SQL."""
    arguments = dict(zip(op.__argnames__, op.__args__, strict=True))
    return str(DuckDBBackend.compiler.visit_node(op, **arguments).sql(dialect="duckdb"))


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
