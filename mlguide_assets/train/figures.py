"""How a measured value and its interval are written for people."""

from collections.abc import Mapping
from typing import Any


def number(value: float | None) -> str:
    """Four digits; a dash where there is no value."""
    if value is None or value != value:
        return "–"
    return f"{value:.4g}" if abs(value) >= 1 else f"{value:.4f}"


def span(row: Mapping[str, Any]) -> str:
    """The interval of a row with `low` and `high`; nothing where it has none."""
    low, high = row["low"], row["high"]
    return "" if low is None or high is None or low != low else f"({number(low)} to {number(high)})"


def estimate(row: Mapping[str, Any]) -> str:
    """`value` with its interval."""
    return f"{number(row['value'])} {span(row)}".strip()
