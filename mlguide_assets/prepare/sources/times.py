"""Reading a source's dates and times: UTC without a zone, or null for what does not read as one."""

import ibis

_OFFSET = r":\d\d(\.\d+)?\s*(Z|[+-]\d\d(:?\d\d){0,2})$"
_LAST_YEAR = 9999


def read_times(column: ibis.Column) -> ibis.Column:
    """A column of texts, dates or times as times; other types have no times.

    A time with a zone becomes UTC without one: the session's zone is UTC.
    """
    given = column.type()
    if given.is_string():
        time = _read_text(column.strip())
    elif given.is_date() or given.is_timestamp():
        time = column.cast("timestamp")
    else:
        return ibis.null("timestamp")
    # Databases know infinite times, of which no age can be taken.
    return ibis.ifelse(time.year() <= _LAST_YEAR, time, ibis.null("timestamp"))


def _read_text(text: ibis.Column) -> ibis.Column:
    """Text as a time, UTC where it names an offset: a plain cast would drop the offset in silence.

    Names of zones are not read: in DuckDB 1.5 one of them shifts the rows that follow it.
    """
    nothing = ibis.null("string")
    has_offset = text.re_search(_OFFSET)
    zoned = ibis.ifelse(has_offset, text, nothing).try_cast("timestamp('UTC')").cast("timestamp")
    return ibis.coalesce(zoned, ibis.ifelse(has_offset, nothing, text).try_cast("timestamp"))
