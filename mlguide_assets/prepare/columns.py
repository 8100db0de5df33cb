"""What the columns of this stage's tables mean, table by table: one name may mean another thing elsewhere."""

from mlguide_assets.define.decision import id_column
from mlguide_assets.define.problem import Problem
from mlguide_assets.english import with_article
from mlguide_assets.prepare.contracts.contract_tables import (
    CONTRACT,
    QUARANTINED,
    QUARANTINED_COLUMNS,
    RESULT_COLUMNS,
)
from mlguide_assets.prepare.core_columns import entity_columns, event_columns
from mlguide_assets.prepare.features import building
from mlguide_assets.prepare.features.catalogue import Feature, UnresolvedFeatureError, features_of
from mlguide_assets.prepare.features.state_columns import state_features, time_names


def columns_of(problem: Problem) -> dict[str, dict[str, str]]:
    """Table → column → meaning, for every table of this stage and for the states of entities, which it defines."""
    features = known_features(problem)
    keys, described = _keys(problem), {each.name: each.description for each in features}
    return {
        **{str(name): _of_source(problem, name) for name in problem.tables},
        CONTRACT: RESULT_COLUMNS,
        QUARANTINED: QUARANTINED_COLUMNS,
        building.DECLARATIONS: building.COLUMNS,
        problem.core_table: _of_core(keys, problem),
        problem.features_table: described | keys,
        **{table: _of_state(noun, features, problem) for noun, table in problem.decision.store_tables.items()},
    }


def known_features(problem: Problem) -> tuple[Feature, ...]:
    """The features of a problem; none where the data have not decided yet what they are."""
    try:
        return () if problem.features.automatic else features_of(problem)
    except UnresolvedFeatureError:
        return ()


def _of_source(problem: Problem, table: str) -> dict[str, str]:
    return {column: each.description for column, each in problem.tables[table].columns.items()}


def _keys(problem: Problem) -> dict[str, str]:
    """Of decisions: their keys, their times and their outcomes."""
    decision = problem.decision
    keys = dict.fromkeys(decision.keys, f"What makes {with_article(decision.noun)} unique.")
    keys |= {id_column(noun): f"The {noun}." for noun in decision.nouns}
    keys[decision.time] = f"The instant of the {decision.noun}, UTC. Features know nothing from then on."
    keys[problem.label.column] = "The outcome: 1 where it is positive, 0 where it is not, null until it has matured."
    keys["matured_at"] = "When the outcome is final, UTC."
    return keys


def _of_core(keys: dict[str, str], problem: Problem) -> dict[str, str]:
    """Of the joined core table: decisions, the columns of their entities beside them, and outcomes of events as in the
    source."""
    meanings = dict(keys)
    if problem.decision.is_event:
        del meanings["matured_at"]
        meanings[problem.label.column] = "The outcome as the source has it; null until that is known."
    for each in (*event_columns(problem), *entity_columns(problem)):
        column = problem.tables[str(problem.schema.table_of(each.noun))].columns[each.column]
        meanings.setdefault(each.name, column.description)
    return meanings


def _of_state(noun: str, features: tuple[Feature, ...], problem: Problem) -> dict[str, str]:
    """Of the state of an entity: its columns and history, and the times that request time counts from."""
    if not features:
        return {}
    names, own = time_names(problem), state_features(problem, noun)
    times = {names[each.name]: _time_in_words(each) for each in own if each.name in names}
    return {
        id_column(noun): f"The {noun}.",
        "as_of": "The instant whose knowledge the row holds: the start of the day, UTC.",
        **times,
        **{each.name: each.description for each in own if each.origin != "request"},
    }


def _time_in_words(feature: Feature) -> str:
    declaration = feature.declaration
    assert declaration is not None
    if declaration.operator == "age":
        return f"The time of the {feature.noun} that {feature.name} counts from, UTC."
    return f"When the newest {declaration.operand} of the {feature.noun} before that instant was, UTC; null where none."
