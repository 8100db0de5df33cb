"""Names of actions and arms, however a file spells them: 2, 2.0 and 02 are one, and true and 1 where there are two.

A target's actions are often in a column of another type than those that were logged, or written by another program.
Names that may or may not be one, such as 01 beside 1, or B beside b, are left apart; `alike` finds them.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.values import FLAGS, as_flag, without_spaces
from mlguide_assets.statistics.arrays import Integers

UNKNOWN = -1
"""Code of a name that is none of those known."""

# Without an exponent: 1e5 may be an id in hexadecimal digits.
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?", re.ASCII)


@dataclass(frozen=True)
class SpelledNames:
    """The names in a column, such as the actions of a log.

    Attributes:
        spellings: the distinct values of the column, as text.

    >>> actions = SpelledNames(("01", "2", "2.0"))
    >>> actions.names
    ('1', '2')
    >>> actions.codes(pa.chunked_array([["2", "1.0", "3"]])).tolist()
    [1, 0, -1]
    """

    spellings: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "SpelledNames":
        """The names in a column of text."""
        return cls(tuple(sorted(pc.unique(column).drop_null().to_pylist())))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """Each name once, in order."""
        return tuple(sorted(set(map(self.name, self.spellings))))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The names that are numbers or flags, as numbers."""
        return tuple(float(name) for name in self.names if _NUMBER.fullmatch(name))

    def name(self, text: str) -> str:
        """The one name of a spelling. A number is that number, and one of two flags is 1 or 0."""
        flag = _as_digit(text) if self._are_flags else None
        return flag or self._number(text) or text

    def codes(self, column: pa.ChunkedArray) -> Integers:
        """The place of each value of a column of text among the names, (n,); `UNKNOWN` for others."""
        values = pc.unique(column)
        places = {name: place for place, name in enumerate(self.names)}
        known = np.array([places.get(self.name(text), UNKNOWN) for text in values.to_pylist()], np.int64)
        codes: Integers = known[pc.index_in(column, values).to_numpy()]
        return codes

    @cached_property
    def _zeros_matter(self) -> bool:
        """Whether leading zeros tell two names apart."""
        with_zeros, without = ({_as_number(text, zeros) or text for text in self.spellings} for zeros in (True, False))
        return len(without) < len(with_zeros)

    @cached_property
    def _are_flags(self) -> bool:
        """Two names, one of which means true and the other false: a `y` among more is a letter."""
        flags = {self._number(text) or text.lower(): _as_digit(text) for text in self.spellings}
        return len(flags) == len(FLAGS) == len(set(flags.values()) - {None})

    def _number(self, text: str) -> str | None:
        return _as_number(text, self._zeros_matter)


def _as_number(text: str, with_zeros: bool) -> str | None:
    """A number as few digits as possible, or None for another text: nothing is rounded, however long it is."""
    found = _NUMBER.fullmatch(text)
    if found is None:
        return None
    sign, whole, fraction = found[1], found[2], (found[3] or "").rstrip("0")
    digits = (whole if with_zeros else whole.lstrip("0") or "0") + (f".{fraction}" if fraction else "")
    return f"-{digits}" if sign == "-" and digits.strip("0.") else digits


def _as_digit(text: str) -> str | None:
    flag = as_flag(text)
    return None if flag is None else str(int(flag))


def alike(names: Sequence[str]) -> list[str]:
    """The first names that would be one if they were written alike; none where all differ in more than that.

    Beside what `SpelledNames` takes for one name, that is case, spaces around them, how accents are encoded, leading
    zeros of a number, and words for yes and no where there is nothing else.

    >>> alike(["0", "1", "2"]), alike(["0", "1", "01"]), alike(["B", "a", "b "]), alike(["false", "true", "1"])
    ([], ['1', '01'], ['B', 'b '], ['true', '1'])
    """
    texts = [unicodedata.normalize("NFC", without_spaces(name)) for name in names]
    are_flags = all(as_flag(text) is not None for text in texts)
    by_meaning: dict[str, list[str]] = {}
    for name, text in zip(names, texts, strict=True):
        meaning = (_as_digit(text) if are_flags else None) or _as_number(text, False) or text.casefold()
        by_meaning.setdefault(meaning, []).append(name)
    return next((spellings for spellings in by_meaning.values() if len(spellings) > 1), [])
