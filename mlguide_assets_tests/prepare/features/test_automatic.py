"""What `automatic` writes: declarations that a user could have written, chosen without a look at the test window."""

import random
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

import ibis
import numpy as np
import pyarrow as pa
import pytest
import yaml

from mlguide_assets.define.features import Automatic, Declaration, Features
from mlguide_assets.define.prediction import Predict, PredictEntity, PredictEvent
from mlguide_assets.define.schema import Schema
from mlguide_assets.prepare.decisions.rows import decision_rows
from mlguide_assets.prepare.features import resolving
from mlguide_assets.prepare.features.automatic import Profile, automatic_declarations
from mlguide_assets.prepare.features.building import declaration_as_yaml
from mlguide_assets.prepare.features.catalogue import features_of
from mlguide_assets.prepare.features.earlier import NOTHING, Earlier
from mlguide_assets.prepare.features.pasts import FEWEST_NUMBERED, profile_of
from mlguide_assets.prepare.features.resolving import ResolvedProblem, outgrows, resolved_features

START = datetime(2024, 1, 1)
UNTIL = datetime(2024, 3, 1)
END = datetime(2024, 4, 1)
SCHEMA = Schema.model_validate(
    {
        "tables": {
            "members": {
                "entity": "member",
                "key": "id",
                "known_from": "joined",
                "static": True,
                "columns": {"town": "category", "born": "time"},
            },
            "pages": {"entity": "page", "key": "id", "static": True, "columns": {"topic": "category"}},
            "visits": {
                "event": "visit",
                "at": "at",
                "of": {"member": "member", "page": "page"},
                "key": ["number"],
                "columns": {
                    "minutes": "number",
                    "seconds": "number",
                    "version": "number",
                    "kind": "category",
                    "code": "category",
                    "note": "text",
                    "bought": "category",
                },
            },
        }
    }
)
ENTITY = PredictEntity.model_validate(
    {
        "each": "member",
        "every": "7d",
        "label": {"count": "visit", "within": "7d", "at_least": 1, "where": {"kind": "long"}},
    }
)
EVENT = PredictEvent.model_validate(
    {"each": "visit", "label": {"column": "bought", "positive": "yes", "negative": "no", "window": "2d"}}
)
AUTOMATIC = {"windows": ["7d", "all"], "max": 60}
SHORT = {"windows": ["7d"], "max": 12}
"""Writing the queries of many features takes its time."""


@dataclass(frozen=True)
class World:
    """A problem over the tables of `visits`."""

    predict: Predict
    features: Features
    schema: Schema = SCHEMA
    contracts: tuple[Any, ...] = ()
    history_start: date = date(2024, 1, 1)


def tables_of(after: str = "as before") -> dict[str, ibis.Table]:
    """Visits of three months; those from `UNTIL` on are of another kind where `after` says so."""
    chance = random.Random(3)
    visits = []
    for number in range(600):
        at = START + timedelta(minutes=chance.randrange(int((END - START) / timedelta(minutes=1))))
        minutes = float(chance.randrange(1, 30))
        kind = chance.choice(["short", "short", "long"])
        later = after != "as before" and at >= UNTIL
        visits.append(
            {
                "number": number,
                "member": chance.randrange(12),
                "page": f"p{chance.randrange(5)}",
                "at": at,
                "minutes": minutes * 7 if later else minutes,
                # What minutes say, in the same unit: a copy.
                "seconds": minutes * 7 if later else minutes,
                "version": float(at >= UNTIL),
                "kind": after if later else kind,
                "code": f"c{number}",
                "note": f"text {number}",
                "bought": chance.choice(["yes", "no", "no"]),
            }
        )
    members = [{"id": i, "joined": START + timedelta(days=i), "born": datetime(1980 + i, 1, 1)} for i in range(12)]
    return {
        "members": ibis.memtable(pa.Table.from_pylist([{**row, "town": "x" * (row["id"] % 2)} for row in members])),
        "pages": ibis.memtable(pa.table({"id": [f"p{i}" for i in range(5)], "topic": ["a", "b", "a", "b", "a"]})),
        "visits": ibis.memtable(pa.Table.from_pylist(visits)),
    }


