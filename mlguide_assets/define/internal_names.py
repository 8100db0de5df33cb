"""Columns that computing puts beside those of a source, where one of the same name would take their place."""

INTERNAL_NAMES = frozenset(
    {
        *("_asked", "_asked_at", "_asked_of", "_at", "_content", "_day", "_draw", "_edge", "_eligible"),
        *("_exact", "_file", "_further", "_happened", "_instant", "_is_row", "_known", "_known_until"),
        *("_lake_file", "_lake_partition", "_last", "_left_out", "_newer_rows", "_now", "_numbered_of", "_of"),
        *("_parent", "_parent_time", "_place", "_positive", "_ratio", "_requested", "_row", "_rows", "_since"),
        *("_so_far", "_today", "_until", "_value", "_window", "_written", "unreadable value"),
    }
)
"""In lower case. A column of a problem file is called otherwise; all other names are free."""
