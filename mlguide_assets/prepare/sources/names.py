"""Names of tables and columns, compared by what people mean by them."""

import re

UNREADABLE = "unreadable value"
"""Column of a table after the cast: the values of the row that do not read as their type, or null."""


def plain(name: str) -> str:
    """A name whatever its case and punctuation.

    >>> plain("Delivered At") == plain("delivered_at")
    True
    """
    # Letters of any script: two names in Korean are not one.
    return re.sub(r"[\W_]+", "_", name.strip().lower()).strip("_")
