"""What the tables of a home have for columns, and what is said of them."""

from mlguide_assets.define.loading import current_problem
from mlguide_assets.defs.columns import column_meanings
from mlguide_assets.prepare.features.building import resolved_from
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets.settings import Home


def described(home: Home) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """Table → column → meaning, of the columns that are there, and of all that have a meaning, in the same order."""
    stated = current_problem(home)
    lake = Lake(home.lake(stated.key))
    problem = resolved_from(lake, stated)
    meanings = {table: column_meanings(table, problem) for table in sorted(lake.tables())}
    found = {
        table: {column: known.get(column, "") for column in sorted(lake.read(table).columns)}
        for table, known in meanings.items()
    }
    return found, {table: dict(sorted(known.items())) for table, known in meanings.items()}
