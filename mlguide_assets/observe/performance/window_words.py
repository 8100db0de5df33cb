"""How a window of days is named wherever a figure over it is told. Short commands use it, so it imports no NumPy."""

from datetime import date


def window_in_words(day: date, window_days: int, first: date) -> str:
    """The window that ends with a day, with the days that it holds of a record that begins on `first`.

    >>> window_in_words(date(2026, 1, 9), 7, date(2026, 1, 1))
    'the 7 days to 2026-01-09'
    >>> window_in_words(date(2026, 1, 2), 7, date(2026, 1, 1))
    'the 2 days to 2026-01-02'
    """
    held = min(window_days, (day - first).days + 1)
    return f"the {held} days to {day}" if held > 1 else str(day)
