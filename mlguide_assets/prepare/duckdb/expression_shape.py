"""What an Ibis expression is apart from its tables and instants: those of one shape have the same SQL but for these.

To make the shape costs a walk over the expression, a tenth of putting other tables into it, which makes all of it anew.
"""

from collections.abc import Hashable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any
from uuid import uuid4

import ibis.expr.operations as ops
from ibis.common.graph import Node

_TABLE = f"table {{number}} of {uuid4().hex}"
"""What a table is called in SQL that is kept."""

EPOCH = datetime(1970, 1, 1)
"""What microseconds are counted from: of the shape, since compilers have a way of their own to add to it."""

_LATEST = datetime(9990, 1, 1)
_FIRST_MICROSECOND, _LAST_MICROSECOND = 10**14, 9 * 10**18
"""Whole numbers from 1973 on are taken for microseconds since 1970: instants, not lengths of windows."""


@dataclass(frozen=True)
class Shape:
    """An expression whose tables and instants are numbered.

    Attributes:
        key: equal for expressions that differ in nothing but these.
        given: the tables and instants, each once, in the order of their numbers.
    """

    key: Hashable
    given: tuple[Any, ...]

    @property
    def places(self) -> dict[Any, Any]:
        """What stands for each of them in SQL that is kept."""
        return {node: _place(node, number) for number, node in enumerate(self.given)}


def shape_of(op: Any) -> Shape:
    """The shape of an operation."""
    return _Walk().over(op)


@dataclass
class _Walk:
    """Nodes get numbers, each after those that it is made of."""

    entries: list[Hashable] = field(default_factory=list)
    numbers: dict[int, int] = field(default_factory=dict)
    given: dict[Any, int] = field(default_factory=dict)

    def over(self, op: Any) -> Shape:
        # Not by recursion: expressions are nested more deeply than Python's calls may be.
        waiting = [op]
        while waiting:
            node = waiting[-1]
            parts = [] if id(node) in self.numbers or _is_given(node) else [*_nodes(node.__args__)]
            missing = [part for part in parts if id(part) not in self.numbers]
            if missing:
                waiting += missing
                continue
            waiting.pop()
            if id(node) not in self.numbers:
                self.numbers[id(node)] = len(self.entries)
                self.entries.append(self._entry(node))
        return Shape(tuple(self.entries), tuple(self.given))

    def _entry(self, node: Any) -> Hashable:
        if not _is_given(node):
            return type(node), *map(self._key, node.__args__)
        number = self.given.setdefault(node, len(self.given))
        if isinstance(node, ops.PhysicalTable):
            return ops.PhysicalTable, number, node.schema
        return ops.Literal, number, node.dtype

    def _key(self, part: Any) -> Hashable:
        if isinstance(part, Node):
            return Node, self.numbers[id(part)]
        if isinstance(part, tuple):
            return tuple, *map(self._key, part)
        if isinstance(part, Mapping):
            return Mapping, *((name, self._key(value)) for name, value in part.items())
        return part  # type: ignore[no-any-return]


def _nodes(parts: Any) -> Iterator[Any]:
    for part in parts:
        if isinstance(part, Node):
            yield part
        elif isinstance(part, tuple):
            yield from _nodes(part)
        elif isinstance(part, Mapping):
            yield from _nodes(part.values())


def _is_given(node: Any) -> bool:
    """Whether it is a table or an instant; other literals, and `EPOCH`, belong to the shape."""
    if isinstance(node, ops.Literal):
        value = node.value
        instant = isinstance(value, date) and value != EPOCH
        return instant or (type(value) is int and node.dtype.is_int64() and value >= _FIRST_MICROSECOND)
    return isinstance(node, ops.PhysicalTable)


def _place(node: Any, number: int) -> Any:
    if isinstance(node, ops.PhysicalTable):
        return ops.UnboundTable(_TABLE.format(number=number), node.schema)
    if isinstance(node.value, date):
        return ops.Literal(_LATEST - timedelta(days=number), node.dtype)
    return ops.Literal(_LAST_MICROSECOND - number, node.dtype)
