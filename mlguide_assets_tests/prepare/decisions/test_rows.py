"""Decision rows equal those that a loop over all entities, cut-offs and events finds."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlguide_assets.define.features import Features
from mlguide_assets.define.prediction import Condition, Predict, PredictEntity, PredictEvent
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.decisions.rows import decision_rows
from mlguide_assets.prepare.features.catalogue import time_column

Row = dict[str, Any]


NONE = Features()


@dataclass(frozen=True)
class Asked:
    """What decision rows follow from."""

    schema: Schema
    predict: Predict
    history_start: date = date(2024, 1, 1)
    features: Features = NONE
    contracts: tuple[Any, ...] = ()


HOUR = timedelta(hours=1)
START = datetime(2024, 1, 1)
SCHEMAS = {
    "ids alone": {},
    "joined": {"entity": "member", "key": "member", "known_from": "joined"},
    "history": {"entity": "member", "key": "member", "history": {"from": "since", "to": "until"}},
    "undated": {"entity": "member", "key": "member", "static": True, "columns": {"town": "category"}},
}
ORDERS = {
    "event": "order",
    "at": "at",
    "of": {"member": "who"},
    "known_at": "written",
    "columns": {"kind": "category", "amount": "number"},
}
VISITS = {"event": "visit", "at": "at", "of": {"member": "who", "page": "page"}, "arrives_within": "3h"}
_TYPES = {
    "orders": {"who": "int64", "at": "timestamp", "written": "timestamp", "kind": "string", "amount": "float64"},
    "visits": {"who": "int64", "page": "string", "at": "timestamp"},
    "members": {"member": "int64", "joined": "timestamp", "since": "timestamp", "until": "timestamp", "town": "string"},
}


def schema_of(shape: str) -> Schema:
    members = {"members": SCHEMAS[shape]} if SCHEMAS[shape] else {}
    return Schema.model_validate({"tables": {**members, "orders": ORDERS, "visits": VISITS}})


def table_of(name: str, rows: list[Row]) -> ibis.Table:
    arrow = {"int64": pa.int64(), "timestamp": pa.timestamp("us"), "string": pa.string(), "float64": pa.float64()}
    schema = pa.schema([(column, arrow[kind]) for column, kind in _TYPES[name].items()])
    return ibis.memtable(pa.Table.from_pylist([{c: row.get(c) for c in _TYPES[name]} for row in rows], schema=schema))


# Times on a coarse grid, so that events, cut-offs and ends of windows often coincide.
times = st.integers(0, 60).map(lambda steps: START + steps * 6 * HOUR)
ids = st.one_of(st.integers(1, 4), st.none())
orders = st.lists(
    st.builds(
        lambda who, at, late, kind, amount: {
            "who": who,
            "at": at,
            "written": None if late is None else at + late * HOUR,
            "kind": kind,
            "amount": amount,
        },
        ids,
        times,
        st.sampled_from([None, -6, 0, 0, 6, 48]),
        st.sampled_from(["a", "b", None]),
        st.sampled_from([1.0, 5.0, None]),
    ),
    max_size=14,
)
visits = st.lists(
    st.builds(lambda who, at: {"who": who, "at": at, "page": "x"}, ids, st.one_of(times, st.none())), max_size=10
)
members = st.lists(
    st.builds(
        lambda member, since, length: {
            "member": member,
            "joined": since,
            "since": since,
            "until": None if length is None else since + length * 6 * HOUR,
            "town": "here",
        },
        st.integers(1, 5),
        times,
        st.one_of(st.none(), st.integers(1, 20)),
    ),
    max_size=5,
    unique_by=lambda row: row["member"],
)
spans = st.sampled_from(["6h", "1d", "3d", "10d"])
bounds = st.sampled_from([{"at_least": 1}, {"at_least": 2}, {"at_most": 0}, {"at_most": 1}])
wheres = st.sampled_from([{}, {"kind": "a"}, {"kind": {"not": "a"}}, {"amount": {"at_least": 2}}, {"amount": 5}])


@st.composite
def conditions(draw: st.DrawFn, ever: bool = False) -> Row:
    noun = draw(st.sampled_from(["order", "visit"]))
    where = draw(wheres) if noun == "order" else {}
    within = draw(st.one_of(st.none(), spans)) if ever else draw(spans)
    return {"count": noun, "within": within, "where": where, **draw(bounds)}


predictions = st.builds(
    lambda every, anchor, where, label, having: PredictEntity.model_validate(
        {"each": "member", "every": every, "anchor": anchor, "where": where, "label": label, "having": having}
    ),
    st.sampled_from(["1d", "30h", "4d"]),
    st.sampled_from([None, "2024-01-03", "2020-02-29", "2030-01-01"]),
    st.one_of(st.none(), conditions(ever=True)),
    conditions(),
    st.one_of(st.none(), conditions()),
)


class World:
    """The same data as Python rows, asked the slow way."""

    def __init__(self, shape: str, orders: list[Row], visits: list[Row], members: list[Row]) -> None:
        self.shape, self.members = shape, members
        self.events = {
            "order": [{**row, "known": max(row["written"] or row["at"], row["at"])} for row in orders],
            "visit": [{**row, "known": row["at"] + 3 * HOUR} for row in visits if row["at"] is not None],
        }

    def cut_offs(self, predict: PredictEntity, clock: datetime) -> Iterator[datetime]:
        counted = [c.count for c in (predict.label, predict.where, predict.having) if c]
        firsts = [row["at"] for noun in counted for row in self.events[noun]]
        anchor = datetime.combine(predict.anchor or START.date(), datetime.min.time())
        cut_off = anchor - (anchor - START) // predict.every * predict.every
        while firsts and cut_off <= clock:
            if cut_off >= max(START, min(firsts)):
                yield cut_off
            cut_off += predict.every

    def exist(self, cut_off: datetime) -> set[int]:
        if self.shape == "joined":
            return {row["member"] for row in self.members if row["joined"] <= cut_off}
        if self.shape == "history":
            valid = [row for row in self.members if row["since"] <= cut_off]
            return {row["member"] for row in valid if row["until"] is None or cut_off < row["until"]}
        seen = [row for rows in self.events.values() for row in rows if row["known"] < cut_off]
        return {row["who"] for row in seen if row["who"] is not None}

    def meets(self, member: int, cut_off: datetime, condition: Condition, ahead: bool) -> bool:
        count = 0
        for row in self.events[condition.count]:
            if row["who"] != member or not _matches(row, condition):
                continue
            span = condition.within or timedelta(days=10_000)
            if ahead:
                count += cut_off <= row["at"] < cut_off + span
            else:
                count += cut_off - span <= row["at"] and row["known"] < cut_off
        return count >= condition.at_least if condition.at_least is not None else count <= (condition.at_most or 0)

    def rows(self, predict: PredictEntity, clock: datetime) -> list[tuple[Any, ...]]:
        late = {"order": timedelta(), "visit": 3 * HOUR}
        window = max(c.within + late[c.count] for c in (predict.label, predict.having) if c and c.within)
        found = []
        for cut_off in self.cut_offs(predict, clock):
            for member in sorted(self.exist(cut_off)):
                if predict.where and not self.meets(member, cut_off, predict.where, ahead=False):
                    continue
                matured = cut_off + window <= clock
                if matured and predict.having and not self.meets(member, cut_off, predict.having, ahead=True):
                    continue
                label = int(self.meets(member, cut_off, predict.label, ahead=True)) if matured else None
                found.append((member, cut_off, label, cut_off + window))
        return found


def _matches(row: Row, condition: Condition) -> bool:
    for name, comparison in condition.where.items():
        value = row[name]
        text = f"{value:g}" if isinstance(value, float) else value
        if value is None or (comparison.one_of and text not in comparison.one_of) or text in comparison.not_:
            return False
        if comparison.at_least is not None and value < comparison.at_least:
            return False
    return True


@given(
    shape=st.sampled_from(sorted(SCHEMAS)),
    orders=orders,
    visits=visits,
    members=members,
    predict=predictions,
    clock=times,
)
@settings(max_examples=25, deadline=None)
def test_rows_at_cut_offs_are_those_of_a_plain_loop(
    shape: str, orders: list[Row], visits: list[Row], members: list[Row], predict: PredictEntity, clock: datetime
) -> None:
    tables = {"orders": table_of("orders", orders), "visits": table_of("visits", visits)}
    tables |= {"members": table_of("members", members)} if SCHEMAS[shape] else {}
    rows = decision_rows(tables, Asked(schema_of(shape), predict), clock=clock)
    assert rows.columns == ("member_id", "as_of", "label", "matured_at")
    got = [tuple(row.values()) for row in rows.order_by("as_of", "member_id").to_pyarrow().to_pylist()]
    assert got == World(shape, orders, visits, members).rows(predict, clock)


PAYMENTS = Schema.model_validate(
    {
        "tables": {
            "days": {"entity": "day", "key": "day", "columns": {"date": "time"}},
            "payments": {
                "event": "payment",
                "at": "paid",
                "of": {"card": "card", "shop": "shop"},
                "key": ["number"],
                "columns": {"amount": "number", "fraud": "flag"},
            },
            "checks": {"event": "check", "at": "day.date", "of": {"day": "day", "shop": "shop"}},
        }
    }
)
PREDICT = PredictEvent.model_validate(
    {
        "each": "payment",
        "known": ["amount"],
        "label": {"column": "fraud", "positive": "1", "negative": "0", "window": "7d"},
    }
)


def payments() -> dict[str, ibis.Table]:
    rows = [
        {"number": 3, "card": "x", "shop": 1, "paid": datetime(2024, 1, 2, 12), "amount": 3.5, "fraud": "0"},
        {"number": 1, "card": "x", "shop": 2, "paid": datetime(2024, 1, 1), "amount": None, "fraud": "1"},
        {"number": 2, "card": None, "shop": 2, "paid": datetime(2024, 1, 1), "amount": 1.0, "fraud": None},
        {"number": 4, "card": "y", "shop": 1, "paid": datetime(2024, 1, 2, 12, 0, 0, 1), "amount": 2.0, "fraud": "1"},
    ]
    return {
        "payments": ibis.memtable(pa.Table.from_pylist(rows)),
        "days": ibis.memtable(pa.table({"day": [7, 8], "date": [datetime(2024, 1, 7), datetime(2024, 1, 8)]})),
        "checks": ibis.memtable(pa.table({"day": [7, 9, 8], "shop": [1, 1, 2]})),
    }


def test_every_event_is_a_row_whose_label_waits_for_its_window_whatever_it_is() -> None:
    clock = datetime(2024, 1, 9, 12)
    rows = decision_rows(payments(), Asked(PAYMENTS, PREDICT), clock=clock)
    assert rows.columns == ("card_id", "shop_id", "paid", "fraud", "matured_at", "number", "amount")
    found = {row["number"]: row for row in rows.to_pyarrow().to_pylist()}
    assert {number: row["fraud"] for number, row in found.items()} == {1: 1, 2: None, 3: 0, 4: None}
    assert found[3]["matured_at"] == datetime(2024, 1, 9, 12)
    assert found[2]["card_id"] is None


def test_an_event_without_a_time_of_its_own_is_decided_at_that_of_its_parent() -> None:
    label = {"column": "shop", "positive": "1", "negative": "2", "window": "1d"}
    predict = PredictEvent.model_validate({"each": "check", "label": label})
    assert time_column(Asked(PAYMENTS, predict)) == "at"
    tables = payments()
    tables["checks"] = tables["checks"].mutate(outcome=tables["checks"].shop.cast("string"))
    schema = PAYMENTS.model_dump(by_alias=True)
    schema["tables"]["checks"]["columns"]["outcome"] = "category"
    predict = predict.model_copy(update={"label": predict.label.model_copy(update={"column": "outcome"})})
    rows = decision_rows(tables, Asked(Schema.model_validate(schema), predict), clock=datetime(2024, 1, 8))
    found = rows.to_pyarrow().to_pylist()
    # The check of day 9, which no table knows, has no time and is no decision.
    assert [(row["day_id"], row["at"], row["outcome"]) for row in found] == [
        (7, datetime(2024, 1, 7), 1),
        (8, datetime(2024, 1, 8), None),
    ]


def test_a_row_that_must_have_an_event_ahead_needs_a_window_for_it() -> None:
    label = {"count": "order", "within": "1d", "at_least": 1}
    with pytest.raises(ValueError, match="having needs within"):
        PredictEntity.model_validate(
            {"each": "member", "every": "1d", "label": label, "having": {"count": "order", "at_least": 1}}
        )
