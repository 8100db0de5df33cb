"""Columns of entities that may hold a value younger than the decision that it is used for. No data are read."""

from mlguide_assets.define.entity_features import UNSEEN
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.schema import EntityTable, TableName


def changing_columns(problem: Problem) -> dict[TableName, list[str]]:
    """Per table of entities the columns that are used, and are neither static nor under history.

    >>> from mlguide_assets.define.loading import load_problem
    >>> changing_columns(load_problem("planeswalker"))
    {'user_profiles': ['age', 'words_in_description', 'purchases']}
    """
    used = _nouns_in_use(problem)
    tables = {name: table for name, table in problem.schema.entity_tables.items() if table.entity in used}
    found = {name: _changing(table) for name, table in tables.items()}
    return {name: columns for name, columns in found.items() if columns}


def changing_warnings(problem: Problem) -> list[str]:
    """A sentence per table: the columns, and the two ways to fix it."""
    return [
        f"{name}: {', '.join(columns)} may have changed since a decision: list under static those that never change, "
        f"or give history: {{from, to}} of a table with a row per change"
        for name, columns in changing_columns(problem).items()
    ]


def _changing(table: EntityTable) -> list[str]:
    return [column for column in table.changing if table.columns[column].kind not in UNSEEN]


def _nouns_in_use(problem: Problem) -> set[str]:
    """The entities of the decision, and those whose columns split events of the past."""
    used = set(problem.decision.nouns)
    if problem.features.automatic:
        used |= {noun for event in problem.schema.event_tables.values() for noun in event.of}
    return used | {each.split.split(".")[0] for each in problem.features.declared.values() if each.split}
