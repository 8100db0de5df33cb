"""Numbers that are not known: NaN where one counts, None where a number is written. JSON has no NaN and no infinity."""

from math import isfinite, nan
from typing import Any


def finite_or_none(number: float | None) -> float | None:
    """A number as it is written: None where it is not known or not finite.

    >>> finite_or_none(0.5), finite_or_none(float("nan")), finite_or_none(float("inf"))
    (0.5, None, None)
    """
    return None if number is None or not isfinite(number) else float(number)


def nan_if_none(number: float | None) -> float:
    """A number as one counts with it: the reverse of `finite_or_none`.

    >>> nan_if_none(0.5), nan_if_none(None)
    (0.5, nan)
    """
    return nan if number is None else float(number)


def with_finite_numbers(value: Any) -> Any:
    """A value with None for each float in it that is not finite; tuples become lists, as in JSON.

    >>> with_finite_numbers({"low": float("nan"), "rows": (1, "a")})
    {'low': None, 'rows': [1, 'a']}
    """
    if isinstance(value, dict):
        return {name: with_finite_numbers(each) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [with_finite_numbers(each) for each in value]
    return finite_or_none(value) if isinstance(value, float) else value
