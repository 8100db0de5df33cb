"""The tables of features of a problem whose tables may be any: decisions, their declared features, and both together.

What the data decide about features (`automatic`, values of `split`) is decided once, and kept as a table, so that
training, evaluation and scoring read one list.
"""

from collections.abc import Mapping
from datetime import datetime
from functools import lru_cache
from typing import Any

import ibis
import pyarrow as pa
import yaml

from mlguide_assets.define.features import Declaration, Features
from mlguide_assets.define.prediction import PredictEvent
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.references import check_references
from mlguide_assets.errors import InputError
from mlguide_assets.instants import midnight
from mlguide_assets.prepare.clock import DayOfRows, data_clock, days_of
from mlguide_assets.prepare.decisions.rows import MATURED_AT, decision_rows, outcomes_of
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.compiling import cut_offs_of, decision_features, with_features
from mlguide_assets.prepare.features.earlier import NOTHING, Earlier
from mlguide_assets.prepare.features.events import (
    POSITIVE,
    canonical_events,
    instants_at,
    microseconds,
    times_of,
)
from mlguide_assets.prepare.features.instants import ANY, FEW, Instants
from mlguide_assets.prepare.features.resolving import follows_from_data, resolved_features
from mlguide_assets.prepare.lake.lake import Lake

DECLARATIONS = "feature_declarations"
"""The lake's table with a row per declared feature, in order: name, declaration as YAML, what it means, and whether it
is automatic."""
NONE_FOUND = (
    "features.automatic found no feature: before the test window each one was constant, a copy of another, or grew "
    "out of its past; look at the past events of the entities under of, name parents under features.automatic, "
    "or declare features"
)
_SCHEMA = pa.schema(
    [("feature", pa.string()), ("declaration", pa.string()), ("description", pa.string()), ("automatic", pa.bool_())]
)

COLUMNS = {
    "feature": "The name of the feature.",
    "declaration": "How it is declared, as in a problem file.",
    "description": "What it means.",
    "automatic": "Whether `automatic` declared it: then it stays as long as the problem file allows it.",
}
"""Of `DECLARATIONS`: column → meaning."""


def tables_of(lake: Lake, problem: Problem) -> dict[str, ibis.Table]:
    """The accepted tables of a problem, by their names, as the lake's engine reads them."""
    return {name: lake.open(name) for name in problem.tables}


def clock_of(tables: Mapping[str, ibis.Table], problem: Problem) -> datetime:
    """How far in time the events have come that decide outcomes, UTC. Single rows do not move it.

    Raises:
        InputError: there is no such event.
    """
    event = problem.deciding_event
    clock = data_clock(_deciding_times(tables, problem), "at")
    if clock is None:
        raise InputError(f"There is no {event} with a time, so nothing can be predicted: check the column of its time.")
    return clock


def deciding_days(tables: Mapping[str, ibis.Table], problem: Problem) -> tuple[DayOfRows, ...]:
    """The days of the events that decide outcomes, which cost nothing after `clock_of` these tables."""
    return days_of(_deciding_times(tables, problem), "at")


def _deciding_times(tables: Mapping[str, ibis.Table], problem: Problem) -> ibis.Table:
    rows = canonical_events(tables, problem, problem.deciding_event)
    return rows.select(at=times_of(rows, problem.schema.event(problem.deciding_event)))


def decisions_of(tables: Mapping[str, ibis.Table], problem: Problem, *, clock: datetime | None = None) -> ibis.Table:
    """Every decision: ids, time, the label under the name that the problem has for it, and when it matures.

    Args:
        clock: of the data; default: `clock_of` these tables.
    """
    return decision_rows(tables, problem, clock=clock or clock_of(tables, problem))