def resolve(
    predict: Predict, after: str = "as before", *, earlier: Earlier = NOTHING, until: datetime = UNTIL, **features: Any
) -> Features:
    tables = tables_of(after)
    problem = World(predict, Features.model_validate({"automatic": AUTOMATIC, **features}))
    rows = decision_rows(tables, problem, clock=END)
    return resolved_features(problem, tables, rows, until=until, earlier=earlier)


@pytest.fixture(scope="module")
def of_members() -> Features:
    return resolve(ENTITY)


@pytest.fixture(scope="module")
def of_visits() -> Features:
    return resolve(EVENT)


def names_of(features: Features, predict: Predict) -> list[str]:
    declared = ResolvedProblem(SCHEMA, predict, features, ())
    return [feature.name for feature in features_of(declared) if feature.declaration is not None]


def test_the_past_of_every_entity_is_declared(of_members: Features) -> None:
    names = names_of(of_members, ENTITY)
    assert {"member_age_days", "member_days_since_born"} <= set(names)
    assert {"member_visit_count_7d", "member_visit_count_all", "member_visit_days_since_last"} <= set(names)
    assert {"member_visit_minutes_mean_7d", "member_visit_minutes_last", "member_visit_minutes_last_3"} <= set(names)
    assert "member_visit_page_distinct_7d" in names
    # What the label counts, in the past.
    assert "member_visit_share_like_label_7d" in names
    assert "member_visit_page_topic_a_share_all" in names
    assert len(names) <= 60


def test_a_visit_that_lies_years_apart_is_no_history_of_seasons() -> None:
    tables = tables_of()
    first = tables["visits"].order_by("at").limit(1).to_pyarrow()
    apart = first.set_column(
        first.column_names.index("at"), "at", pa.array([START - timedelta(days=7000)], first["at"].type)
    )
    tables["visits"] = ibis.memtable(pa.concat_tables([tables["visits"].to_pyarrow(), apart]))
    problem = World(EVENT, Features.model_validate({"automatic": AUTOMATIC}))
    found = resolved_features(problem, tables, decision_rows(tables, problem, clock=END), until=UNTIL)
    assert "day_of_week" in found.declared
    assert "month" not in found.declared


def test_no_id_free_text_or_value_of_many_is_a_feature(of_members: Features, of_visits: Features) -> None:
    for features in (of_members, of_visits):
        text = "\n".join(map(declaration_as_yaml, features.declared.values()))
        assert "note" not in text
        assert "last: visit.code" not in text
        assert "split: code" not in text
        assert "last: visit.number" not in text


def test_constants_and_copies_are_left_out(of_members: Features) -> None:
    names = names_of(of_members, ENTITY)
    # The version is 0 until the test window, and seconds are minutes.
    assert not [name for name in names if "version" in name or "seconds" in name]


