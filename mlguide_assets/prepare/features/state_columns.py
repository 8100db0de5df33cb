"""The features in the state of an entity, and the names of its columns. Nothing here reads data, or loads what does."""

from collections import Counter

from mlguide_assets.define.prediction import PredictEntity
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.features.catalogue import Declared, Feature, features_of, parents_of


def state_features(problem: Declared, noun: str) -> tuple[Feature, ...]:
    """The features that the state of an entity holds, or has the times of."""
    parents = parents_of(problem) if isinstance(problem.predict, PredictEntity) else ()
    return tuple(feature for feature in features_of(problem) if feature.noun in (noun, *parents))


def time_names(problem: Declared) -> dict[str, str]:
    """Of each feature that counts from a time: what this time is called in the state of its entity."""
    named: dict[str, tuple[str | None, str]] = {}
    for feature in features_of(problem):
        declaration = feature.declaration
        if declaration is None or declaration.operator not in ("age", "since_last"):
            continue
        if declaration.operator == "age":
            named[feature.name] = feature.noun, age_column(feature.noun, declaration.operand, problem.schema)
        elif declaration.where or declaration.labelled or declaration.as_of or feature.split:
            named[feature.name] = None, f"last_of_{feature.name}"
        else:
            event = problem.schema.event(declaration.operand)
            named[feature.name] = f"{declaration.operand}_{feature.noun}", f"last_{event.own_time or event.event}"
    takers = Counter(name for _, name in set(named.values()))
    return {
        feature: name if takers[name] == 1 or owner is None else f"{owner}_{name}"
        for feature, (owner, name) in named.items()
    }


def age_column(noun: str | None, operand: str, schema: Schema) -> str:
    """The column of times that `age: <operand>` of an entity counts from."""
    table = schema.entity(str(noun))
    assert table is not None
    return operand.partition(".")[2] or str(table.known_from)
