"""Parts of a query that Spark would plan again for each place that reads them.

Ibis writes what is read twice as a common table expression, and Spark copies that to every place before it optimises.
Parts that read others twice grow with the power of their depth: decisions at cut-offs with the past of 13 tables were
more than Spark's memory. Where a query would grow so, the parts that make it are computed once, and their rows kept.
"""

from collections import Counter
from collections.abc import Callable, Mapping

import sqlglot.expressions as sge

MOST_COPIED = 20_000
"""Nodes of a query that are copied for one of its parts: below, planning takes less than keeping rows does."""


def computed_once(query: sge.Query, keep: Callable[[sge.Query], str]) -> sge.Query:
    """The query without the parts of which copies would be larger than `MOST_COPIED` in all.

    Args:
        query: as Ibis writes it: all common table expressions at its beginning, each after those that it reads.
        keep: computes a query, and returns the name of a view of its rows.
    """
    parts = {part.alias: part.this for part in query.ctes}
    uses = Counter(name for text in (*parts.values(), _body(query)) for name in _read_by(text, parts))
    sizes: dict[str, int] = {}
    kept: dict[str, str] = {}
    for name, part in parts.items():
        read = _read_by(part, parts)
        sizes[name] = sum(1 for _ in part.walk()) + sum(sizes[each] for each in read)
        if sizes[name] * (uses[name] - 1) > MOST_COPIED:
            kept[name] = keep(_with(_renamed(part, kept), parts, kept))
            sizes[name] = 1
    return _with(_renamed(_body(query), kept), parts, kept) if kept else query


def _body(query: sge.Query) -> sge.Query:
    body = query.copy()
    body.set("with_", None)
    return body


def _read_by(text: sge.Expression, parts: Mapping[str, object]) -> list[str]:
    """The parts that a text reads, as often as it does."""
    return [table.name for table in text.find_all(sge.Table) if table.name in parts and not table.db]


def _renamed(text: sge.Query, kept: Mapping[str, str]) -> sge.Query:
    """The text, which reads the views of what is kept."""
    copy = text.copy()
    for table in copy.find_all(sge.Table):
        if table.name in kept and not table.db:
            table.set("this", sge.to_identifier(kept[table.name], quoted=True))
    return copy


def _with(text: sge.Query, parts: Mapping[str, sge.Query], kept: Mapping[str, str]) -> sge.Query:
    """The text with the parts that it still needs before it, in their order."""
    needed: set[str] = set()
    left = _read_by(text, parts)
    while left:
        name = left.pop()
        if name not in needed:
            needed.add(name)
            left += [each for each in _read_by(parts[name], parts) if each not in kept]
    for name in parts:
        if name in needed:
            text = text.with_(name, as_=_renamed(parts[name], kept), copy=False)
    return text
