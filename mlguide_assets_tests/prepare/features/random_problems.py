"""Problems and tables that hypothesis draws: ids of both types, references, ties, late rows, empty entities, nulls."""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import pyarrow as pa
import yaml
from hypothesis import strategies as st

from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import Predict, PredictEntity, PredictEvent
from mlguide_assets.define.schema import Schema
from mlguide_assets_tests.prepare.features.naive import Row, Rows

START = datetime(1969, 12, 20)
"""Instants lie on both sides of 1970, where clocks that count from there change their sign."""
DAYS = 24
LABEL = {"column": "outcome", "positive": "yes", "negative": "no", "window": "36h"}
WITHIN = ["6h", "1d", "2d", "5d"]


@dataclass(frozen=True)
class Drawn:
    """A problem as the compiler takes it, and as its file has it."""

    document: Mapping[str, Any]

    @property
    def schema(self) -> Schema:
        return Schema.model_validate({"tables": self.document["tables"]})

    @property
    def predict(self) -> Predict:
        shape = PredictEntity if "every" in self.document["predict"] else PredictEvent
        return shape.model_validate(self.document["predict"])

    @property
    def features(self) -> Features:
        return Features.model_validate(self.document["features"])

    @property
    def contracts(self) -> tuple[Any, ...]:
        return ()


CONDITIONS: dict[str, list[dict[str, Any]]] = {
    "visit": [
        {"kind": "a"},
        {"kind": ["a", "b"]},
        {"kind": {"not": "a"}},
        {"amount": {"at_least": 1}},
        {"amount": {"at_least": 0, "at_most": 2}, "kind": {"not": ["b"]}},
        {"items": 2},
        {"good": True},
    ],
    "click": [{"weight": {"at_most": 1}}, {"weight": {"at_least": 2}}],
}
NUMBERS = {"visit": ["amount", "items", "good"], "click": ["weight"]}
VALUES = {"visit": ["amount", "items", "good", "kind", "note"], "click": ["weight"]}
BY = {"visit": ["person", "shop", "till"], "click": ["person"]}


@st.composite
def declarations(draw: Any, *, outcomes: bool) -> dict[str, Any]:
    """One declaration of an operator over events."""
    event = draw(st.sampled_from(["visit", "visit", "click"]))
    operators = ["count", "sum", "mean", "min", "max", "last", "distinct", "share", "since_last"]
    operator = draw(st.sampled_from([*operators, "rate"] if outcomes else operators))
    if operator == "rate":
        event, declared = "visit", {"rate": "label"}
    elif operator in ("count", "share", "since_last"):
        declared = {operator: event}
    else:
        columns = VALUES if operator in ("last", "distinct") else NUMBERS
        declared = {operator: f"{event}.{draw(st.sampled_from(columns[event]))}"}
    declared["by"] = draw(st.sampled_from(BY[event]))
    if operator != "since_last" and draw(st.booleans()):
        declared["within"] = draw(st.sampled_from(WITHIN))
    if operator == "share" or draw(st.booleans()):
        declared["where"] = draw(st.sampled_from(CONDITIONS[event]))
    if outcomes and event == "visit" and operator != "rate" and draw(st.integers(0, 3)) == 0:
        declared["labelled"] = draw(st.sampled_from(["known", "positive", "negative"]))
    if draw(st.integers(0, 4)) == 0:
        declared["as_of"] = "day"
    if operator == "last":
        declared["nth"] = draw(st.integers(1, 3))
    return declared


def declared_tables(*, history: bool, lateness: Mapping[str, str], parent_time: bool) -> dict[str, Any]:
    """The tables of a problem: people at shops and festivals, their visits and clicks.

    Args:
        history: people have several rows, each valid for some time.
        lateness: what says when a visit is written, if not when it happens.
        parent_time: a visit happens when its festival does.
    """
    people: dict[str, Any] = {"entity": "person", "key": "id", "columns": {"size": "number", "kind": "category"}}
    if history:
        people |= {"history": {"from": "begun", "to": "ended"}}
    else:
        people |= {"known_from": "joined"}
    visits: dict[str, Any] = {
        "event": "visit",
        "at": "festival.day" if parent_time else "at",
        "of": {"person": "who", "shop": "shop", "till": "till", "festival": "festival"},
        "key": ["number"],
        "columns": {
            "amount": "number",
            "items": "integer",
            "good": "flag",
            "kind": "category",
            "note": "text",
            "outcome": "category",
        },
        **lateness,
    }
    return {
        "people": people,
        "shops": {
            "entity": "shop",
            "key": "shop",
            "known_from": "opened",
            "columns": {"style": "category", "kind": "category", "renewed": "time"},
        },
        "festivals": {"entity": "festival", "key": "id", "columns": {"day": "time"}, "static": True},
        "visits": visits,
        "clicks": {"event": "click", "at": "happened", "of": {"person": "person"}, "columns": {"weight": "integer"}},
    }


