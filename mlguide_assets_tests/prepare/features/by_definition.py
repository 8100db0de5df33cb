"""What the compiler must give for a drawn problem: every decision with its features, by their definitions."""

import math
from datetime import timedelta
from typing import Any

import pyarrow as pa

from mlguide_assets.define.decision import id_column
from mlguide_assets.prepare.features.catalogue import nouns_of, time_column
from mlguide_assets_tests.prepare.features import naive
from mlguide_assets_tests.prepare.features.naive import Row, Rows
from mlguide_assets_tests.prepare.features.random_problems import DAYS, START, Drawn


def asked_rows(problem: Drawn, rows: Rows) -> list[Row]:
    """Every decision: what it refers to, and its instant `_at`."""
    if "every" in problem.document["predict"]:
        ids = sorted({row["id"] for row in rows["people"]})
        instants = [START + timedelta(days=day) for day in range(DAYS + 1)]
        return [{"person_id": id_, "_at": instant, "as_of": instant} for id_ in ids for instant in instants]
    of = problem.document["tables"]["visits"]["of"]
    time = time_column(problem)
    return [
        {
            **{id_column(noun): event[column] for noun, column in of.items()},
            "number": event["number"],
            "amount": event["amount"],
            "kind": event["kind"],
            "_at": event["_at"],
            time: event["_at"],
        }
        for event in naive.happened(problem.document, rows, "visit")
    ]


def by_definition(problem: Drawn, rows: Rows, decision: Row) -> Row:
    """Every feature of a decision."""
    document, instant = problem.document, decision["_at"]
    ids = {noun: decision[id_column(noun)] for noun in nouns_of(problem)}
    if "every" in document["predict"]:
        ids["shop"] = naive.parent(document, rows, "person", "shop", ids["person"], instant)
        ids["till"] = naive.parent(document, rows, "person", "till", ids["person"], instant)
    values: Row = {}
    for noun in nouns_of(problem):
        if noun in ("person", "shop"):
            valid = naive.valid(document, rows, noun, ids[noun], instant)
            for column in {"person": ("size", "kind"), "shop": ("style", "kind")}[noun]:
                clash = column == "kind" and "every" not in document["predict"]
                values[f"{noun}_{column}" if clash else column] = valid.get(column)
    if "every" not in document["predict"]:
        values |= {"amount": decision["amount"], "kind": decision["kind"]}
    for name, declared in document["features"]["declared"].items():
        plain = {key: value for key, value in declared.items() if key not in ("split", "values")}
        for value in declared.get("values", [None]):
            each = plain if value is None else {**plain, "where": {declared["split"]: value}}
            feature = naive.feature(document, rows, each, ids, instant)
            values[name.replace("*", (value or "").replace(" ", "_"))] = feature
    return values


def assert_same(found: list[Row], expected: list[Row], names: list[str]) -> None:
    assert len(found) == len(expected)
    for one, other in zip(found, expected, strict=True):
        for name in names:
            assert _same(one[name], other[name]), (name, one[name], other[name], one)


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, float | int) and isinstance(other, float | int):
        return math.isclose(one, other, rel_tol=1e-9, abs_tol=1e-9 if other == 0 else 0)
    return bool(one == other)


def ordered(rows: list[Row], problem: Drawn) -> list[Row]:
    keys = ["number"] if "every" not in problem.document["predict"] else ["person_id", "as_of"]
    return sorted(rows, key=lambda row: [row[key] for key in keys])


def spine_of(problem: Drawn, decisions: list[Row]) -> pa.Table:
    """What is asked about, as a table: decisions without their features."""
    text = problem.document["ids"] == "text"
    id_type = pa.string() if text else pa.int64()
    types = {"amount": pa.float64(), "kind": pa.string()}
    time = time_column(problem)
    names = [name for name in decisions[0] if name != "_at"]
    schema = pa.schema([(name, pa.timestamp("us") if name == time else types.get(name, id_type)) for name in names])
    return pa.Table.from_pylist(decisions, schema=schema)