def declarations_of(lake: Lake, problem: Problem) -> pa.Table:
    """`declared_features` of the tables in a lake, whose decisions are computed once, however often they are asked.

    What the data decided the last time stays, as far as the problem file still allows it.
    """
    tables = tables_of(lake, problem)
    rows = decisions_of(tables, problem)
    if not follows_from_data(problem):
        return declared_features(tables, rows, problem)
    earlier = _earlier(lake.read_arrow(DECLARATIONS), problem) if lake.exists(DECLARATIONS) else NOTHING
    with lake.scratch("What features follow from") as folder:
        stored = lake.engine.stored(rows, folder / "decisions.parquet")
        return declared_features(tables, stored, problem, earlier)


def automatic_warnings(lake: Lake, problem: Problem) -> list[str]:
    """A sentence where `automatic` was asked for and found nothing."""
    if not problem.features.automatic or not lake.exists(DECLARATIONS):
        return []
    if any(row.get("automatic", True) for row in lake.read_arrow(DECLARATIONS).to_pylist()):
        return []
    return [NONE_FOUND]


def declared_features(
    tables: Mapping[str, ibis.Table], rows: ibis.Table, problem: Problem, earlier: Earlier = NOTHING
) -> pa.Table:
    """The features of a problem as declarations alone, as the table `DECLARATIONS`."""
    until = test_start(rows, problem) if follows_from_data(problem) else datetime.max
    instants = _instants(problem, FEW)
    found = resolved_features(problem, tables, rows, until=until, instants=instants, earlier=earlier)
    resolved = problem.model_copy(update={"features": found})
    words = {feature.name: feature.description for feature in features_of(resolved)}
    return pa.table(
        {
            "feature": list(found.declared),
            "declaration": [declaration_as_yaml(each) for each in found.declared.values()],
            "description": [words.get(name) or _split_in_words(each) for name, each in found.declared.items()],
            "automatic": [name not in problem.features.declared for name in found.declared],
        },
        schema=_SCHEMA,
    )


def _earlier(table: pa.Table, problem: Problem) -> Earlier:
    """What was decided the last time."""
    declared: dict[str, Declaration] = {}
    automatic: dict[str, Declaration] = {}
    for row in table.to_pylist():
        # A home of an earlier version does not say which were automatic.
        is_automatic = row.get("automatic", row["feature"] not in problem.features.declared)
        (automatic if is_automatic else declared)[row["feature"]] = declaration_of(row["declaration"])
    return Earlier(declared, automatic)


def resolved(problem: Problem, declarations: pa.Table) -> Problem:
    """The problem with the features that a table of declarations has, and none that the data would decide."""
    rows = declarations.to_pylist()
    declared = {row["feature"]: declaration_of(row["declaration"]) for row in rows}
    return problem.model_copy(update={"features": Features(automatic=False, declared=declared)})


def resolved_from(lake: Lake, problem: Problem) -> Problem:
    """The problem as its features were decided last, where they were, and can still be computed.

    A problem file may have changed since: then its features are decided again when the asset is made.
    """
    if not lake.exists(DECLARATIONS):
        return problem
    found = resolved(problem, lake.read_arrow(DECLARATIONS))
    try:
        check_references(found.schema, found.predict, found.features)
        features_of(found)
    except ValueError:
        return problem
    return found


def features_from(
    tables: Mapping[str, ibis.Table], problem: Problem, *, clock: datetime | ibis.Value | None = None
) -> ibis.Table:
    """Every decision that the tables have with its features, as of its own instant, in the order of time.

    Args:
        problem: resolved.
        clock: of the data; default: `clock_of` these tables. Of events, it may be an expression.

    Returns:
        Keys, label (1, 0, or null while it has not matured), `matured_at`, and the features of `features_of(problem)`.

    Of three payments of a customer, the last has one within the week before it:

    >>> from mlguide_assets.define.loading import load_problem
    >>> week = {"declared": {"last_week": {"count": "payment", "by": "customer", "within": "7d"}}}
    >>> fraud = load_problem("fraud").model_copy(update={"features": Features.model_validate(week)})
    >>> at, ids = [datetime(2018, 5, day) for day in (1, 20, 25)], {"CUSTOMER_ID": [7] * 3, "TERMINAL_ID": [1] * 3}
    >>> paid = {"TRANSACTION_ID": range(3), "TX_DATETIME": at, **ids, "TX_AMOUNT": [9.5] * 3, "TX_FRAUD": ["0"] * 3}
    >>> features_from({"transactions": ibis.memtable(paid)}, fraud).last_week.execute().to_list()
    [0, 0, 1]
    """
    now = clock_of(tables, problem) if clock is None else clock
    return features_of_all(tables, problem, clock=now).order_by(*problem.decision.order)


