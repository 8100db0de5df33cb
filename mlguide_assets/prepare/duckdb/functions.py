"""DuckDB's own functions, where Ibis has none that says the same."""

from collections.abc import Callable
from functools import cache
from typing import Any

import ibis
import ibis.expr.datatypes as dt

_WITH_ARGUMENTS: dict[int, Callable[..., Any]] = {1: lambda a: ..., 2: lambda a, b: ...}
"""Ibis counts the parameters of a function."""


@cache
def duckdb_function(name: str, arguments: tuple[dt.DataType, ...], result: dt.DataType) -> Callable[..., Any]:
    """A function of DuckDB for Ibis's values. Made once: of two with one name, no two expressions are equal.

    Args:
        arguments: one or two types.
        result: the type of what it returns.
    """
    function = _WITH_ARGUMENTS[len(arguments)]
    made: Callable[..., Any] = ibis.udf.scalar.builtin(function, name=name, signature=(arguments, result))
    return made
