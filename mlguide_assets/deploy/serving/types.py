"""Types that are made while a server starts, since columns have any names: described dictionaries, and lists."""

from collections.abc import Mapping
from types import GenericAlias
from typing import Any

import typing_extensions
from pydantic import ConfigDict

_typed_dict: Any = typing_extensions.TypedDict


def record(name: str, fields: Mapping[str, Any], text: str, *, strict: bool = False) -> Any:
    """A dictionary that has these fields.

    Args:
        fields: name → type, with `NotRequired` where it may be missing.
        text: what it is, for the description of the API.
        strict: whether other fields are refused, and values of another type; else they are let be.

    >>> from pydantic import TypeAdapter
    >>> TypeAdapter(record("Point", {"x y": int}, "A point.")).validate_python({"x y": 3})
    {'x y': 3}
    """
    made = _typed_dict(name, dict(fields))
    if strict:
        made.__pydantic_config__ = ConfigDict(extra="forbid", strict=True)
    made.__doc__ = text
    return made


def list_of(type_: Any) -> Any:
    """The type of a list, whose elements have a type that is made, too."""
    return GenericAlias(list, (type_,))
