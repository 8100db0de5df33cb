"""What is wrong with a request that is not of its type, in plain words rather than in those of the library.

One sentence per kind of error, after the place that it is about: `price: write a number`.
"""

from collections.abc import Mapping
from typing import Any

from mlguide_assets.deploy.serving.messages import MANY, ONE

_TIME = "write a time as text, such as 2026-01-02T10:30:00Z"
_SAID = {
    "missing": "it is missing; add it",
    "extra_forbidden": "no such field is known here; remove it, or correct its name",
    "dict_type": "write a JSON object, in braces",
    "list_type": "write a list, in brackets",
    "string_type": "write a text, in quotes",
    "bool_type": "write true or false",
    "int_type": "write a whole number",
    "int_from_float": "write a whole number",
    "int_parsing": "write a whole number",
    "float_type": "write a number",
    "float_parsing": "write a number",
    "finite_number": "write a finite number, and null where it is not known",
    "literal_error": "write {expected}",
    "too_short": "write at least {min_length}",
    "too_long": "write at most {max_length}",
    "string_too_short": "write a text that is not empty",
    "string_too_long": "write a text of at most {max_length} characters",
    "greater_than_equal": "write a number that is at least {ge}",
    "less_than_equal": "write a number that is at most {le}",
}
"""Kind of error, as Pydantic calls it → what to do."""
_ALTERNATIVE = ("constrained-", "function-after[without_spaces()")
"""How Pydantic calls the two types that an id may have, each of which has an error of its own."""


def place_of(error: Mapping[str, Any]) -> tuple[str, ...]:
    """The fields that lead to what is wrong; empty where it is the body.

    >>> place_of({"loc": ("body", "payments", 0, "payment", "constrained-int")})
    ('payments', '0', 'payment')
    """
    parts = [str(part) for part in error["loc"] if part not in (ONE, MANY, "body")]
    return tuple(part for part in parts if not part.startswith(_ALTERNATIVE))


def in_words(error: Mapping[str, Any]) -> str:
    """What to do about an error.

    >>> in_words({"type": "too_short", "msg": "List should have at least 1 item", "ctx": {"min_length": 1}})
    'write at least 1'

    Args:
        error: one of those that Pydantic lists.
    """
    kind = str(error["type"])
    if str((error.get("loc") or ("",))[-1]).startswith(_ALTERNATIVE):
        return "write a whole number, or a text in quotes"
    if kind.startswith("datetime"):
        return _TIME
    if kind in _SAID:
        return _SAID[kind].format_map({name: _plain(value) for name, value in error.get("ctx", {}).items()})
    return str(error["msg"]).removeprefix("Value error, ")


def _plain(value: Any) -> str:
    return f"{value:.0f}" if isinstance(value, float) and value.is_integer() else str(value)
