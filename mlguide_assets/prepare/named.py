"""Columns under names that come from a source, for the methods of Ibis that choose columns."""

from collections.abc import Mapping

import ibis


def named(columns: Mapping[str, ibis.Value]) -> list[ibis.Value]:
    """Values under their names, to be given to a method of Ibis by position, beside other columns.

    By keyword, a column that is called as a parameter of that method, such as `self` of `Table.select`, would be taken
    for it. A mapping that is all that the method is given needs no help: Ibis takes it as it is.

    >>> [each.get_name() for each in named({"self": ibis.literal(1), "by": ibis.literal(2)})]
    ['self', 'by']
    """
    return [value.name(name) for name, value in columns.items()]