@st.composite
def problems(draw: Any, features: int = 24) -> Drawn:
    """A problem with so many features besides those that all have."""
    outcomes = draw(st.booleans())
    ids = draw(st.sampled_from(["int", "text"]))
    history = draw(st.booleans())
    lateness = draw(st.sampled_from([{}, {}, {"known_at": "written"}, {"arrives_within": "9h"}]))
    parent_time = draw(st.booleans())
    tables = declared_tables(history=history, lateness=lateness, parent_time=parent_time)
    declared = {f"f{place}": draw(declarations(outcomes=outcomes)) for place in range(features)}
    declared["hour"] = {"calendar": "hour"}
    declared["day"] = {"calendar": draw(st.sampled_from(["day_of_week", "day_of_month", "month", "day_of_year"]))}
    declared["style_*"] = {"count": "visit", "by": "person", "split": "shop.style", "values": ["old", "new one"]}
    declared["size_*"] = {"share": "visit", "by": "person", "split": "person.kind", "values": ["a"], "within": "5d"}
    if not history:
        declared["tenure"] = {"age": "person"}
    predict: dict[str, Any] = {
        "each": "person",
        "every": "1d",
        "label": {"count": "visit", "within": "3d", "at_most": 0},
    }
    if outcomes:
        declared["age_of_shop"] = {"age": "shop"}
        declared["since_renewal"] = {"age": "shop.renewed"}
        predict = {"each": "visit", "known": ["amount", "kind"], "label": LABEL}
    else:
        # The parent of a person is the shop of its newest visit.
        declared["in_shop"] = {"count": "visit", "by": "shop", "within": "5d"}
    document = {"tables": tables, "predict": predict, "features": {"declared": declared}, "ids": ids}
    return Drawn(yaml.safe_load(yaml.safe_dump(document)))


def every_operator() -> Drawn:
    """A problem with every operator, people with a history, and visits that are written later than they happen."""
    events = {
        "of_person": {"count": "visit", "by": "person"},
        "big": {"share": "visit", "by": "person", "where": {"amount": {"at_least": 1}, "kind": {"not": "b"}}},
        "amount_sum": {"sum": "visit.amount", "by": "shop", "within": "2d"},
        "amount_mean": {"mean": "visit.amount", "by": "person", "as_of": "day"},
        "least": {"min": "click.weight", "by": "person", "within": "5d"},
        "most": {"max": "visit.items", "by": "till"},
        "kinds": {"distinct": "visit.kind", "by": "shop"},
        "weights": {"distinct": "click.weight", "by": "person", "within": "2d"},
        "kind_before": {"last": "visit.kind", "by": "person", "nth": 2},
        "weight_before": {"last": "click.weight", "by": "person", "within": "5d"},
        "since": {"since_last": "visit", "by": "person"},
        "good_rate": {"rate": "label", "by": "person", "within": "5d"},
        "known_good": {"count": "visit", "by": "shop", "labelled": "positive"},
        "style_*": {"count": "visit", "by": "person", "split": "shop.style", "values": ["old"]},
        "age_of_shop": {"age": "shop"},
        **{part: {"calendar": part} for part in ("hour", "day_of_week", "day_of_month", "month", "day_of_year")},
    }
    document = {
        "tables": declared_tables(history=True, lateness={"known_at": "written"}, parent_time=False),
        "predict": {"each": "visit", "known": ["amount", "kind"], "label": LABEL},
        "features": {"declared": events},
        "ids": "int",
    }
    return Drawn(document)


