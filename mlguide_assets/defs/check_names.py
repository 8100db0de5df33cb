"""What the checks of a contract are called in Dagster, whose names are letters from a to z, digits and underscores."""

from collections.abc import Iterable

from mlguide_assets.define.contracts import Rule
from mlguide_assets.define.values import ascii_name


def check_names(rules: Iterable[Rule]) -> dict[str, str]:
    """Rule → the name of its check, which no other check of its table has."""
    names: dict[str, str] = {}
    taken: set[tuple[str, str]] = set()
    for rule in rules:
        name, number = ascii_name(rule.fact), 2
        while (rule.table, name) in taken:
            name, number = f"{ascii_name(rule.fact)}_{number}", number + 1
        taken.add((rule.table, name))
        names[rule.name] = name
    return names
