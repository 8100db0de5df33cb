"""Numbers as the JSON of a replay has them."""


def rounded(value: float | None) -> float | None:
    """To four digits after the point.

    >>> rounded(0.123456)
    0.1235
    """
    return None if value is None else round(value, 4)
