"""Does a feature name its row, rather than describe it?"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.decision import Decision, id_column
from mlguide_assets.english import plural
from mlguide_assets.prepare.features.catalogue import Feature
from mlguide_assets.prepare.features.comparing import floats
from mlguide_assets.statistics.arrays import Flags, Floats, Integers
from mlguide_assets.train.leakage.results import Alarm, codes_of, details_of, for_models, worst_of
from mlguide_assets.train.matured_columns import Rows


@dataclass(frozen=True, eq=False)
class _Things:
    """What a feature could name: the entities, the instants or the decisions of n rows.

    Attributes:
        of_row: the thing of each row (n,), numbered in the order of its key.
        testable: which things distinguish a name from a measurement. An entity seen at one instant only does not:
            whatever is measured then has one value for it.
        fewest: below so many things a category, or a number in their order, may be theirs alone by chance.
        ordered: whether the order of the key says anything; that of the decisions is the order of the instants.
    """

    name: str
    of_row: Integers
    testable: Flags
    fewest: int
    ordered: bool = True


_FEWEST_WHOLE_NUMBERS = 100
"""Whole numbers collide less than categories do: of 50 counts up to 1,000 all differ in more than one case of four."""

_IN_ORDER = 0.99
"""The share of steps that go one way in a copy of a key; nearly all, so that rounding does not hide one."""


def id_like_features(rows: Rows, features: Sequence[Feature], decision: Decision, *, limit: float) -> Alarm:
    """Does a feature for models name an entity, its instant or its row, rather than describe it?

    A feature *names* a thing where it has one value in all rows of the thing and this value in no other row. The
    measure is the share of things that it names; rows where it is missing do not count. A name is distinguished from a
    measurement, which may well be unique, by its form: a feature can be an id only if it is

    - a category: it groups nothing (from 10 entities on, 100 instants, or 1,000 decisions);
    - a whole number (from 100 entities or instants on, or 1,000 decisions): a hash, a row number, an amount to
      the cent. A count or an age in days is shared, unless it has a hundred times as many values as there are things;
    - any number that rises, or falls, with the key from thing to thing: a copy of it, whatever its scale (from 10
      entities on, or 100 instants).

    So a fraction that differs in every row, such as a tenure, is a measurement. A category that names entities is
    found even as text, a copy of the time as a clock. Not found: a hash of an id scaled to fractions, which
    cannot be distinguished from a continuous trait, and ids of fewer things than said above.

    Args:
        rows: keys and features; labels are not looked at.
        limit: the largest share of things that may be named.
    """
    measured = {}
    named = {}
    things = list(_things(rows, decision))
    for feature in for_models(features):
        values = _Values.of(rows[feature.name], feature.kind)
        shares = [(_named_share(values, each), each.name) for each in things]
        measured[feature.name], named[feature.name] = max(shares, key=lambda share: share[0])
    worst, value = worst_of(measured)
    if worst is None or value <= limit:
        message = f"No feature names more than {limit:.0%} of the {', '.join(each.name for each in things)}."
    else:
        message = (
            f"{worst} has a value of its own for {value:.1%} of the {named[worst]}, where at most {limit:.0%} was "
            f"expected: the model would learn them by heart; remove it, or make it coarser."
        )
    return Alarm("no_id_like_features", value <= limit, worst, value, limit, message, details_of(measured))


def _things(rows: Rows, decision: Decision) -> Iterator[_Things]:
    instant = _numbered(rows[decision.time])
    unit = _numbered(rows[decision.unit_id])
    for noun in decision.nouns:
        entity = unit if noun == decision.unit else _numbered(rows[id_column(noun)])
        yield _Things(plural(noun), entity, _varied(instant if noun == decision.unit else unit, entity), 10)
    # A single row per instant is evidence enough: a clock runs with all of them, a tenure only with its unit's.
    yield _Things("instants", instant, np.ones(size_of(instant), dtype=bool), 100)
    yield _Things(decision.plural, np.arange(len(unit)), np.ones(len(unit), dtype=bool), 1000, ordered=False)


def _numbered(keys: pa.ChunkedArray) -> Integers:
    """Keys numbered from 0, in their order."""
    encoded = keys.combine_chunks().dictionary_encode()
    rank = np.empty(len(encoded.dictionary) + 1, dtype=np.int64)
    rank[np.asarray(pc.array_sort_indices(encoded.dictionary))] = np.arange(len(encoded.dictionary))
    rank[-1] = len(encoded.dictionary)
    found: Integers = rank[np.asarray(encoded.indices.cast(pa.int64()).fill_null(-1))]
    return found


@dataclass(frozen=True, eq=False)
class _Values:
    """A feature where it is not missing: in which rows, its values numbered, and as numbers where it is one."""

    rows: Integers
    codes: Integers
    numbers: Floats | None

    @classmethod
    def of(cls, column: pa.ChunkedArray, kind: str) -> "_Values":
        numbers = floats(column) if kind == "number" else None
        codes, missing = codes_of(column if numbers is None else pa.array(numbers, mask=np.isnan(numbers)))
        rows = np.flatnonzero(~missing)
        return cls(rows, codes[rows], None if numbers is None else numbers[rows])

    @property
    def whole(self) -> bool:
        return self.numbers is not None and bool((self.numbers == np.floor(self.numbers)).all())


def _named_share(values: _Values, things: _Things) -> float:
    """The share of the testable things that a feature names; 0 where its form cannot be that of a name."""
    thing = things.of_row[values.rows]
    testable = np.zeros(len(things.testable), dtype=bool)
    testable[thing] = True
    testable &= things.testable
    count = int(testable.sum())
    if count < things.fewest or not (
        values.numbers is None
        or (values.whole and count >= _FEWEST_WHOLE_NUMBERS)
        or (things.ordered and _is_in_order(values.numbers, thing, testable))
    ):
        return 0.0
    # Any row of a thing stands for it: where the thing is named, all its rows are alike.
    code_of = np.zeros(len(testable), dtype=np.int64)
    code_of[thing] = values.codes
    named = ~_varied(values.codes, thing, len(testable)) & ~_varied(thing, values.codes)[code_of]
    return float(named[testable].mean())


def _is_in_order(numbers: Floats, thing: Integers, testable: Flags) -> bool:
    """Whether the number goes one way from each thing to the next, in the order of their keys."""
    number_of = np.zeros(len(testable))
    number_of[thing] = numbers
    earlier, later = number_of[testable][:-1], number_of[testable][1:]
    return bool(max((earlier < later).mean(), (earlier > later).mean()) >= _IN_ORDER)


def _varied(value: Integers, group: Integers, groups: int | None = None) -> Flags:
    """Which groups (numbered from 0) have more than one value among their rows, without sorting."""
    some = np.zeros(size_of(group) if groups is None else groups, dtype=np.int64)
    some[group] = value
    varied = np.zeros(len(some), dtype=bool)
    varied[group[some[group] != value]] = True
    return varied


def size_of(codes: Integers) -> int:
    return int(codes.max()) + 1 if len(codes) else 0
