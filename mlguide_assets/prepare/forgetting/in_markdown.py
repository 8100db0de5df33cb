"""Mentions in tables in Markdown: all cells of a row that is of the entity, and what cells of other rows say of it."""

import re
from collections.abc import Iterable, Iterator

from mlguide_assets.markdown import escaped
from mlguide_assets.prepare.forgetting.entity_pattern import EntityPattern, are_quarantined_rows
from mlguide_assets.prepare.forgetting.escapes import MARKDOWN
from mlguide_assets.prepare.forgetting.mention import Find, Mention

TABLE = re.compile(r"^\| .*\|\n\|(?:-+\|)+$(?:\n\|.*\|$)*", re.MULTILINE)
PROBLEM_FILE = re.compile(r"^(```+)yaml\n.*?^\1$", re.MULTILINE | re.DOTALL)
"""It names columns, and no entity."""


def mentions_in_table(text: str, pattern: EntityPattern, find: Find, table: str | None) -> Iterator[Mention]:
    """Of a table in Markdown.

    Args:
        find: finds mentions in cells.
        table: whose rows it shows, where that is known.
    """
    header, line, *rows = text.split("\n")
    names = [MARKDOWN.view(cell).text for cell, _ in _cells(header)]
    known = {pattern.entity.column_in(table, names)} if table else pattern.names
    own = {number for number, name in enumerate(names) if name in known}
    start = len(header) + 1 + len(line) + 1
    for row in rows:
        cells = [(cell, start + at) for cell, at in _cells(row)]
        # A line that was cut has fewer cells than the header.
        named = dict(zip(names, (cell for cell, _ in cells), strict=False))
        if _is_own_row(named, (names[number] for number in own), pattern):
            yield from (Mention(at, at + len(cell), is_row=True) for cell, at in cells if cell)
        elif not are_quarantined_rows(named):
            for cell, at in (each for number, each in enumerate(cells) if number not in own):
                view = MARKDOWN.view(cell)
                yield from (each.within(view, at) for each in find(view.text))
        start += len(row) + 1


def _is_own_row(row: dict[str, str], own: Iterable[str], pattern: EntityPattern) -> bool:
    if are_quarantined_rows(row):
        return pattern.is_quarantined_row(MARKDOWN.view(row["table"]).text, MARKDOWN.view(row["row"]).text)
    return any(row.get(name) == escaped(pattern.key) for name in own)


def _cells(line: str) -> Iterator[tuple[str, int]]:
    """The cells of a line of a table, and where they begin."""
    at = 2
    for cell in line[2:-2].split(" | "):
        yield cell, at
        at += len(cell) + len(" | ")
