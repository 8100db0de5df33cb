"""Making the bytes of a Parquet file follow from its rows: Spark's writer lists encodings in the order of a hash set.

That order is another one in every Java process, so equal rows would be files of different content. The list is sorted
in the footer, which is written in Thrift's compact protocol. Nothing else is changed, and no page is read.
"""

from collections.abc import Iterator
from pathlib import Path

_TAIL = 8
"""The length of the footer, in four bytes, and the word PAR1."""
_ENCODINGS = (4, 1, 3, 2)
"""Of the file its row groups, of these their columns, of these their metadata, of these their encodings."""
_BOOLEANS, _BYTE, _INTEGERS, _DOUBLE, _BINARY, _LISTS, _STRUCT = (1, 2), 3, (4, 5, 6), 7, 8, (9, 10), 12


def sort_encodings(path: Path) -> None:
    """Sort the encodings that a Parquet file lists, in place."""
    with path.open("r+b") as file:
        file.seek(-_TAIL, 2)
        length = int.from_bytes(file.read(4), "little")
        start = file.seek(-_TAIL - length, 2)
        footer = bytearray(file.read(length))
        for first, end in _Footer(footer).lists_at(_ENCODINGS):
            footer[first:end] = bytes(sorted(footer[first:end]))
        file.seek(start)
        file.write(footer)


class _Footer:
    """A walk over a structure in Thrift's compact protocol."""

    def __init__(self, content: bytearray) -> None:
        self._content, self._at = content, 0

    def lists_at(self, wanted: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        """Where the elements of the lists at a path of field ids begin and end."""
        yield from self._struct((), wanted)

    def _struct(self, path: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        field = 0
        while header := self._byte():
            delta, kind = header >> 4, header & 15
            field = field + delta if delta else self._signed()
            if kind not in _BOOLEANS:
                yield from self._value(kind, (*path, field), wanted)

    def _value(self, kind: int, path: tuple[int, ...], wanted: tuple[int, ...]) -> Iterator[tuple[int, int]]:
        if kind == _STRUCT:
            yield from self._struct(path, wanted)
        elif kind in _LISTS:
            header = self._byte()
            size, of = header >> 4, header & 15
            size = self._varint() if size == 15 else size
            first = self._at
            for _ in range(size):
                yield from self._value(_BYTE if of in _BOOLEANS else of, path, wanted)
            if path == wanted:
                yield first, self._at
        elif kind in _INTEGERS:
            self._varint()
        elif kind == _BINARY:
            length = self._varint()
            self._at += length
        elif kind in (_BYTE, _DOUBLE):
            self._at += 1 if kind == _BYTE else 8
        else:
            raise ValueError(f"A footer of Parquet has no field of Thrift's type {kind}.")

    def _byte(self) -> int:
        self._at += 1
        return self._content[self._at - 1]

    def _varint(self) -> int:
        value, shift = 0, 0
        while (byte := self._byte()) & 128:
            value, shift = value | (byte & 127) << shift, shift + 7
        return value | byte << shift

    def _signed(self) -> int:
        value = self._varint()
        return value >> 1 ^ -(value & 1)
