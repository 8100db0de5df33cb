"""The columns of the joined core table: what each is called, and which column of the source it is. No data are read."""

from collections import Counter
from dataclasses import dataclass

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem


@dataclass(frozen=True)
class CoreColumn:
    """A column of the core table.

    Attributes:
        noun: the event, or the entity of the decision, that it is of.
        column: its name in the table of that noun.
    """

    name: str
    noun: str
    column: str


def event_columns(problem: Problem) -> tuple[CoreColumn, ...]:
    """The columns of the event of a decision: its entities, its time, what else makes it unique, outcome, the rest.

    Nothing for a decision at a cut-off, which is no event.
    """
    decision, schema = problem.decision, problem.schema
    if not decision.is_event:
        return ()
    event = schema.event(decision.noun)
    own = {event.of[noun]: id_column(noun) for noun in reversed(decision.nouns)}
    first = [event.of[noun] for noun in decision.nouns]
    first += [*([event.own_time] if event.own_time else []), *decision.own_keys, problem.label.column]
    taken = {*own.values(), decision.time}
    listed = dict.fromkeys([*first, *event.columns])
    return tuple(
        CoreColumn(own.get(name) or _apart(name, decision.noun, taken - {event.own_time}), decision.noun, name)
        for name in listed
    )


def entity_columns(problem: Problem) -> tuple[CoreColumn, ...]:
    """The columns of the entities of a decision: all of their tables but the key.

    A name that two of them have, or the decision, gets its noun in front.
    """
    decision = problem.decision
    tables = {noun: table for noun in decision.nouns if (table := problem.schema.entity(noun))}
    listed = [(noun, name) for noun, table in tables.items() for name in table.columns if name != table.key]
    others = Counter(name.lower() for _, name in listed)
    taken = {*decision.keys, problem.label.column, "matured_at", *(each.name for each in event_columns(problem))}
    return tuple(
        CoreColumn(_apart(name, noun, taken | {each for each, times in others.items() if times > 1}), noun, name)
        for noun, name in listed
    )


def _apart(name: str, noun: str, taken: set[str | None] | set[str]) -> str:
    """A name, after its noun where another column is called so, in whatever case."""
    return f"{noun}_{name}" if name.lower() in {each.lower() for each in taken if each} else name
