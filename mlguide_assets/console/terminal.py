"""Where commands print. Their text holds data and paths, so it is never markup and cannot steer the terminal."""

import json
import re
import sys
import warnings
from collections.abc import Iterable
from io import TextIOWrapper
from typing import Any, TextIO

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from mlguide_assets.define.secrets import addresses_in_environment, masked
from mlguide_assets.statistics.missing import with_finite_numbers

_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
"""Control characters but tab and line feed, and those that change the direction of what follows."""


def printable(text: str) -> str:
    r"""A text that cannot steer a terminal: its control characters are written out.

    >>> printable("\x1b[2Jgone")
    '\\x1b[2Jgone'
    """
    return _STEERING.sub(lambda found: found[0].encode("unicode_escape").decode("ascii"), text)


_WORD = re.compile(r"'mlguide [^'\n]*'|(?<=: )mlguide .*$|\S+")
"""What stays on one line of a terminal: a word, or a command, which is there to be copied."""


def wrapped(text: Text, width: int) -> Text:
    """Lines that are broken between words, and never within a command; what goes on is indented by two more."""
    return Text("\n").join(part for line in text.split("\n", allow_blank=True) for part in _parts(line, width))


def _parts(line: Text, width: int) -> Iterable[Text]:
    indent = len(line.plain) - len(line.plain.lstrip()) + 2
    start, breaks = 0, list[int]()
    for word in _WORD.finditer(line.plain):
        used = word.end() - start + (indent if breaks else 0)
        if used > width and word.start() > start and line.plain[: word.start()].strip():
            breaks.append(start := word.start())
    for at, part in enumerate(line.divide(breaks)):
        if breaks:
            part.rstrip()
        yield Text(" " * indent).append(part) if at else part


class PlainConsole(Console):
    """Prints strings as they are, but for secrets: no markup or highlighting, no control characters.

    On a terminal, lines are broken between words; elsewhere a line stays a line, for `grep`.
    Style is said apart from the text: `print(..., style="red")`, or `Text.assemble(("Read", "bold"), ...)`.
    """

    def __init__(self, *, stderr: bool = False, **options: Any) -> None:
        super().__init__(stderr=stderr, markup=False, emoji=False, highlight=False, soft_wrap=True, **options)

    def print(self, *objects: Any, **options: Any) -> None:
        if self.is_terminal:
            objects = tuple(
                wrapped(Text(shown(each)) if isinstance(each, str) else each, self.width)
                if isinstance(each, str | Text)
                else each
                for each in objects
            )
        super().print(*objects, **options)

    def render_str(self, text: str, **options: Any) -> Text:
        """A string as what is laid out, so that the width of a column is that of what is printed."""
        return super().render_str(shown(text), **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=shown(segment.text))


def shown(text: str) -> str:
    """What may be shown of a text: without the secrets of this process, and unable to steer a terminal."""
    return printable(masked(text, *addresses_in_environment()))


screen = PlainConsole()
"""Standard output: the result of a command."""

console = PlainConsole(stderr=True)
"""Standard error: progress, and what went wrong."""


def print_json(value: Any) -> None:
    """The result of a command as valid JSON, on standard output: a number that is not finite is null."""
    sys.stdout.write(json.dumps(with_finite_numbers(value), indent=2, allow_nan=False) + "\n")


def print_warnings_as_data() -> None:
    """Warnings of Python and its libraries quote data, and go to the same terminal."""

    def show(
        message: Warning | str,
        category: type[Warning],
        filename: str,
        lineno: int,
        file: TextIO | None = None,
        line: str | None = None,
    ) -> None:
        text = warnings.formatwarning(message, category, filename, lineno, line).rstrip()
        if file is None:
            console.print(text)
        else:
            file.write(f"{printable(text)}\n")

    warnings.showwarning = show


def print_in_any_encoding() -> None:
    """A character that the terminal's encoding lacks becomes a question mark instead of an error."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="replace")