def tables(problem: Drawn, seed: int, events: int = 60) -> dict[str, pa.Table]:
    """Tables of a problem, with ties, nulls, late rows, doubles, ids without a row and rows without events."""
    chance = random.Random(seed)
    text = problem.document["ids"] == "text"

    def id_(number: int | None) -> Any:
        return None if number is None else (f"n{number}" if text else number)

    def instant() -> datetime:
        # Half days, so that ties and distances of exactly a window are common, and now and then next to them.
        shift = timedelta(microseconds=chance.choice([0, 0, 0, 0, -1, 1]))
        return START + timedelta(hours=6 * chance.randrange(DAYS * 4)) + shift

    def maybe(value: Any, often: int = 6) -> Any:
        return None if chance.randrange(often) == 0 else value

    people, shops = range(1, 6), range(1, 4)
    rows: dict[str, list[Row]] = {name: [] for name in problem.document["tables"]}
    for person in people:
        ends = sorted({instant() for _ in range(chance.randrange(1, 4))})
        own = {"size": maybe(chance.randrange(5) / 2), "kind": maybe(chance.choice("ab"))}
        if "history" in problem.document["tables"]["people"]:
            spans = zip([None, *ends], [*ends, None], strict=True)
            for begun, ended in spans:
                own = {"size": maybe(chance.randrange(5) / 2), "kind": maybe(chance.choice("ab"))}
                rows["people"].append({"id": id_(person), **own, "begun": begun, "ended": maybe(ended, 3) or ended})
        else:
            rows["people"].append({"id": id_(person), **own, "joined": maybe(instant())})
    for shop in shops:
        style, kind = maybe(chance.choice(["old", "new one"])), chance.choice("xy")
        times = {"opened": maybe(instant()), "renewed": maybe(instant())}
        rows["shops"].append({"shop": id_(shop), "style": style, "kind": kind, **times})
    rows["festivals"] = [{"id": id_(number), "day": maybe(instant(), 12)} for number in range(20)]
    for number in range(events):
        at = maybe(instant(), 20)
        rows["visits"].append(
            {
                "number": id_(number if chance.randrange(9) else number // 2),
                "who": maybe(id_(chance.randrange(1, 5)), 12),
                "shop": maybe(id_(chance.choice([1, 2, 3, 9])), 12),
                "till": maybe(id_(chance.randrange(2)), 12),
                "festival": id_(chance.randrange(20)),
                "at": at,
                "amount": maybe(chance.choice([-1.5, 0.0, 0.1, 0.2, 0.75, 1.0, 1e6])),
                "items": maybe(chance.randrange(4)),
                "good": maybe(chance.random() < 0.5),
                "kind": maybe(chance.choice("abc")),
                "note": maybe(chance.choice(["", "ä", "z"])),
                "outcome": maybe(chance.choice(["yes", "no"]), 3),
                "written": maybe(at and at + timedelta(hours=6 * chance.choice([-1, 0, 0, 1, 3, 20]))),
            }
        )
    for _ in range(events // 2):
        person = maybe(id_(chance.randrange(1, 7)), 12)
        rows["clicks"].append(
            {"person": person, "happened": maybe(instant(), 20), "weight": maybe(chance.randrange(4))}
        )
    rows["clicks"] += rows["clicks"][:3]
    for row in rows["visits"]:
        if problem.document["tables"]["visits"]["at"] != "at":
            del row["at"]
        if "known_at" not in problem.document["tables"]["visits"]:
            del row["written"]
    # What makes events unique tells them apart, as the contracts see to.
    unique = {row["number"]: row for row in rows["visits"]}
    rows["visits"] = list(unique.values())
    return {name: _arrow(problem, name, each) for name, each in rows.items()}


_TYPES = {
    "number": pa.float64(),
    "integer": pa.int64(),
    "flag": pa.bool_(),
    "category": pa.string(),
    "text": pa.string(),
    "time": pa.timestamp("us"),
}


def _arrow(problem: Drawn, name: str, rows: list[Row]) -> pa.Table:
    id_type = pa.string() if problem.document["ids"] == "text" else pa.int64()
    columns = problem.schema.tables[name].columns
    schema = pa.schema([(each, _TYPES.get(column.kind, id_type)) for each, column in columns.items()])
    return pa.Table.from_pylist(rows, schema=schema)


def as_rows(tables: Mapping[str, pa.Table]) -> Rows:
    return {name: table.to_pylist() for name, table in tables.items()}
