"""Data in Markdown: names, values and reasons are text there, and never a picture, a link, a heading or HTML."""

import re
from collections.abc import Iterable, Sequence
from typing import Any

_MARKUP = re.compile(r"[\\`*\[\]<>|~#]|(?<![^\W_])_|_(?![^\W_])|&(?=#?\w+;)")
_BLOCK = re.compile(r"^(\d*)([.)](?=\s|$)|[-+](?=[\s-]|$)|=(?=[\s=]|$))")
_SCHEME = re.compile(r"(?<=\w):(?=//)|(?i:(?<=\bwww)\.)")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def escaped(value: object) -> str:
    """A value as text of one line that Markdown shows as it is.

    >>> escaped("<b>![x](http://evil)")
    '\\\\<b\\\\>!\\\\[x\\\\](http\\\\://evil)'
    >>> escaped("number_of_emails")
    'number_of_emails'
    """
    text = _MARKUP.sub(r"\\\g<0>", _CONTROL.sub(" ", str(value)).strip())
    # What begins a list, a line across or a heading.
    text = _BLOCK.sub(r"\1\\\2", text)
    # Viewers turn a bare address into a link.
    return _SCHEME.sub(r"\\\g<0>", text)


def table(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    """A table of values, each escaped; None is an empty cell."""
    lines = [_line(header), "|" + "---|" * len(header), *(_line(row) for row in rows)]
    return "\n".join(lines)


def listed(items: Iterable[object]) -> str:
    """A list of values, each escaped."""
    return "\n".join(f"- {escaped(item)}" for item in items)


def code(text: str, language: str) -> str:
    """A block of code, whatever the text has in it."""
    longest = max((len(run) for run in re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    return f"{fence}{language}\n{text}\n{fence}"


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join('' if cell is None else escaped(cell) for cell in cells)} |"
