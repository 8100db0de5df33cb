"""Where a text mentions one entity: by structure where the text has one, by the words before an id elsewhere.

JSON, lines of JSON and tables in Markdown are read: the value under a column of the entity, or the cell below its name,
is a mention where it equals the id, however it is escaped. Texts within them are looked at in the same way. In all
other text, such as a log or a page, a mention is the name of the column, or of the entity's key, followed by the id:
`user_id 5`, `user_id=5`, `user_ids: [1, 5]`, `id=5`. The id alone is none: 5 may be anything. A problem file that is
shown in a text names columns, and no entity: it is left out.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

from mlguide_assets.markdown import escaped
from mlguide_assets.prepare.forgetting.escapes import ADDRESS, HTML, JSON, MARKDOWN, View
from mlguide_assets.prepare.forgetting.forget_list import UNIT, Entity, Key

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_MARKDOWN_TABLE = re.compile(r"^\| .*\|\n\|(?:-+\|)+$(?:\n\|.*\|$)*", re.MULTILINE)
_PROBLEM_FILE = re.compile(r"^(```+)yaml\n.*?^\1$", re.MULTILINE | re.DOTALL)
_JSON_LINE = re.compile(r"^[ \t]*[{\[].*$", re.MULTILINE)
_QUOTES = r"[\\\"']*"
_SEPARATOR = rf"{_QUOTES}\s*[:= ]\s*"
_ESCAPES = (r"\\[bfnrt]", r"%[0-9a-fA-F]{2}", r"\\u[0-9a-fA-F]{4}", r"\\x[0-9a-fA-F]{2}")
"""What ends in a letter or a digit, and is one character that is neither."""
_URI = "dagster/uri"
"""What the history of runs calls the place of a table beside its first rows."""


@dataclass(frozen=True)
class Mention:
    """A part of a text.

    Attributes:
        is_row: it is a cell of a row that is about the entity; else it is the id.
        in_words: nothing reads it but people.
    """

    start: int
    end: int
    is_row: bool = False
    in_words: bool = False

    def within(self, view: View, offset: int) -> "Mention":
        """The same where the text that was looked at is a part of another one, written with escapes."""
        return replace(self, start=offset + view.place(self.start), end=offset + view.place(self.end))


@dataclass(frozen=True)
class Mentions:
    """Finds one entity in texts.

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

    def find(self, text: str, table: str | None = None) -> list[Mention]:
        """All mentions, in order, none within another.

        Args:
            table: whose rows the text shows, where that is known.
        """
        if not self.may_be_in(text):
            return []
        document = _parsed(text)
        if document is not None:
            return list(self._in_json(text, table or _table_of(document)))
        found, apart = list[Mention](), [each.span() for each in _PROBLEM_FILE.finditer(text)]
        for start, end in [*_between(apart, len(text))]:
            for each in _MARKDOWN_TABLE.finditer(text, start, end):
                found += self._in_table(each[0], each.start(), table)
                apart.append(each.span())
            for line in _JSON_LINE.finditer(text, start, end):
                if self.may_be_in(line[0]) and _parsed(line[0]) is not None:
                    found += [each.within(View(line[0]), line.start()) for each in self._in_json(line[0], table)]
                    apart.append(line.span())
        for start, end in _between(apart, len(text)):
            if self.may_be_in(words := text[start:end]):
                found += [each.within(View(words), start) for each in self._in_words(words)]
        return list(_apart(sorted(set(found), key=lambda each: (each.start, -each.end))))

    def is_set_aside(self, table: str | None, row: str | None) -> bool:
        """Whether a quarantined row, as text, is of the entity."""
        entity = self.entity
        name = entity.key if table == entity.table else entity.named.get(str(table), entity.column)
        return re.search(rf"(?:^|; ){re.escape(str(name))}={re.escape(str(self.key))}(?:;|$)", row or "") is not None

    @cached_property
    def _names(self) -> frozenset[str]:
        """What its ids are called where nothing says of which table a text is."""
        key = self.entity.key
        own = [key] if key and self.entity.noun in key else []
        return frozenset([*self.entity.columns, *own, *([UNIT] if self.entity.is_unit else [])])

    @cached_property
    def _names_of_ids(self) -> frozenset[str]:
        return self._names | {f"{name}s" for name in self._names}

    @cached_property
    def _plain_names(self) -> tuple[str, ...]:
        return tuple({_plain_part(name) for name in (*self._names, self.entity.key) if name})

    def _is_key(self, token: str) -> bool:
        """Whether a number of JSON is the id; 5.0 is 5."""
        if token == str(self.key):
            return True
        try:
            return isinstance(self.key, int) and not isinstance(self.key, bool) and float(token) == self.key
        except ValueError:
            return False

    def _in_json(self, text: str, table: str | None) -> Iterator[Mention]:
        """Of a text that is JSON."""
        # Of each object and list around: whether it is an object, its own name, and that of the value that follows.
        around: list[tuple[bool, str | None]] = []
        name: str | None = None
        is_name = False
        for found in _TOKEN.finditer(text):
            token = found[0]
            if token in "{[":
                around.append((token == "{", name))
                is_name = token == "{"
            elif token in "}]":
                around.pop()
                is_name = False
            elif token == ",":
                is_name = around[-1][0]
                name = None if is_name else around[-1][1]
            elif token == ":":
                is_name = False
            elif not token.startswith('"'):
                if name in self._names_of_ids and self._is_key(token):
                    yield Mention(*found.span())
            else:
                yield from self._in_string(token, found.start(), around[-1][1] if is_name else name, is_name, table)
                name = _read(token) if is_name else name

    def _in_string(
        self, token: str, start: int, name: str | None, is_name: bool, table: str | None
    ) -> Iterator[Mention]:
        """Of a string of JSON, which is a value or the name of one."""
        if name not in self._names_of_ids and self.plain_part not in token:
            return
        view = JSON.view(token[1:-1])
        if name not in self._names_of_ids:
            yield from (each.within(view, start + 1) for each in self.find(view.text, table))
        elif view.text == str(self.key):
            # A name stays a string.
            yield Mention(start + is_name, start + len(token) - is_name)

    def _in_table(self, text: str, start: int, table: str | None) -> Iterator[Mention]:
        """Of a table in Markdown."""
        header, _, *rows = text.split("\n")
        names = [MARKDOWN.view(cell).text for cell, _ in _cells(header)]
        known = {self.entity.column_in(table, names)} if table else self._names
        own = {number for number, name in enumerate(names) if name in known}
        start += len(header) + 1 + len(text.split("\n", 2)[1]) + 1
        for row in rows:
            cells = [(cell, start + at) for cell, at in _cells(row)]
            if self._is_own_row(dict(zip(names, (cell for cell, _ in cells), strict=False)), own, names):
                yield from (Mention(at, at + len(cell), is_row=True) for cell, at in cells if cell)
            else:
                for cell, at in (each for number, each in enumerate(cells) if number not in own):
                    if not _holds_set_aside(names):
                        view = MARKDOWN.view(cell)
                        yield from (each.within(view, at) for each in self.find(view.text))
            start += len(row) + 1

    def _is_own_row(self, row: dict[str, str], own: Iterable[int], names: list[str]) -> bool:
        if _holds_set_aside(names):
            return self.is_set_aside(MARKDOWN.view(row["table"]).text, MARKDOWN.view(row["row"]).text)
        return any(row.get(names[number]) == escaped(self.key) for number in own)

    def _in_words(self, text: str) -> Iterator[Mention]:
        """Of a text without structure, however its parts are escaped."""
        seen = set[str]()
        for view in (View(text), *(escapes.view(text) for escapes in (JSON, HTML, ADDRESS))):
            if view.text not in seen:
                seen.add(view.text)
                for start in self._starts_of_ids(view.text):
                    end = start + len(str(self.key))
                    if not self._is_of_another(view.text, start):
                        yield Mention(view.place(start), view.place(end), in_words=True)

    def _starts_of_ids(self, text: str) -> Iterator[int]:
        for found in self._one.finditer(text):
            yield found.end()
        for found in self._several.finditer(text):
            yield from (found.start(1) + item.end() for item in self._item.finditer(found[1]))

    @cached_property
    def _one(self) -> re.Pattern[str]:
        """What stands before an id: the end of a match is the start of the id."""
        named = rf"(?<![A-Za-z0-9])(?:{_any_of(self._names)})s?{_SEPARATOR}{_QUOTES}"
        key = self.entity.key
        # `id 5` is also the id of a process; that of a row is the first that is said, or follows on a comma or bracket.
        own = rf"|(?:^|(?<=[\"'(|>])|(?<=[,;:(] )|(?<=for example )){re.escape(key)}[= ]{_QUOTES}" if key else ""
        return re.compile(rf"(?:{named}{own})(?={self._whole})", re.MULTILINE)

    @cached_property
    def _several(self) -> re.Pattern[str]:
        return re.compile(rf"(?<![A-Za-z0-9])(?:{_any_of(self._names)})s?{_SEPARATOR}\[([^\[\]]*)")

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