def test_few_entities_are_no_reason_for_no_feature(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(resolving, "SAMPLE", 15)
    assert resolve(EVENT, automatic=SHORT).declared


@pytest.mark.parametrize(
    ("values", "grows"),
    [
        (np.arange(1000.0), True),
        (-np.arange(1000.0), True),
        (np.minimum(np.arange(1000.0), 300), False),
        (np.random.default_rng(0).normal(size=1000), False),
        (np.where(np.arange(1000) < 900, np.nan, 1.0), False),
        (np.arange(100.0), False),
    ],
    ids=["a total", "a countdown", "saturated", "stationary", "new", "too few"],
)
def test_what_the_past_has_not_seen_is_left_out(values: Any, grows: bool) -> None:
    assert outgrows(pa.chunked_array([values])) == grows


def test_outcomes_are_rates_of_what_has_matured_and_nothing_else(of_visits: Features) -> None:
    names = names_of(of_visits, EVENT)
    assert {"member_visit_rate_7d", "page_visit_rate_all"} <= set(names)
    assert not [name for name in names if "bought" in name]


@pytest.mark.parametrize("predict", [ENTITY, EVENT])
def test_the_test_window_has_no_say(predict: Predict) -> None:
    before, other = (resolve(predict, after=after, automatic=SHORT) for after in ("as before", "unheard of"))
    assert before == other


def test_a_user_may_paste_what_is_exported(of_members: Features, of_visits: Features) -> None:
    for declaration in (*of_members.declared.values(), *of_visits.declared.values()):
        assert Declaration.model_validate(yaml.safe_load(declaration_as_yaml(declaration))) == declaration
    assert any("where: {kind: [long]}" in declaration_as_yaml(each) for each in of_members.declared.values())


def test_what_the_user_declares_stays_and_splits_get_their_values() -> None:
    declared = {
        "visits_of_kind_*": {"count": "visit", "by": "member", "split": "kind"},
        "versions": {"max": "visit.version", "by": "member"},
        "visits_7d": {"count": "visit", "by": "member", "within": "7d"},
    }
    features = resolve(ENTITY, automatic=SHORT, declared=declared)
    names = names_of(features, ENTITY)
    assert names[:4] == ["visits_of_kind_short", "visits_of_kind_long", "versions", "visits_7d"]
    assert "member_visit_count_7d" not in names
    without = resolve(ENTITY, automatic=False, declared=declared)
    assert names_of(without, ENTITY) == names[:4]


def test_values_that_look_alike_have_features_of_their_own() -> None:
    declared = {"share_*": {"share": "visit", "by": "member", "split": "kind"}}
    tables = tables_of()
    kinds = tables["visits"].kind.substitute({"short": "x,y", "long": "x;y"})
    tables["visits"] = tables["visits"].mutate(kind=kinds)
    problem = World(ENTITY, Features.model_validate({"automatic": False, "declared": declared}))
    rows = decision_rows(tables, problem, clock=END)
    found = resolved_features(problem, tables, rows, until=UNTIL)
    assert found.declared["share_*"].values == ("x,y", "x;y")
    assert names_of(found, ENTITY) == ["share_x_y", "share_x_y_2"]


def test_what_was_decided_earlier_stays_whatever_the_data_would_decide_today() -> None:
    constant = Declaration.model_validate({"max": "visit.version", "by": "member", "within": "7d"})
    declared = {"visits_of_kind_*": Declaration.model_validate({"count": "visit", "by": "member", "split": "kind"})}
    before = declared["visits_of_kind_*"].model_copy(update={"values": ("medium", "long")})
    earlier = Earlier({"visits_of_kind_*": before}, {"highest_version": constant})
    asked = {name: each.model_dump(exclude_defaults=True) for name, each in declared.items()}
    found = resolve(ENTITY, automatic=SHORT, declared=asked, earlier=earlier).declared
    assert found["visits_of_kind_*"].values == ("medium", "long", "short")
    assert list(found)[1] == "highest_version"
    assert len(found) == 1 + SHORT["max"]
    assert "member_visit_count_7d" in found
    kinds, *automatic = found.items()
    later = Earlier(dict([kinds]), dict(automatic))
    again = resolve(ENTITY, "unheard of", automatic=SHORT, declared=asked, earlier=later, until=END).declared
    assert list(again.items())[1:] == automatic
    assert again["visits_of_kind_*"].values == ("medium", "long", "short", "unheard of")


@pytest.mark.parametrize(
    "features",
    [
        {"automatic": False},
        {"automatic": {"windows": ["all"], "max": 1}},
        {"automatic": {"windows": ["7d"], "max": 1}, "declared": {"highest": {"calendar": "month"}}},
    ],
    ids=["no automatic features", "other windows", "a name of the user's"],
)
def test_what_the_file_no_longer_allows_does_not_stay(features: dict[str, Any]) -> None:
    highest = Declaration.model_validate({"max": "visit.version", "by": "member", "within": "7d"})
    assert highest not in resolve(ENTITY, earlier=Earlier({}, {"highest": highest}), **features).declared.values()


def test_a_column_that_is_gone_takes_its_features_with_it() -> None:
    gone = {
        "of_a_column": {"max": "visit.height", "by": "member", "within": "7d"},
        "of_an_event": {"count": "call", "by": "member", "within": "7d"},
        "of_an_entity": {"count": "visit", "by": "town", "within": "7d"},
    }
    kept = {"visits": {"count": "visit", "by": "member", "within": "7d"}}
    declarations = {name: Declaration.model_validate(each) for name, each in {**gone, **kept}.items()}
    problem = World(ENTITY, Features.model_validate({"automatic": SHORT}))
    assert list(Earlier({}, declarations).staying(problem, Automatic.model_validate(SHORT))) == ["visits"]


def test_the_first_of_too_many_are_kept(of_members: Features) -> None:
    few = resolve(ENTITY, automatic={**AUTOMATIC, "max": 3})
    assert names_of(few, ENTITY) == names_of(of_members, ENTITY)[:3]


def test_whole_numbers_that_number_their_rows_are_found_also_beyond_64_bits() -> None:
    at = [START + timedelta(minutes=place) for place in range(FEWEST_NUMBERED)]
    numbers = [float(place) for place in range(FEWEST_NUMBERED)]
    some: dict[str, Any] = {"number": numbers, "member": 1, "page": "p1", "at": at, "kind": "a", "bought": "no"}
    columns = {"version": [*numbers[:-2], 1e19, 1e300], "minutes": [*numbers[:-2], 1e300, 0.5], "seconds": 1e300}
    rows = {name: each if isinstance(each, list) else [each] * len(at) for name, each in (some | columns).items()}
    tables = {**tables_of(), "visits": ibis.memtable(pa.table({**rows, "code": rows["kind"], "note": rows["kind"]}))}
    profile = profile_of(World(EVENT, Features()), tables, Automatic(windows=("7d",)), UNTIL)
    assert profile.numbering == {("visit", "version")}


def test_columns_of_any_letters_have_features_of_their_own() -> None:
    columns = {
        "Größe": "number",
        "Grōße": "number",
        "цена": "number",
        "price * pieces": "number",
        **dict.fromkeys(("x" * 90, "y" * 90), "number"),
    }
    shop = {"event": "sale", "at": "at", "of": {"member": "who"}, "columns": columns}
    schema = Schema.model_validate({"tables": {"sales": shop}})
    label = {"count": "sale", "within": "7d", "at_least": 1}
    predict = PredictEntity.model_validate({"each": "member", "every": "7d", "label": label})
    problem = World(predict, Features(), schema)
    written = automatic_declarations(problem, Automatic(windows=("7d",)), Profile({}), history=timedelta(99))
    means = {declaration.mean for declaration in written.values() if declaration.mean}
    assert means == {f"sale.{name}" for name in columns}
    assert Features(declared=written).declared == written
    assert written["member_sale_цена_mean_7d"].mean == "sale.цена"


@pytest.mark.parametrize(("of_kind", "measured"), [(60.0, {("visit", "minutes"): "kind"}), (3.0, {})])
def test_a_number_that_measures_something_else_per_kind_has_features_per_kind(
    of_kind: float, measured: dict[tuple[str, str], str]
) -> None:
    """As in long tables, where a laboratory's value is a pressure in one row and a weight in another."""
    tables = tables_of()
    visits = tables["visits"]
    long = (visits.kind == "long").cast("float64")
    tables["visits"] = visits.mutate(
        minutes=visits.minutes + of_kind * long, seconds=ibis.ifelse(visits.number == 1, 1e300, visits.seconds)
    )
    automatic = Automatic.model_validate(AUTOMATIC)
    profile = profile_of(World(ENTITY, Features()), tables, automatic, UNTIL)
    assert profile.measured == measured
    written = automatic_declarations(World(ENTITY, Features()), automatic, profile, history=timedelta(days=60))
    mean = written.get("member_visit_minutes_*_mean_7d")
    assert bool(mean) == bool(measured)
    if mean:
        assert (mean.split, mean.values, mean.mean) == ("kind", ("short", "long"), "visit.minutes")
