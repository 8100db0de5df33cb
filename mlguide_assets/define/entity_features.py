"""What the columns of a decision's entities are called among its features."""

from collections import Counter
from collections.abc import Iterable

from mlguide_assets.define.decision import TAKEN
from mlguide_assets.define.prediction import Predict, PredictEvent
from mlguide_assets.define.schema import Schema

UNFEATURED = ("time", "id")
"""The kinds of columns that are no features as they are."""
UNSEEN = (*UNFEATURED, "text")
"""The kinds of columns that no model sees: free text is a feature that is only carried along."""


def entity_features(schema: Schema, predict: Predict, declared: Iterable[str]) -> dict[tuple[str, str], str]:
    """Noun and column → the name of its feature: that of the column, after the noun where another is called so, too.

    `Group` and `group` are one name to DuckDB and Spark.

    Args:
        declared: the names of declared features.
    """
    event = schema.event(predict.each) if isinstance(predict, PredictEvent) else None
    tables = {noun: table for noun in (event.of if event else (predict.each,)) if (table := schema.entity(noun))}
    listed = [
        (noun, name)
        for noun, table in tables.items()
        for name, column in table.columns.items()
        if column.kind not in UNFEATURED
    ]
    known = predict.known if isinstance(predict, PredictEvent) else ()
    taken = Counter(name.lower() for name in (*(name for _, name in listed), *declared, *TAKEN, *known))
    return {(noun, name): f"{noun}_{name}" if taken[name.lower()] > 1 else name for noun, name in listed}
