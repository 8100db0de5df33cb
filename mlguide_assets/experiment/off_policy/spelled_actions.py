"""Actions of a log, however a file spells them: 2, 2.0 and 02 are one action, and true and 1 where there are two.

A target's actions are often in a column of another type than those that were logged, or written by another program.
"""

import re
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlguide_assets.define.values import FLAGS
from mlguide_assets.experiment.off_policy.outcome_model import UNKNOWN
from mlguide_assets.statistics.arrays import Integers

# Without an exponent: 1e5 may be an id in hexadecimal digits.
_NUMBER = re.compile(r"([+-]?)(\d+)(?:\.(\d*))?", re.ASCII)


@dataclass(frozen=True)
class SpelledActions:
    """The actions of a log.

    Attributes:
        spellings: the distinct values of the logged column, as text.

    >>> actions = SpelledActions(("01", "2", "2.0"))
    >>> actions.names
    ('1', '2')
    >>> actions.codes(pa.chunked_array([["2", "1.0", "3"]])).tolist()
    [1, 0, -1]
    """

    spellings: tuple[str, ...]

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "SpelledActions":
        """The actions in a column of text."""
        return cls(tuple(sorted(pc.unique(column).drop_null().to_pylist())))

    @cached_property
    def names(self) -> tuple[str, ...]:
        """One name for each action, in order."""
        return tuple(sorted(set(map(self.name, self.spellings))))

    @cached_property
    def numbers(self) -> tuple[float, ...]:
        """The actions that are numbers or flags, as numbers."""
        return tuple(float(name) for name in self.names if _NUMBER.fullmatch(name))

    def name(self, text: str) -> str:
        """The one name of an action. A number is that number, and one of two flags is 1 or 0."""
        flag = _flag(text) if self._are_flags else None
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
        """Whether leading zeros tell two logged actions apart."""
        with_zeros, without = ({_as_number(text, zeros) or text for text in self.spellings} for zeros in (True, False))
        return len(without) < len(with_zeros)

    @cached_property
    def _are_flags(self) -> bool:
        """Two actions, one of which means true and the other false: a `y` among more is a letter."""
        flags = {self._number(text) or text.lower(): _flag(text) for text in self.spellings}
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


def _flag(text: str) -> str | None:
    return next((str(int(truth)) for truth, words in FLAGS.items() if text.lower() in words), None)
