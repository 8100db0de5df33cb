"""Columns of a source may be called as the columns that computing puts beside them, and as the parameters of the
methods that compute: all keep their values."""

import ast
import random
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from inspect import signature
from pathlib import Path
from typing import Any

import ibis
import pyarrow as pa
import pyarrow.csv
import pytest
from ibis.expr.types.groupby import GroupedTable
from pydantic import ValidationError

import mlguide_assets
from mlguide_assets.define.decision import TAKEN
from mlguide_assets.define.internal_names import INTERNAL_NAMES
from mlguide_assets.define.problem import Problem
from mlguide_assets.prepare.core import core_by_partition
from mlguide_assets.prepare.features.building import DECLARATIONS, declarations_of, resolved_from
from mlguide_assets.prepare.features.catalogue import UnresolvedFeatureError, features_of
from mlguide_assets.prepare.features.incremental import features_by_partition
from mlguide_assets.prepare.ingest import ingest
from mlguide_assets.prepare.lake.lake import Lake
from mlguide_assets_tests.other_tables import problem_of
from mlguide_assets_tests.prepare.ingesting import keep

STAGES = [
    path
    for stage in ("prepare", "train", "deploy", "observe", "experiment")
    for path in sorted((Path(mlguide_assets.__file__).parent / stage).rglob("*.py"))
]
NAMING = ("select", "mutate", "aggregate", "agg", "group_by", "rename", "cast", "bind")
"""Methods of Ibis that take names of columns as keywords."""
PARAMETERS = {
    parameter
    for owner in (ibis.Table, GroupedTable)
    for method in NAMING
    if hasattr(owner, method)
    for parameter in signature(getattr(owner, method)).parameters
}

OF_EVENTS = (
    *("weight", "partition", "filename", "file_row_number", "at", "known", "positive", "written", "content", "last"),
    *("unreadable", "place_in_file", "newer_rows", "id", "rank", "day", "rows", "value", "version", "index"),
    *("order", "group", "select", "date", "place", "count", "bucket", "span", "final", "matured", "window", "events"),
    *("Start", "Joined"),
    *sorted(PARAMETERS),
)
OF_ENTITIES = (
    *("known", "rank", "window", "key", "since", "start", "country", "probability", "as_of", "Group", "Final"),
    *("self", "metrics"),
)

PROBLEM: dict[str, Any] = {
    "name": "visits",
    "statement": "Some visits end badly.",
    "hypothesis": "The past says which.",
    "history_start": "2024-01-01",
    "tables": {
        "people": {
            "entity": "person",
            "key": "person",
            "known_from": "joined",
            "static": True,
            "columns": {"joined": "time", **dict.fromkeys(OF_ENTITIES, "category")},
        },
        "shops": {"entity": "shop", "key": "shop", "static": True, "columns": {"country": "category"}},
        "visits": {
            "event": "visit",
            "at": "visited",
            "of": {"person": "person", "shop": "shop"},
            "key": ["number"],
            "columns": {**dict.fromkeys(OF_EVENTS, "integer"), "offset": "integer", "bad": "flag"},
        },
    },
    "predict": {
        "each": "visit",
        "known": list(OF_EVENTS),
        "label": {"column": "bad", "positive": "1", "negative": "0", "window": "2d"},
    },
    "features": {"automatic": {"windows": ["7d"], "max": 20}},
    # The newest of several rows is found by their place in the file.
    "contracts": [{"table": "visits", "rule": "unique", "columns": ["number"], "action": "quarantine"}],
    "costs": {"missed": 5.0, "false_alarm": 1.0},
}


def write_visits(folder: Path) -> Path:
    chance = random.Random(0)
    people = [
        {"person": number, "joined": datetime(2023, 12, 1), **{name: chance.choice("ab") for name in OF_ENTITIES}}
        for number in range(20)
    ]
    start = datetime(2024, 1, 1)
    visits = [
        {
            "number": number,
            "person": chance.randrange(20),
            "shop": number % 2,
            "visited": start + timedelta(minutes=50 * number),
            **{name: chance.randrange(5) for name in OF_EVENTS},
            "offset": 70_000 + number,
            "bad": chance.randrange(2),
        }
        for number in range(1_500)
    ]
    tables = {"people": people, "shops": [{"shop": shop, "country": "xy"[shop]} for shop in (0, 1)], "visits": visits}
    folder.mkdir()
    for name, rows in tables.items():
        pa.csv.write_csv(pa.Table.from_pylist(rows), folder / f"{name}.csv")
    return folder


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Lake, Problem]:
    folder = tmp_path_factory.mktemp("visits")
    problem, lake = problem_of(PROBLEM, write_visits(folder / "source")), Lake(folder / "lake")
    with ingest(problem, lake, oracle=folder, report=lambda _: None) as read:
        keep(lake, read)
    lake.write(DECLARATIONS, declarations_of(lake, problem))
    problem = resolved_from(lake, problem)
    with core_by_partition(lake, problem) as core, features_by_partition(lake, problem) as features:
        lake.write_partitions(problem.core_table, core)  # type: ignore[arg-type]
        lake.write_partitions(problem.features_table, features)
    return lake, problem


@pytest.mark.parametrize("table", ["visits", "core_persons", "visit_features"])
def test_values_of_events_stay_their_own(built: tuple[Lake, Problem], table: str) -> None:
    lake, problem = built
    source = pa.csv.read_csv(f"{problem.source.uri}/visits.csv")  # type: ignore[union-attr]
    found = lake.read_arrow(table).sort_by("number")
    found = found.filter(pa.compute.is_valid(found["number"]))
    for name in OF_EVENTS:
        assert found[name].to_pylist() == source[name].to_pylist(), name