def _between(parts: Iterable[tuple[int, int]], end: int) -> Iterator[tuple[int, int]]:
    """What is between parts of a text."""
    last = 0
    for start, stop in sorted(parts):
        if start > last:
            yield last, start
        last = max(last, stop)
    if end > last:
        yield last, end


def _apart(mentions: Iterable[Mention]) -> Iterator[Mention]:
    """Those, in order, that do not begin within one before: an escape may be read in two ways."""
    last = 0
    for each in mentions:
        if each.start >= last:
            yield each
            last = each.end


def _plain_part(text: str) -> str:
    return max(re.findall("[A-Za-z0-9]+", text), key=len, default="")


def _read(token: str) -> str:
    """A string of JSON as it reads."""
    return JSON.view(token[1:-1]).text if "\\" in token else token[1:-1]


def _any_of(names: Iterable[str]) -> str:
    return "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))


def _parsed(text: str) -> Any:
    """A text as JSON; None where it is none, or a single value."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _table_of(document: Any) -> str | None:
    """The table that an event of the history of runs is about, if any."""
    places = {place.rpartition("/")[2] for place in _places(document)}
    return places.pop() if len(places) == 1 else None


def _places(document: Any) -> Iterator[str]:
    if isinstance(document, dict):
        if document.get("label") == _URI and isinstance(data := document.get("entry_data"), dict):
            yield str(data.get("text"))
        else:
            for each in document.values():
                yield from _places(each)
    elif isinstance(document, list):
        for each in document:
            yield from _places(each)


def _cells(line: str) -> Iterator[tuple[str, int]]:
    """The cells of a line of a table, and where they begin."""
    at = 2
    for cell in line[2:-2].split(" | "):
        yield cell, at
        at += len(cell) + len(" | ")


def _holds_set_aside(names: Iterable[str]) -> bool:
    return {"table", "row"} <= set(names)
