"""Values that a problem file compares columns with, and that no row has: a misspelling, or another form of the same."""

import difflib
from collections.abc import Iterator, Mapping

import ibis

from mlguide_assets.define.conditions import Asked, comparisons_of, kind_of
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import TableName
from mlguide_assets.english import agreeing, counted
from mlguide_assets.prepare.features.events import is_one_of

_LOOKED_AT, _SHOWN = 1_000, 5
"""Of the values that there are, the most frequent."""


def values_not_found(problem: Problem, tables: Mapping[TableName, ibis.Table]) -> Iterator[str]:
    """For every value of a condition that no row has: where it stands, and the nearest that there are.

    Args:
        tables: the accepted rows.
    """
    for asked in comparisons_of(problem.predict, problem.features):
        texts = tuple(dict.fromkeys((*asked.comparison.one_of, *asked.comparison.not_)))
        if texts:
            yield from _of(asked, texts, problem, tables)


def _of(
    asked: Asked, texts: tuple[str, ...], problem: Problem, tables: Mapping[TableName, ibis.Table]
) -> Iterator[str]:
    event = problem.schema.event(asked.event)
    kind = str(kind_of(event, asked.path, problem.schema))
    own = asked.path in event.columns
    noun, column = (asked.event, asked.path) if own else asked.path.split(".", 1)
    name = str(problem.schema.table_of(noun))
    rows = tables[name]
    fits = {str(place): is_one_of(rows[column], kind, (text,)).any() for place, text in enumerate(texts)}
    found = rows.aggregate(fits).to_pyarrow().to_pylist()[0]
    for place, text in enumerate(texts):
        if not found[str(place)]:
            bare = kind in ("category", "text") and text in ("true", "false")
            quotes = " (YAML reads a bare yes, no, on or off as a flag: write it in quotes)" if bare else ""
            instead = _instead(text, kind, rows[column])
            yield f"{asked.place}: no row of {name} has {column} = {text!r}{quotes}; {instead}"


def _instead(text: str, kind: str, column: ibis.Column) -> str:
    """The value that may be meant, or the most frequent ones."""
    texts = column.cast("string").name("value").as_table().filter(lambda row: row["value"].notnull())
    counts = texts.group_by("value").aggregate(rows=texts.count()).order_by(ibis.desc("rows"), "value")
    values = {row["value"]: row["rows"] for row in counts.limit(_LOOKED_AT).to_pyarrow().to_pylist()}
    # Digits that look alike are no misspelling of a number.
    by_lower = {} if kind in ("number", "integer") else {value.lower(): value for value in reversed(values)}
    close = difflib.get_close_matches(text.lower(), by_lower, n=1, cutoff=0.5)
    if close:
        value = by_lower[close[0]]
        return f"did you mean {value!r}, which {counted(values[value], 'row')} {agreeing(values[value], 'has')}?"
    shown = ", ".join(f"{value!r} ({rows:,})" for value, rows in list(values.items())[:_SHOWN])
    return f"it has {shown}" if shown else "it is empty in every row"
