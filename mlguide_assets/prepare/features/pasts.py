"""What is in the columns that automatic features can be made of: frequent values, row numbers, kinds of measurements.

Only events before an instant are looked at, each table once per question.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime

import ibis
import numpy as np

from mlguide_assets.define.features import Automatic
from mlguide_assets.define.values import slug
from mlguide_assets.prepare.features.automatic import Profile, Values, category_paths, is_label, pasts_of
from mlguide_assets.prepare.features.catalogue import Declared
from mlguide_assets.prepare.features.comparing import LARGEST, floats
from mlguide_assets.prepare.features.events import AT, Tables, canonical_events, column_name, microseconds, with_paths

FREQUENT = 6
"""At most so many values of a category become features of their own: the most frequent ones."""
SHARE = 0.02
"""The smallest share of the events that such a value has."""
FEWEST_NUMBERED = 1_000
"""Whole numbers that so many events have, at least, ..."""
NUMBERED = 0.95
"""... and of which so large a share is different, about, number their rows: an offset, a receipt. No feature is made of
them, since a model would learn its rows by heart."""

EXPLAINED = 0.5
"""A category that explains so large a share of a number's variance says what it measures."""
_NONE = Values((), 0)


def profile_of(problem: Declared, tables: Tables, automatic: Automatic, until: datetime) -> Profile:
    """The columns that an automatic feature can be made of, before an instant."""
    events = {past.event.event: past.event for past in pasts_of(problem, automatic)}
    categories = {
        (noun, path): values_of(problem, tables, noun, path, until)
        for noun, event in events.items()
        for path in category_paths(problem, event)
    }
    numbering = {(noun, column) for noun in events for column in _numbering(problem, tables, noun, until)}
    measured = {
        (noun, column): path
        for noun in events
        for column, path in _measured_by(problem, tables, noun, until, categories)
    }
    return Profile(categories, frozenset(numbering), measured)


def _measured_by(
    problem: Declared, tables: Tables, noun: str, until: datetime, categories: Mapping[tuple[str, str], Values]
) -> Iterator[tuple[str, str]]:
    """The numbers of an event that a category of it explains, and which: the kind of a measurement, as in long tables.

    Explained is the share of the variance that is between the values of the category, the correlation ratio squared.
    """
    event = problem.schema.event(noun)
    numbers = [column for column in event.of_kind("number", "integer") if not is_label(problem, event, column)]
    paths = [path for path in event.of_kind("category") if len(categories.get((noun, path), _NONE).frequent) > 1]
    if not numbers or not paths:
        return
    rows = canonical_events(tables, problem, noun)
    rows = rows.filter(rows[AT] < microseconds(ibis.timestamp(until)))
    explained = {
        path: _explained(rows, column_name(event, path), [column_name(event, each) for each in numbers])
        for path in paths
    }
    for place, column in enumerate(numbers):
        best = max(paths, key=lambda path: explained[path][place])
        if explained[best][place] >= EXPLAINED:
            yield column, best


def _explained(rows: ibis.Table, category: str, numbers: Sequence[str]) -> list[float]:
    """Per number, the share of its variance that is between the values of a category. One pass."""
    measures: dict[str, ibis.Value] = {}
    for place, name in enumerate(numbers):
        number = rows[name].cast("float64")
        # The squares of larger ones end the query.
        number = ibis.ifelse(number.abs() <= LARGEST, number, ibis.null("float64"))
        measures |= {
            f"rows_{place}": number.count(),
            f"mean_{place}": number.mean(),
            f"variance_{place}": number.var(how="pop"),
        }
    found = rows.group_by(rows[category].name("value")).aggregate(measures).to_pyarrow()
    shares = []
    for place in range(len(numbers)):
        count, mean, within = (floats(found[f"{name}_{place}"]) for name in ("rows", "mean", "variance"))
        some = count > 0
        count, mean, within = count[some], mean[some], within[some]
        between = float((count * (mean - np.average(mean, weights=count)) ** 2).sum()) if len(count) else 0.0
        total = between + float((count * within).sum())
        shares.append(between / total if total > 0 else 0.0)
    return shares


def _numbering(problem: Declared, tables: Tables, noun: str, until: datetime) -> Iterator[str]:
    """The columns of an event that number its rows: whole numbers, nearly all different. One pass."""
    event = problem.schema.event(noun)
    numbers = [column for column in event.of_kind("number", "integer") if not is_label(problem, event, column)]
    names = {column: column_name(event, column) for column in numbers}
    if not names:
        return
    rows = canonical_events(tables, problem, noun)
    rows = rows.filter(rows[AT] < microseconds(ibis.timestamp(until)))
    measures: dict[str, ibis.Value] = {}
    for place, name in enumerate(names.values()):
        number = rows[name].cast("float64")
        measures |= {
            f"filled_{place}": number.count(),
            f"distinct_{place}": number.approx_nunique(),
            # No floor, which DuckDB has as a whole number of 64 bits: of a larger one it ends the query.
            f"whole_{place}": (number % 1 == 0).all(),
        }
    found = rows.aggregate(measures).to_pyarrow().to_pylist()[0]
    for place, column in enumerate(names):
        filled, distinct = found[f"filled_{place}"], found[f"distinct_{place}"]
        if found[f"whole_{place}"] and filled >= FEWEST_NUMBERED and distinct >= NUMBERED * filled:
            yield column


def values_of(problem: Declared, tables: Tables, noun: str, path: str, until: datetime) -> Values:
    event = problem.schema.event(noun)
    rows = canonical_events(tables, problem, noun)
    rows = rows.filter(rows[AT] < microseconds(ibis.timestamp(until)))
    rows, names = with_paths(rows, event, [path], tables, problem.schema)
    texts = rows.select(value=rows[names[path]].cast("string"))
    counts = texts.filter(texts.value.notnull()).group_by("value").aggregate(rows=lambda table: table.count())
    totals = (
        counts.aggregate(rows=counts.rows.sum().cast("float64"), distinct=counts.count()).to_pyarrow().to_pylist()[0]
    )
    frequent = counts.filter(counts.rows >= SHARE * (totals["rows"] or 0)).order_by(ibis.desc("rows"), "value")
    found = frequent.limit(FREQUENT).to_pyarrow()["value"].to_pylist()
    return Values(tuple(that_have_names(found)), totals["distinct"])


def that_have_names(values: Iterable[str]) -> Iterator[str]:
    """Values once each; one without a letter or digit has no name."""
    return (value for value in dict.fromkeys(values) if slug(value))
