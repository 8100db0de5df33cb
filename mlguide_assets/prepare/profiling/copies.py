"""Tables whose rows another table has too, such as a view beside its table or a copy of a file.

They would be offered twice, and a table would be taken for one that refers to its own copy.
"""

from collections.abc import Sequence
from typing import Any

from mlguide_assets.prepare.profiling.columns import identifier
from mlguide_assets.prepare.profiling.listing import ListedTable

FEWEST_COLUMNS = 2
"""A single column, such as one of ids, may well have the values of another table's."""


def copies(tables: Sequence[ListedTable], connection: Any) -> dict[str, str]:
    """Tables that another one makes superfluous, and why: that one has all their columns and rows.

    Of two with the same rows, the one with more columns is kept, then the one with the shorter name: `visits` before
    `v_visits` and `visits_backup`.
    """
    kept: list[ListedTable] = []
    found: dict[str, str] = {}
    for table in sorted(tables, key=lambda each: (-len(each.types), -each.rows, len(each.name), each.name)):
        whole = next((each for each in kept if _is_part(table, each, connection)), None)
        if whole is None:
            kept.append(table)
        else:
            every = "its rows are those" if table.rows == whole.rows else "all its rows are rows"
            found[table.name] = f"{every} of {whole.name}"
    return found


def _is_part(part: ListedTable, whole: ListedTable, connection: Any) -> bool:
    """Whether each row of a table occurs exactly as often in another one, as far as its columns go.

    More often, as a doctor does among visits joined with doctors, it would be another thing.
    """
    same_types = all(whole.types.get(name) == type_ for name, type_ in part.types.items())
    if part.sampled or whole.sampled or not same_types or len(part.types) < FEWEST_COLUMNS or part.rows > whole.rows:
        return False
    columns = ", ".join(map(identifier, part.types))
    rows = "SELECT hash({columns}) AS row, count(*) AS times FROM {view} GROUP BY 1"
    found = connection.con.execute(
        f"SELECT count(*) FROM ({rows.format(columns=columns, view=part.view)}) AS part "
        f"LEFT JOIN ({rows.format(columns=columns, view=whole.view)}) AS whole USING (row) "
        "WHERE part.times IS DISTINCT FROM whole.times"
    )
    return not found.fetchone()[0]
