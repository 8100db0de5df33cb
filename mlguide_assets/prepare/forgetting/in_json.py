"""Mentions in JSON: the value under a column of the entity where it equals the id, however it is escaped."""

import json
import re
from collections.abc import Iterator
from typing import Any

from mlguide_assets.prepare.forgetting.entity_pattern import EntityPattern
from mlguide_assets.prepare.forgetting.escapes import JSON
from mlguide_assets.prepare.forgetting.mention import Find, Mention

LINE = re.compile(r"^[ \t]*[{\[].*$", re.MULTILINE)
"""What may be a line of JSON."""

_TOKEN = re.compile(r'"(?:[^"\\]|\\.)*"|[{}\[\],:]|[^\s{}\[\],:"]+')
_URI = "dagster/uri"
"""What the history of runs calls the place of a table beside its first rows."""


def parsed(text: str) -> Any:
    """A text as JSON; None where it is none, or a single value."""
    if not text.lstrip().startswith(("{", "[")):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def mentions_in_json(text: str, pattern: EntityPattern, find: Find) -> Iterator[Mention]:
    """Of a text that is JSON.

    Args:
        find: finds mentions in strings.
    """
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
            if name in pattern.names_of_ids and pattern.is_id(token):
                yield Mention(*found.span())
        elif is_name:
            yield from _in_string(found, around[-1][1], pattern, find, is_name=True)
            name = _read(token)
        else:
            yield from _in_string(found, name, pattern, find, is_name=False)


def table_of(document: Any) -> str | None:
    """The table that an event of the history of runs is about, if any."""
    places = {place.rpartition("/")[2] for place in _places(document)}
    return places.pop() if len(places) == 1 else None


def _in_string(
    found: re.Match[str], name: str | None, pattern: EntityPattern, find: Find, *, is_name: bool
) -> Iterator[Mention]:
    """Of a string of JSON, which is a value or the name of one."""
    token, start = found[0], found.start()
    if name not in pattern.names_of_ids and pattern.plain_part not in token:
        return
    view = JSON.view(token[1:-1])
    if name not in pattern.names_of_ids:
        yield from (each.within(view, start + 1) for each in find(view.text))
    elif view.text == str(pattern.key):
        # A name stays a string.
        yield Mention(start + is_name, start + len(token) - is_name)


def _read(token: str) -> str:
    """A string of JSON as it reads."""
    return JSON.view(token[1:-1]).text if "\\" in token else token[1:-1]


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
