"""What is known of the instants that features are asked for at, and how it reduces what windows run over.

Events that no frame of any instant separates count alike everywhere. Once they are at one place, one row stands for
all of them.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

import ibis

from mlguide_assets.prepare.features.aggregates import DAY
from mlguide_assets.prepare.features.events import AT

OF, INSTANT = "_of", "_instant"


class Instants(Protocol):
    """Instants of one kind."""

    def placed(self, rows: ibis.Table, spine: ibis.Table, edges: Iterable[int]) -> ibis.Table:
        """Rows at other places in time, where each frame of each instant still has those that it had.

        Args:
            rows: `_of` and at, int64 microseconds, and any other columns.
            spine: `_of` and `_instant`, each pair once.
            edges: how far before an instant something enters or leaves a frame: `Frame.edges`.
        """


@dataclass(frozen=True)
class AnyInstants:
    """Nothing is known of them. What is older than every frame is at one place."""

    def placed(self, rows: ibis.Table, spine: ibis.Table, edges: Iterable[int]) -> ibis.Table:
        return rows.mutate({AT: ibis.greatest(rows[AT], _before(spine, edges))})


@dataclass(frozen=True)
class FewInstants:
    """They are few, beside the events of their entities: what lies between two edges of an entity is at the first.

    Twelve clinics have hundreds of thousands of events, and five hundred instants have some thousand edges.
    """

    def placed(self, rows: ibis.Table, spine: ibis.Table, edges: Iterable[int]) -> ibis.Table:
        starts = unioned([spine.select(OF, (spine[INSTANT] - edge).name(AT)) for edge in sorted(set(edges))]).distinct()
        before = starts[AT].lag().over(ibis.window(group_by=OF, order_by=AT))
        # The sum of their distances is where the newest of them is, exact as float64 to 2^53, and DuckDB has it in a
        # third of the time that the largest of them takes.
        starts = starts.mutate(_further=(starts[AT] - before.fill_null(0)).cast("float64"))
        together = unioned([rows.mutate(_is_row=True), starts])
        until_now = ibis.range_window(following=0, group_by=OF, order_by=AT)
        together = together.mutate(_edge=together["_further"].sum().over(until_now).cast("int64"))
        placed = together.filter(together["_is_row"].notnull())
        at = ibis.coalesce(placed["_edge"], _before(spine, edges))
        return placed.mutate({AT: at}).select(*rows.columns)


@dataclass(frozen=True)
class CutOffs:
    """They lie at regular distances, in microseconds: one of them, and the distance."""

    anchor: int
    step: int

    def placed(self, rows: ibis.Table, spine: ibis.Table, edges: Iterable[int]) -> ibis.Table:
        """At the newest edge of a frame of any of these instants."""
        at = rows[AT]
        offsets = {(self.anchor - edge) % self.step for edge in edges}
        starts = [(at - offset) // self.step * self.step + offset for offset in sorted(offsets)]
        return rows.mutate({AT: ibis.greatest(*starts) if len(starts) > 1 else starts[0]})


@dataclass(frozen=True)
class OneInstant:
    """They are one, in microseconds."""

    at: int

    def placed(self, rows: ibis.Table, spine: ibis.Table, edges: Iterable[int]) -> ibis.Table:
        """At the newest edge of a frame; before all of them, at one place."""
        starts = sorted(self.at - edge for edge in set(edges))
        result: ibis.Value = ibis.literal(starts[0] - 1, "int64")
        for start in starts:
            result = ibis.ifelse(rows[AT] >= start, ibis.literal(start, "int64"), result)
        return rows.mutate({AT: result})


ANY, FEW = AnyInstants(), FewInstants()
DAYS = CutOffs(0, DAY)


def _before(spine: ibis.Table, edges: Iterable[int]) -> ibis.Value:
    """A place before every edge."""
    return spine[INSTANT].min().as_scalar() - max(edges) - 2


def unioned(tables: Sequence[ibis.Table]) -> ibis.Table:
    """Tables below each other, each with nulls in the columns that it lacks."""
    types = {name: kind for table in tables for name, kind in table.schema().items()}
    filled = [
        table.select({name: table[name] if name in table.columns else ibis.null(kind) for name, kind in types.items()})
        for table in tables
    ]
    # In pairs, and pairs of pairs: a long chain is a query inside a query, which takes twice as long to write.
    while len(filled) > 1:
        pairs = [filled[place : place + 2] for place in range(0, len(filled), 2)]
        filled = [first.union(*rest) if rest else first for first, *rest in pairs]
    return filled[0]
