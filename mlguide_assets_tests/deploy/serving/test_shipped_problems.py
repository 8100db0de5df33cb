"""Problem files of other people's tables, from their rows to an answer of the API: payments, households, drivers.

Of public tables a part is taken, since they are large, and of automatic features a few, since each takes its time; what
is not on this machine is skipped, with the reason.
"""

from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from mlguide_assets.define.loading import load_problem, with_overrides
from mlguide_assets.define.problem import Problem
from mlguide_assets.define.sources import FilesSource
from mlguide_assets_tests.benchmarks.problem_data import SHARED, AbsentError, folder_of
from mlguide_assets_tests.deploy.serving.others import OtherHouse
from mlguide_assets_tests.deploy.serving.serving import Server

pytestmark = pytest.mark.slow

FEATURES = 12


def folder(name: str) -> Path:
    try:
        return folder_of(name)
    except AbsentError as absent:
        pytest.skip(str(absent))


def shared(name: str) -> Problem:
    file = SHARED / "problems" / f"{name}.yaml"
    if not file.exists():
        pytest.skip(f"no file {file.name} in the folder shared/problems beside this project")
    return load_problem(str(file))


def part_of(tables: dict[str, str], source: Path, to: Path, duck: Any) -> FilesSource:
    """Some rows of tables: those that a condition holds for, in SQL."""
    to.mkdir()
    for name, condition in tables.items():
        (file,) = source.glob(f"{name}.*")
        rows = f"read_csv('{file}', all_varchar := true)" if file.suffix == ".csv" else f"read_parquet('{file}')"
        duck.con.execute(f"COPY (FROM {rows} WHERE {condition}) TO '{to / name}.parquet'")
    return FilesSource(uri=str(to))


def on_part(problem: Problem, source: FilesSource) -> Problem:
    automatic = problem.features.automatic
    assert automatic
    few = problem.features.model_copy(update={"automatic": automatic.model_copy(update={"max": FEATURES})})
    serving = problem.serving.model_copy(update={"clock": "data"})
    return problem.model_copy(update={"source": source, "features": few, "serving": serving})


def answer_of(problem: Problem, root: Path, as_of: datetime, body: dict[str, Any]) -> list[dict[str, Any]]:
    """What a server of the problem says of some decisions, of which it knows all entities."""
    house = OtherHouse.of(root / "home", problem, as_of)
    with Server(house.home) as server:
        answer = server.client().post("/predict", {**body, "probability": True})
    assert answer.status == 200, answer
    said = answer.json()
    assert not any(said[name] for name in said if name.startswith(("unknown_", "left_out_")))
    assert said["model_version"] == "1"
    scored: list[dict[str, Any]] = said["predictions"]
    assert all(0 < each["probability"] < 1 for each in scored)
    return scored


def test_simulated_payments_are_answered_and_frauds_stand_out(tmp_path: Path) -> None:
    problem = with_overrides(load_problem("fraud"), sends=8_000)
    ids = {"customer_id": 1, "terminal_id": 2}
    payments = [{**ids, "TX_AMOUNT": amount} for amount in (20.0, 700.0)]
    usual, large = answer_of(problem, tmp_path, datetime(2018, 7, 31), {"payments": payments})
    assert (usual["customer_id"], usual["terminal_id"]) == (1, 2)
    assert large["probability"] > usual["probability"]


def test_households_are_answered_at_a_cut_off(tmp_path: Path, duck: Any) -> None:
    some = "household_id::BIGINT <= 60"
    tables = {"demographics": some, "transactions": some, "coupon_redemptions": some, "products": "true"}
    source = part_of(tables, folder("journey"), tmp_path / "tables", duck)
    problem = on_part(load_problem("journey_churn"), source)
    bought = duck.con.execute(
        f"SELECT household_id FROM '{tmp_path / 'tables' / 'transactions.parquet'}' WHERE transaction_timestamp > "
        "'2017-11-01' GROUP BY ALL ORDER BY count(*)"
    ).fetchall()
    ids = [int(bought[0][0]), int(bought[-1][0])]
    seldom, often = answer_of(problem, tmp_path, datetime(2017, 12, 31), {"household_ids": ids})
    assert [seldom["household_id"], often["household_id"]] == ids
    assert seldom["probability"] > often["probability"]


def test_drivers_are_answered_at_a_cut_off(tmp_path: Path, duck: Any) -> None:
    problem = shared("f1_dnf")
    race = "raceId IN (SELECT raceId FROM read_csv('{}', all_varchar := true) WHERE date > '2006')"
    data = folder("f1")
    recent = race.format(data / "races.csv")
    tables = dict.fromkeys(("results", "qualifying", "driver_standings"), recent)
    tables |= dict.fromkeys(("drivers", "constructors", "races"), "true")
    problem = on_part(problem, part_of(tables, data, tmp_path / "tables", duck))
    scored = answer_of(problem, tmp_path, datetime(2013, 4, 1), {"driver_ids": [1, 4]})
    assert [each["driver_id"] for each in scored] == [1, 4]


@pytest.mark.parametrize("name", ["fraud", "journey_churn"])
def test_the_file_for_public_tables_asks_for_what_the_shipped_one_asks_for(name: str) -> None:
    ours, theirs = load_problem(name), shared(name)
    assert (ours.predict, ours.features) == (theirs.predict, theirs.features)
    for table, wanted in theirs.tables.items():
        own = ours.tables[table]
        assert {column: own.columns[column].kind for column in wanted.columns} == {
            column: each.kind for column, each in wanted.columns.items()
        }