def features_of_all(tables: Mapping[str, ibis.Table], problem: Problem, *, clock: datetime | ibis.Value) -> ibis.Table:
    """`features_from` in any order."""
    if not isinstance(problem.predict, PredictEvent):
        return features_of_some(tables, decision_rows(tables, problem, clock=clock), problem)
    found = decision_features(tables, problem)
    outcomes = outcomes_of(microseconds(found[problem.decision.time]), found[POSITIVE], problem, clock=clock)
    return _arranged(found.mutate(outcomes), problem)


def features_of_some(tables: Mapping[str, ibis.Table], rows: ibis.Table, problem: Problem) -> ibis.Table:
    """The same of some decisions: the fewer they are, the less it costs."""
    return _arranged(with_features(rows, tables, problem, instants=_instants(problem, ANY)), problem)


def _arranged(rows: ibis.Table, problem: Problem) -> ibis.Table:
    names = [feature.name for feature in features_of(problem)]
    columns = [*problem.decision.keys, problem.label.column, MATURED_AT, *names]
    return rows.select(*dict.fromkeys(columns))


def test_start(rows: ibis.Table, problem: Problem) -> datetime:
    """Where the test window begins: nothing from then on decides what the features are."""
    settings = problem.evaluation
    if settings.test_from is not None:
        return midnight(settings.test_from)
    known = rows.filter(rows[problem.label.column].notnull())
    count = int(known.count().to_pyarrow().as_py())
    if not count:
        raise InputError("No outcome has matured yet, so there is nothing to learn from: add history.")
    # As `train/split.py` parts the rows.
    (start,) = instants_at(known[problem.decision.time], [int(count * (1 - settings.test_share))])
    return start


def _instants(problem: Problem, otherwise: Instants) -> Instants:
    """What is known of the instants of decisions."""
    predict = problem.predict
    if isinstance(predict, PredictEvent):
        return otherwise
    return cut_offs_of(predict.every, midnight(predict.anchor or problem.history_start))


def _split_in_words(declaration: Declaration) -> str:
    return declaration.description or f"One per value of {declaration.split}: {', '.join(declaration.values)}."


@lru_cache(maxsize=4096)
def declaration_of(text: str) -> Declaration:
    """The declaration that one line of a problem file is: `declaration_as_yaml` the other way round.

    >>> declaration_of("{count: visit, by: member}").operator
    'count'
    """
    # Every asset and every sensor asks for all of them, and YAML takes its time.
    return Declaration.model_validate(yaml.safe_load(text))


def declaration_as_yaml(declaration: Declaration) -> str:
    """A declaration as one line of a problem file, to be pasted below `features.declared`.

    >>> declaration_as_yaml(Declaration(count="visit", by="member", within="7d", where={"kind": ["long"]}))
    '{count: visit, by: member, within: 7d, where: {kind: [long]}}'
    """
    plain = declaration.model_dump(mode="json", by_alias=True, exclude_defaults=True, exclude_none=True)
    if declaration.where:
        plain["where"] = {name: _plain(comparison) for name, comparison in plain["where"].items()}
    return yaml.safe_dump(plain, default_flow_style=True, sort_keys=False, width=10_000, allow_unicode=True).strip()


def _plain(comparison: dict[str, Any]) -> Any:
    """As it is usually written: of values alone, their list."""
    return comparison["one_of"] if list(comparison) == ["one_of"] else comparison