def test_columns_of_entities_are_features_under_names_of_their_own(built: tuple[Lake, Problem]) -> None:
    lake, problem = built
    source = {row["person"]: row for row in pa.csv.read_csv(f"{problem.source.uri}/people.csv").to_pylist()}  # type: ignore[union-attr]
    named = {"known", "rank", "window", "country", "start", "Group", "Final", *PARAMETERS, *(TAKEN & {*OF_ENTITIES})}
    rows = lake.read_arrow("visit_features").to_pylist()
    for name in OF_ENTITIES:
        feature = f"person_{name}" if name in named else name
        assert all(row[feature] == source[row["person_id"]][name] for row in rows), name
    assert {row["shop_id"]: row["shop_country"] for row in rows} == {0: "x", 1: "y"}
    assert {"person_country", "shop_country", "person_as_of"} <= {*problem.slices}
    assert {*problem.slices} <= {*rows[0]}


def test_nothing_is_made_of_a_number_that_numbers_its_rows(built: tuple[Lake, Problem]) -> None:
    lake, _ = built
    declared = lake.read_arrow(DECLARATIONS).to_pylist()
    assert not [row["feature"] for row in declared if "visit.offset" in row["declaration"]]
    assert [row["feature"] for row in declared if "visit.weight" in row["declaration"]]


def test_no_column_is_named_by_a_keyword_that_a_parameter_may_have() -> None:
    taken = [f"{path}:{call.lineno}" for path, call in calls() if any(each.arg is None for each in call.keywords)]
    assert not taken, "give a mapping, or `named(columns)`, by position: a column may be called as a parameter"


def test_every_column_that_computing_adds_is_one_that_a_source_may_not_have() -> None:
    added = {each.arg for _, call in calls() for each in call.keywords if each.arg and each.arg.startswith("_")}
    constants = {
        value.value
        for path in STAGES
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.Assign)
        for value in (node.value.elts if isinstance(node.value, ast.Tuple) else [node.value])
        if isinstance(value, ast.Constant) and isinstance(value.value, str) and re.fullmatch("_[a-z_]+", value.value)
    }
    assert added | constants <= INTERNAL_NAMES


@pytest.mark.parametrize("name", ["_value", "_Known", "unreadable value"])
def test_a_column_that_computing_would_replace_is_refused_with_an_alias(name: str) -> None:
    said = f"is computed beside these; call it otherwise, as <new name>: {{kind: number, name: {name}}}"
    with pytest.raises(ValidationError, match=re.escape(said)):
        problem_of(with_visits(columns={name: "number"}), Path("nowhere"))
    problem_of(with_visits(columns={"free": {"kind": "number", "name": name}}), Path("nowhere"))


def calls() -> Iterator[tuple[Path, ast.Call]]:
    for path in sorted(Path(mlguide_assets.__file__).parent.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in NAMING:
                yield path, node


def with_visits(known: str | None = None, columns: Any = (), **changes: Any) -> dict[str, Any]:
    visits = PROBLEM["tables"]["visits"]
    changed = {**visits, "columns": {**visits["columns"], **dict(columns)}, **changes}
    predict = {**PROBLEM["predict"], **({"known": [known]} if known else {})}
    return {**PROBLEM, "tables": {**PROBLEM["tables"], "visits": changed}, "predict": predict}


@pytest.mark.parametrize("name", [*sorted(TAKEN), "shop_id"])
def test_no_key_and_no_feature_is_called_as_what_scores_stand_beside(name: str) -> None:
    columns = {name: "integer", name.title(): "integer"}
    declared = {**PROBLEM, "features": {"declared": {name: {"calendar": "hour"}}}}
    for asked in (name, name.title()):
        one = {asked: columns[asked]}
        for values in (with_visits(asked, one), with_visits(columns=one, key=[asked]), declared):
            with pytest.raises(ValidationError, match=f"tables of features and scores have a column '{name}' of their"):
                problem_of(values, Path("nowhere"))
    with pytest.raises(ValidationError, match=f"as <new name>: {{kind: integer, name: {name}}}, and here by its new"):
        problem_of(with_visits(name, {name: "integer"}), Path("nowhere"))


def test_no_feature_is_called_as_a_key() -> None:
    with pytest.raises(ValidationError, match="have a column 'number' of their own; give it another name"):
        problem_of({**PROBLEM, "features": {"declared": {"number": {"calendar": "hour"}}}}, Path("nowhere"))


def test_names_that_differ_in_case_only_are_refused_with_an_alias() -> None:
    said = "weight and Weight differ in case only; call one otherwise, as <new name>: {kind: number, name: Weight}"
    with pytest.raises(ValidationError, match=re.escape(said)):
        problem_of(with_visits(columns={"Weight": "number"}), Path("nowhere"))
    again = {**PROBLEM["tables"], "Shops": {**PROBLEM["tables"]["shops"], "entity": "store"}}
    with pytest.raises(ValidationError, match="tables: shops and Shops differ in case only"):
        problem_of({**PROBLEM, "tables": again}, Path("nowhere"))


def test_a_feature_and_a_known_column_are_told_apart_by_more_than_case() -> None:
    features = {"declared": {"start": {"calendar": "hour"}}}
    with pytest.raises(ValidationError, match=r"'Start' and features\.declared\.start would be columns of one name"):
        problem_of({**PROBLEM, "features": features}, Path("nowhere"))
    split = {"declared": {"sta*": {"count": "visit", "by": "shop", "split": "person.rank", "values": ["rt"]}}}
    with pytest.raises(UnresolvedFeatureError, match="two are called 'Start' and 'start', whatever the case"):
        features_of(problem_of({**PROBLEM, "features": split}, Path("nowhere")))
