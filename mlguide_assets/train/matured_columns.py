"""The columns of more rows than memory may have room for side by side, for what looks at them one after the other."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import ibis
import numpy as np
import numpy.typing as npt
import pyarrow as pa

from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.memory import available_memory

_SHARE = 0.25
_BYTES_PER_VALUE = 16
"""Of a column that is read, twice: while the engine hands it over, it has a copy."""
_ROOM_UNKNOWN = 1_000_000_000


class Rows(Protocol):
    """Rows by column: an Arrow table, or an object that reads one when it is needed."""

    def __getitem__(self, name: str) -> pa.ChunkedArray: ...


@dataclass(frozen=True, eq=False)
class MaturedColumns:
    """The rows whose outcome is known, in order of time, as few columns at a time as memory has room for.

    Attributes:
        known: the rows.
        names: their columns that will be read, best in this order.
        order: the columns that they are ordered by.
        together: how many of them are read at once; each time, the engine sorts, and spills where it must.
        taken: the numbers of the rows that are meant, in that order; default: all.
    """

    known: ibis.Table
    names: tuple[str, ...]
    order: tuple[str, ...]
    together: int
    taken: npt.NDArray[np.int64] | None = None
    read: dict[str, pa.ChunkedArray] = field(default_factory=dict)

    @classmethod
    def of(cls, rows: ibis.Table, names: Sequence[str], problem: Problem) -> "MaturedColumns":
        known, columns = rows.filter(rows[problem.label.column].notnull()), tuple(dict.fromkeys(names))
        room = _SHARE * (available_memory() or _ROOM_UNKNOWN)
        fitting = int(room / _BYTES_PER_VALUE / max(1, known.count().execute()))
        return cls(known, columns, problem.decision.order, min(len(columns), max(1, fitting)))

    def only(self, taken: npt.NDArray[np.int64]) -> "MaturedColumns":
        """Some of the rows, by their numbers."""
        return replace(self, taken=taken)

    def __getitem__(self, name: str) -> pa.ChunkedArray:
        if name not in self.read:
            first = self.names.index(name)
            chosen = self.names[first : first + self.together]
            self.read.clear()
            table = self.known.order_by(*self.order).select(*chosen).to_pyarrow()
            self.read.update({column: table[column] for column in chosen})
        column = self.read[name]
        return column if self.taken is None else column.take(self.taken)
