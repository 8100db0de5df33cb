"""What one entity looks like in a text: what its ids are called, the id itself, and what is before and behind it."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

from mlguide_assets.prepare.forgetting.forget_list import UNIT, Entity, Key

_QUOTES = r"[\\\"']*"
_SEPARATOR = rf"{_QUOTES}\s*[:= ]\s*"
_ESCAPES = (r"\\[bfnrt]", r"%[0-9a-fA-F]{2}", r"\\u[0-9a-fA-F]{4}", r"\\x[0-9a-fA-F]{2}")
"""What ends in a letter or a digit, and is one character that is neither."""


@dataclass(frozen=True)
class EntityPattern:
    """What one entity looks like.

    Attributes:
        others: ids of others that contain this one: where a text has one of them, it does not mean this one.
    """

    entity: Entity
    key: Key
    others: frozenset[str] = frozenset()

    def may_be_in(self, text: str | bytes) -> bool:
        """Whether it is worth to look: fast, and never wrongly False, whatever the text is escaped with."""
        if isinstance(text, str):
            return (
                self.plain_part in text
                and any(name in text for name in self._plain_names)
                and self._plain_id.search(text) is not None
            )
        return (
            self.plain_part.encode() in text
            and any(name.encode() in text for name in self._plain_names)
            and self._plain_id_of_bytes.search(text) is not None
        )

    @cached_property
    def plain_part(self) -> str:
        """The longest part of the id that nothing escapes; empty where there is none."""
        return _plain_part(str(self.key))

    @cached_property
    def names(self) -> frozenset[str]:
        """What its ids are called where nothing says of which table a text is."""
        key = self.entity.key
        own = [key] if key and self.entity.noun in key else []
        return frozenset([*self.entity.columns, *own, *([UNIT] if self.entity.is_unit else [])])

    @cached_property
    def names_of_ids(self) -> frozenset[str]:
        """What one id or several are called: `user_id`, `user_ids`."""
        return self.names | {f"{name}s" for name in self.names}

    def is_id(self, token: str) -> bool:
        """Whether a number of JSON is the id; 5.0 is 5."""
        if token == str(self.key):
            return True
        try:
            return isinstance(self.key, int) and not isinstance(self.key, bool) and float(token) == self.key
        except ValueError:
            return False

    def is_quarantined_row(self, table: str | None, row: str | None) -> bool:
        """Whether a quarantined row, as text, is of the entity."""
        entity = self.entity
        name = entity.key if table == entity.table else entity.named.get(str(table), entity.column)
        return re.search(rf"(?:^|; ){re.escape(str(name))}={re.escape(str(self.key))}(?:;|$)", row or "") is not None

    def ids_in_words(self, text: str) -> Iterator[tuple[int, int]]:
        """Start and end of each id that follows on what it is called, and is no part of the id of another entity."""
        starts = [found.end() for found in self._one.finditer(text)]
        for found in self._several.finditer(text):
            starts += [found.start(1) + item.end() for item in self._item.finditer(found[1])]
        return ((start, start + len(str(self.key))) for start in starts if not self._is_of_another(text, start))

    @cached_property
    def _plain_names(self) -> tuple[str, ...]:
        return tuple({_plain_part(name) for name in (*self.names, self.entity.key) if name})

    @cached_property
    def _plain_id(self) -> re.Pattern[str]:
        """The plain part where it is not within another word: behind an escape, a letter may be part of that."""
        part, whole = self.plain_part, self.plain_part == str(self.key)
        is_first, is_last = str(self.key).startswith(part), str(self.key).endswith(part)
        starts = "|".join(rf"(?<={escape}{part})" for escape in _ESCAPES)
        # What is looked for comes first, which is much faster.
        pattern = part + (r"(?![A-Za-z0-9])" if is_last else "")
        pattern += rf"(?:(?<![A-Za-z0-9]{part})|{starts})" if is_first else ""
        return re.compile(pattern + (rf"(?!\.\d*[1-9])(?<!\d\.{part})" if whole else ""))

    @cached_property
    def _plain_id_of_bytes(self) -> re.Pattern[bytes]:
        return re.compile(self._plain_id.pattern.encode())

    @cached_property
    def _one(self) -> re.Pattern[str]:
        """What stands before an id: the end of a match is the start of the id."""
        named = rf"(?<![A-Za-z0-9])(?:{_any_of(self.names)})s?{_SEPARATOR}{_QUOTES}"
        key = self.entity.key
        # `id 5` is also the id of a process; that of a row is the first that is said, or follows on a comma or bracket.
        own = rf"|(?:^|(?<=[\"'(|>])|(?<=[,;:(] )|(?<=for example )){re.escape(key)}[= ]{_QUOTES}" if key else ""
        return re.compile(rf"(?:{named}{own})(?={self._whole})", re.MULTILINE)

    @cached_property
    def _several(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9])(?:{_any_of(self.names)})s?{_SEPARATOR}\[([^\[\]]*)")

    @cached_property
    def _item(self) -> re.Pattern[str]:
        between = r",\s" if isinstance(self.key, int) else ","
        return re.compile(rf"(?:^|[{between}])\s*{_QUOTES}(?={re.escape(str(self.key))}{_QUOTES}\s*(?:[{between}]|$))")

    @property
    def _whole(self) -> str:
        """The id where it does not go on: 5 is neither in 51 nor in 5.1, and AB is neither in AB1 nor in AB-12."""
        goes_on = r"\w|\.\d" if isinstance(self.key, int) else r"\w|[-./%@+:#~\\]\w|&#?\w+;\w"
        return rf"{re.escape(str(self.key))}(?!{goes_on})"

    def _is_of_another(self, text: str, start: int) -> bool:
        """Whether the id at a place is a part of the id of another entity."""
        places = ((start - before, length) for before, length in self._around if before <= start)
        return any(text[at : at + length] in self.others for at, length in places)

    @cached_property
    def _around(self) -> frozenset[tuple[int, int]]:
        """Of the ids of others: how much there is before this one, and how long they are."""
        key = str(self.key)
        starts = ((other, at) for other in self.others for at in range(len(other)) if other.startswith(key, at))
        return frozenset((at, len(other)) for other, at in starts)


def are_quarantined_rows(columns: Iterable[str]) -> bool:
    """Whether a table with these columns holds quarantined rows, as text."""
    return {"table", "row"} <= set(columns)


def _plain_part(text: str) -> str:
    return max(re.findall("[A-Za-z0-9]+", text), key=len, default="")


def _any_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
