"""What a problem file may state as the format of times, and what is advised to be stated."""

import pytest

from mlguide_assets.define.dates import formats_that_read, parse_format


@pytest.mark.parametrize(
    "text",
    ["31/12/2024", "12/31/24 17:00", "31.12.2024 17:00:05.5", "31-Dec-2024 05:00 PM", "31/12/2024 17:00:00 +0200"],
)
def test_a_format_that_is_advised_may_be_stated(text: str) -> None:
    found = formats_that_read([text])
    assert found
    assert [parse_format(each) for each in found] == found


def test_the_formats_of_the_advice_may_be_stated() -> None:
    with pytest.raises(ValueError, match="such as") as refusal:
        parse_format("%H:%M")
    formats = [each.rstrip(",;") for each in str(refusal.value).replace("'", "\n").splitlines() if each.startswith("%")]
    assert "%Y-%m-%dT%H:%M:%S%z" in formats
    assert [parse_format(each) for each in formats] == formats


@pytest.mark.parametrize(
    "pattern", ["%c", "%x", "%D", "%d/%m/%Y %I:%M", "%Y-%m-%d %H:%M %Z", "%-d.%m.%Y", "%Y-%m-%d %", "%s", "%d/%m"]
)
def test_no_format_is_taken_that_engines_read_differently_or_that_leaves_the_time_in_doubt(pattern: str) -> None:
    """Of twelve hours it must be known which half of the day they are of."""
    with pytest.raises(ValueError, match="write how the column states"):
        parse_format(pattern)
