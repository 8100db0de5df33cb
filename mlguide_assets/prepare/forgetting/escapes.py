"""Texts as they read without the escapes of JSON, HTML, addresses or Markdown, and where each part of them stands."""

import html
import re
from bisect import bisect_right
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import unquote

_SHORT = {"b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}


@dataclass(frozen=True)
class View:
    """A text without escapes.

    Attributes:
        text: as it reads.
        read, written: after each escape, the place in `text` and in the text as it is written.
    """

    text: str
    read: tuple[int, ...] = ()
    written: tuple[int, ...] = ()

    def place(self, at: int) -> int:
        """Where a place of `text` is in the text as it is written.

        >>> view = JSON.view(r'M\\u00fcller')
        >>> view.text, view.place(2)
        ('Müller', 7)
        """
        last = bisect_right(self.read, at) - 1
        return at if last < 0 else self.written[last] + at - self.read[last]


@dataclass(frozen=True)
class Escapes:
    """A way to write characters: what an escape looks like, and the one character that it stands for."""

    pattern: re.Pattern[str]
    character: Callable[[str], str]

    def view(self, text: str) -> View:
        parts, at, length = list[str](), 0, 0
        read, written = list[int](), list[int]()
        for found in self.pattern.finditer(text):
            part = text[at : found.start()] + self.character(found[0])
            parts.append(part)
            at, length = found.end(), length + len(part)
            read.append(length)
            written.append(at)
        return View("".join((*parts, text[at:])), tuple(read), tuple(written))


def _of_json(escape: str) -> str:
    if escape[1] in "ux":
        codes = [int(code, 16) for code in escape.replace(r"\x", r"\u").split(r"\u")[1:]]
        return "".join(map(chr, codes)).encode("utf-16", "surrogatepass").decode("utf-16", "surrogatepass")
    return _SHORT.get(escape[1], escape[1])


JSON = Escapes(
    re.compile(
        r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}|\\u[0-9a-fA-F]{4}|\\x[0-9a-fA-F]{2}|\\[^ux]"
    ),
    _of_json,
)
"""Also of what Python prints."""

HTML = Escapes(re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|\w{2,31});"), html.unescape)

ADDRESS = Escapes(
    re.compile(
        r"%[0-7][\da-fA-F]|%[cdCD][\da-fA-F]%[\da-fA-F]{2}|%[eE][\da-fA-F](?:%[\da-fA-F]{2}){2}|%[fF][\da-fA-F](?:%[\da-fA-F]{2}){3}"
    ),
    unquote,
)

MARKDOWN = Escapes(re.compile(r"\\[!-/:-@\[-`{-~]"), lambda escape: escape[1])
